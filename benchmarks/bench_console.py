"""
What the console costs: the time and the bytes of its first page with 200 rollouts and 10,000 flags, and what 500 people who watch it
live cost the requests of the application it is mounted in (p99 with them as a ratio of p99 without).
"""

from __future__ import annotations

import http.client
import os
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import progflags as pf

ROLLOUTS, FLAGS, VIEWERS = 200, 10_000, 500
ROUNDS, REQUESTS = 12, 1_500


def connected() -> pf.Flags:
    rolled = {f"release-{n}": {"owner": "shop", "rollout": {"profile": "standard"}} for n in range(ROLLOUTS)}
    plain = {f"flag-{n}": {"percent": n % 100, "owner": "shop", "description": "what it is for"} for n in range(FLAGS - ROLLOUTS)}
    flags = pf.connect({"flags": {**plain, **rolled}}, poll=None)
    for key in rolled:
        flags.rollouts.start(key, by="ann", reason="it is ready")
        for n in range(20):
            flags.metrics.record(key, arm="control", seconds=0.02 + n / 1000, error=n == 0)
            flags.metrics.record(key, arm="candidate", seconds=0.02 + n / 1000, error=n == 0)
    flags.rollouts.tick()
    return flags


def first_page() -> None:
    from progflags._console._guard import ANYBODY
    from progflags._console._render import Shell, draw
    from progflags._console.pages import PAGES

    with connected() as flags:
        wall, processor, size = [], [], 0
        for _ in range(30):
            began, busy = time.perf_counter(), time.thread_time()
            size = len(draw(PAGES[""](flags, {}), Shell("", ANYBODY, "/static", csrf="0" * 64)).encode())
            wall.append(time.perf_counter() - began)
            processor.append(time.thread_time() - busy)
    print(f"Now, {ROLLOUTS} rollouts and {FLAGS:,} flags: {1e3 * statistics.median(wall):.1f} ms (of processor "
          f"{1e3 * statistics.median(processor):.1f} ms; to reach: 50), {size / 1e3:.1f} kB (to reach: 100)")  # fmt: skip


def serve(port: int) -> None:
    """The application: one cheap endpoint that asks a flag, and the console below it. Something moves every second."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    flags = pf.connect({"flags": {"new": {"percent": 50}, "release": {"rollout": {"profile": "standard"}}}}, poll=None)
    flags.rollouts.start("release", by="ann", reason="go")

    def moving() -> None:
        while True:
            time.sleep(1.0)
            flags.kill("new", by="ann", reason=f"{time.time()}")
            flags.unkill("new", by="ann", reason="again")

    async def hello(request: object) -> PlainTextResponse:
        return PlainTextResponse(str(flags.is_enabled("new", "user")))

    threading.Thread(target=moving, daemon=True).start()
    app = Starlette(routes=[Route("/", hello), Mount("/ops", pf.console(flags, insecure=True))])
    uvicorn.run(app, port=port, log_level="error", timeout_graceful_shutdown=1)


def p99(port: int) -> float:
    took = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        took.append(time.perf_counter() - began)
        time.sleep(0.0005)
    connection.close()
    return statistics.quantiles(took, n=100)[98]


def watch(port: int) -> None:
    """So many who watch and read what they are sent, until the standard input ends; then how many bytes that were."""
    selector, read = selectors.DefaultSelector(), 0
    for _ in range(VIEWERS):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(f"GET /ops/live?of=now HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                print(read, flush=True)
                return
            got = key.fileobj.recv(65_536)  # type: ignore[union-attr]
            read += len(got)
            if not got:
                selector.unregister(key.fileobj)


class Watching:
    """Those viewers, in a process of their own: who measures must not read for five hundred besides."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "benchmarks.bench_console", "watch", str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self) -> int:
        """The bytes that they read."""
        return int(self._process.communicate()[0])


def busy(process: int) -> float:
    """Seconds of processor that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Measured:
    """p99 of some requests and the share of a processor that the server took meanwhile."""

    def __init__(self, port: int, process: int) -> None:
        began, before = time.perf_counter(), busy(process)
        self.p99 = p99(port)
        self.busy = (busy(process) - before) / (time.perf_counter() - began)


def viewers() -> None:
    """Each round without, with, and without again: what lies between the two without is what this machine does by itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.bench_console", "serve", str(port)], env={**os.environ})
    try:
        for _ in range(300):
            try:
                p99(port)
                break
            except OSError:
                time.sleep(0.1)
        rounds, read = [], 0
        for _ in range(ROUNDS):
            before = Measured(port, child.pid)
            watching = Watching(port)
            time.sleep(4)
            watched = Measured(port, child.pid)
            read += watching.end()
            time.sleep(1)
            rounds.append((before, watched, Measured(port, child.pid)))
        ratios = sorted(2 * watched.p99 / (before.p99 + after.p99) for before, watched, after in rounds)
        by_itself = sorted(after.p99 / before.p99 for before, _, after in rounds)
        more = statistics.median(watched.busy - (before.busy + after.busy) / 2 for before, watched, after in rounds)
        print(f"{VIEWERS} live viewers, one change a second: p99 of requests ×{statistics.median(ratios):.2f} "
              f"({_spread(ratios)}; to reach: 1.05), and by itself ×{statistics.median(by_itself):.2f} ({_spread(by_itself)}); "
              f"{100 * more:+.1f} % of a processor, {read / 1e6:.1f} MB sent")  # fmt: skip
    finally:
        child.kill()
        child.wait()


def _spread(ratios: list[float]) -> str:
    return f"{ratios[0]:.2f} … {ratios[-1]:.2f} in {len(ratios)} rounds"


def main() -> None:
    first_page()
    viewers()


if __name__ == "__main__":
    {"serve": serve, "watch": watch}[sys.argv[1]](int(sys.argv[2]))
