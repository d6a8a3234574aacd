"""
What the two middlewares cost a server: its requests a second with them in front of a trivial application, as a share of without.

Real servers on loopback, one process for each stack, all of them running throughout. A client with eight kept-alive
connections to each asks them in turn, in short bursts; the figure is the median over rounds of (with / without in the same
round), so that what else the machine does meets both. Beside it the same by the CPU seconds that the server used, of all rounds
together: what a server has that is busy on all its cores, and on a machine with other things to do the only figure that two runs
agree on.

A trivial application is the worst case: there is nothing else to pay for. After it come the applications of bench_request, each behind the
server it is mostly run with, with five flags of ours and of other libraries. `python -m benchmarks doors [servers] [FRAMEWORK …]`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.kept import keep
from benchmarks.request_apps import FRAMEWORKS, peer_rows

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
ROUNDS, FEWER, SECONDS, CONNECTIONS = 60, 24, 0.06, 8
UVICORN = (
    "uvicorn --host 127.0.0.1 --port {port} --log-level error --no-access-log --timeout-keep-alive 75 --http %s --loop %s --factory {app}"
)
SERVERS = {
    "uvicorn, httptools, uvloop": (UVICORN % ("httptools", "uvloop"), "asgi"),
    "uvicorn, httptools, asyncio": (UVICORN % ("httptools", "asyncio"), "asgi"),
    "uvicorn, h11, asyncio": (UVICORN % ("h11", "asyncio"), "asgi"),
    "gunicorn, gthread": ("gunicorn -k gthread --threads 8 --keep-alive 75 -b 127.0.0.1:{port} --log-level error {app}()", "wsgi"),
    "waitress": ("waitress-serve --threads=8 --listen=127.0.0.1:{port} --call {app}", "wsgi"),
}
# On asyncio's own loop the bare application took 34 to 60 µs of processor from one process to the next, and up to 75 with one coroutine
# around it, however memory is collected and requests are sent: a middleware is lost in that. Printed, and not kept for the page.
UNSTEADY = ("uvicorn, httptools, asyncio", "uvicorn, h11, asyncio")
STACKS = {
    "flags": "FlagsMiddleware",
    "launch": "DarkLaunchMiddleware, flag off",
    "off": "both, flag off",
    "sampled": "both, 1 % shadowed",
    "on": "both, all admitted, budgets as they come",
}
BARS: dict[str, str] = dict.fromkeys(("flags", "launch", "off"), "bar: 0.85")
FRAMED = {
    "fastapi": "uvicorn, httptools, uvloop",
    "starlette": "uvicorn, httptools, uvloop",
    "asgi": "uvicorn, httptools, uvloop",
    "django": "gunicorn, gthread",
    "django-asgi": "uvicorn, httptools, uvloop",
    "flask": "gunicorn, gthread",
    "wsgi": "gunicorn, gthread",
}
HEAD = "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\nCookie: a=b\r\nX-User: user-{number}\r\n\r\n"


class Turn(NamedTuple):
    """How many requests a stack answered when it was its turn, and the seconds and CPU seconds that it took."""

    answers: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


class Served:
    """A server process with one stack."""

    def __init__(self, command: str, app: str, path: str) -> None:
        self._request = cycle([HEAD.format(path=path, number=number).encode() for number in range(256)]).__next__
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        name, *rest = command.format(port=self.port, app=app).split()
        self._peers: list[socket.socket] = []
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")  # for what it makes, which is killed and cannot clear away
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        self._process = subprocess.Popen(
            [str(BIN / name), *rest],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": self._folder.name},
            stdout=self._said,
            stderr=self._said,
        )

    def wait(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                self._peers = [socket.create_connection(("127.0.0.1", self.port), 10) for _ in range(CONNECTIONS)]
            except OSError:
                time.sleep(0.05)
            else:
                break
            if self._process.poll() is not None or time.monotonic() > until:
                self._said.seek(0)
                raise RuntimeError(f"it does not start: {self._said.read().decode()}")
        for peer in self._peers:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def cpu(self) -> float:
        """CPU seconds of the process, its threads and its workers: Linux's clock of another process, which may go by steps of 4 ms."""
        pid = self._process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(time.clock_gettime((~int(each) << 3) | 2) for each in (pid, *workers))

    def burst(self, seconds: float = SECONDS) -> Turn:
        """Requests, and the seconds and CPU seconds that they took, of connections each of which asks again when it has its answer."""
        answers, used, began = 0, self.cpu(), time.perf_counter()
        for peer in self._peers:
            peer.sendall(self._request())
        while time.perf_counter() < began + seconds:
            for peer in self._peers:
                answered(peer)
                peer.sendall(self._request())
            answers += len(self._peers)
        for peer in self._peers:
            answered(peer)
        answers += len(self._peers)
        return Turn(answers, time.perf_counter() - began, self.cpu() - used)

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        self._process.terminate()
        self._process.wait(20)
        self._said.close()
        self._folder.cleanup()


