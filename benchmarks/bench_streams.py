"""
What event streams cost: memory of a process per idle one, processor time of a beat to all of them, and the time from a kill to the
last of them (uvicorn in a process of its own, real sockets).
"""

from __future__ import annotations

import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

MOST, ROUNDS = 10_000, 9
REQUEST = b"GET /flags/ofrep/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def serve(port: int) -> None:
    """The application: streams, a kill switch to throw, and a beat for everybody at once when it is asked for."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    import progflags as pf
    from progflags.contrib import _streams, ofrep

    flags = pf.connect({"flags": {f"flag-{n}": {"percent": n % 100} for n in range(100)}}, poll=None)

    async def throw(request: Request) -> PlainTextResponse:
        (flags.kill if request.query_params["to"] == "on" else flags.unkill)("flag-1")
        return PlainTextResponse("thrown")

    async def beat(request: Request) -> PlainTextResponse:
        _streams._BEAT = float(request.query_params["every"])
        return PlainTextResponse("set")

    routes = [Route("/throw", throw), Route("/beat", beat), Mount("/flags", ofrep.asgi(flags, streams=MOST))]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="error", backlog=4096)


def busy(process: int) -> float:
    """Seconds of processor that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def ask(port: int, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    connection.getresponse().read()
    connection.close()


class Pages:
    """So many who listen."""

    def __init__(self, port: int, many: int) -> None:
        self.selector, self.many = selectors.DefaultSelector(), many
        for _ in range(many):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(REQUEST)
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ)
        self.hear(b"refetchEvaluation")

    def hear(self, what: bytes) -> float:
        """When the last of them has been told `what`."""
        waiting = set(self.selector.get_map())
        while waiting:
            for key, _ in self.selector.select(60):
                if what in key.fileobj.recv(65_536):  # type: ignore[union-attr]
                    waiting.discard(key.fd)
        return time.perf_counter()

    def close(self) -> None:
        for key in tuple(self.selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def measure(port: int, process: int, many: int) -> None:
    ask(port, "/beat?every=3600")
    before = resident(process)
    pages = Pages(port, many)
    each = (resident(process) - before) / many
    took = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        ask(port, f"/throw?to={'on' if number % 2 == 0 else 'off'}")
        took.append(pages.hear(b"refetchEvaluation") - began)
        time.sleep(0.5)
    work = busy(process)
    ask(port, "/beat?every=0")
    for _ in range(ROUNDS):
        pages.hear(b": here")
    work = (busy(process) - work) / ROUNDS
    pages.close()
    print(f"{many:>6,} idle streams: {each / 1e3:.1f} kB each; kill to the last of them {statistics.median(took):.2f} s "
          f"(at worst {max(took):.2f}; to reach: 1); a beat to all {1e3 * work:.0f} ms of processor")  # fmt: skip


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server has it from here
    for many in sorted({1_000, min(MOST, hard - 500)}):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        child = subprocess.Popen([sys.executable, "-m", "benchmarks.bench_streams", "serve", str(port)])
        try:
            for _ in range(300):
                try:
                    ask(port, "/throw?to=off")
                    break
                except OSError:
                    time.sleep(0.1)
            measure(port, child.pid, many)
        finally:
            child.kill()
            child.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        main()