def answered(peer: socket.socket) -> None:
    got = b""
    while not got.endswith(b"\r\n\r\nhello"):
        more = peer.recv(4096)
        assert more, got
        got += more


@contextmanager
def serving(command: str, kind: str, stacks: tuple[str, ...], path: str) -> Iterator[dict[str, Served]]:
    running = {stack: Served(command, f"benchmarks.doors_app:{kind}_{stack}", path) for stack in stacks}
    try:
        for each in running.values():
            each.wait()
            each.burst(0.5)
        yield running
    finally:
        for each in running.values():
            each.close()


def turns_of(command: str, kind: str, stacks: tuple[str, ...], rounds: int, path: str = "/page?x=1") -> dict[str, list[Turn]]:
    """In turns, by stack: what each round took."""
    with serving(command, kind, stacks, path) as running:
        found: dict[str, list[Turn]] = {stack: [] for stack in running}
        for turn in range(rounds):
            for stack in (running, reversed(running))[turn % 2]:
                found[stack].append(running[stack].burst())
    return found


def compare(name: str, rounds: int = ROUNDS, stacks: tuple[str, ...] = tuple(STACKS)) -> None:
    found = turns_of(*SERVERS[name], ("bare", *stacks), rounds)
    bare = found.pop("bare")
    print(f"{name}: without them {median(turn.rate for turn in bare):,.0f} requests a second, {by_cpu(bare):,.0f} a CPU second")
    for stack, turns in found.items():
        tell(STACKS[stack], turns, bare, BARS.get(stack, ""))
        if stack in ("flags", "off") and name not in UNSTEADY:
            keep("servers", f"{name}: {STACKS[stack]}", by_cpu(turns) / by_cpu(bare))


def framed(kind: str) -> None:
    """An application of bench_request behind a server, bare, and with five flags of ours and of others."""
    framework, name = FRAMEWORKS[kind], FRAMED[kind]
    peers = {f"peer{number}": row.name for number, row in enumerate(peer_rows(framework))}
    named = {"given": "five flags, no middleware", "five": "five flags", "rolled": "five, one of them rolled out", **peers}
    found = turns_of(SERVERS[name][0], kind, ("bare", *named), FEWER, framework.path)
    bare = found.pop("bare")
    wall, cpu = median(turn.rate for turn in bare), by_cpu(bare)
    print(f"{framework.name} behind {name}: bare {wall:,.0f} requests a second, {cpu:,.0f} a CPU second")
    for stack, turns in found.items():
        tell(named[stack], turns, bare)
        keep(f"served {kind}", named[stack], by_cpu(turns) / by_cpu(bare), "peer" if stack in peers else "ours")


def tell(name: str, turns: list[Turn], bare: list[Turn], bar: str = "") -> None:
    wall = median(a.rate / b.rate for a, b in zip(turns, bare, strict=True))
    print(f"  {name:<42}{wall:6.2f}   by CPU {by_cpu(turns) / by_cpu(bare):.2f}   {bar}", flush=True)


def by_cpu(turns: list[Turn]) -> float:
    """Requests a CPU second, of all turns together: one of them is short beside the clock's steps."""
    return sum(turn.answers for turn in turns) / sum(turn.cpu for turn in turns)


def main(*only: str) -> None:
    if unknown := set(only) - {"servers"} - FRAMED.keys():
        raise SystemExit(f"nothing is called {', '.join(sorted(unknown))}; there are servers, {', '.join(FRAMED)}")
    print("requests a second behind real servers, trivial application, as a share of those without our middlewares")
    for name in SERVERS if not only or "servers" in only else ():
        compare(name)
    for kind in FRAMED:
        if not only or kind in only:
            framed(kind)


if __name__ == "__main__":
    main()
