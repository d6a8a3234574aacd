"""
What a whole request pays, in process and without a socket: `python -m benchmarks request [FRAMEWORK …] [alone]`.

Seven frameworks give the same small answer: bare, with FlagsMiddleware, with flags asked in the handler. All rows of a framework
are asked in turns, in many short rounds, and a row is compared with the bare one of the same round; the figures are medians over
rounds, and beside them stands what the quickest rounds say. Times are processor time of the asking thread (of the whole process where a
framework answers with threads), so that other programs' turns are not in it. Memory is collected between rounds, never in one.

Five flags of other libraries are asked in the same handlers, in the same turns; `alone` leaves them out. Rules and shares are alike but for
django-waffle's, which has neither rules nor variants and chooses by chance.

Each request runs in a context of its own, as a server's tasks do, and comes from one of 256 users.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from multiprocessing import get_context
from statistics import median
from typing import Any

from benchmarks.kept import keep
from benchmarks.request_apps import FRAMEWORKS, Framework, Row, Whose, batches, environs, scopes, turning

ROUNDS, SECONDS = 200, 0.0015
"""How many rounds, and how long a row is asked in one of them."""
BARS = {"no flag asked": 2.5, "one flag five times, context at hand": 4.5, "five flags": 4.5, "five, one of them rolled out": 8.0}
Burst = Callable[[int], float]


@dataclass(slots=True)
class Asked:
    """A row, and the seconds that a request took in each round."""

    row: Row
    burst: Burst
    number: int = 0
    seconds: list[float] = field(default_factory=list)

    def beside(self, other: Asked) -> tuple[float, float, float, float]:
        """Seconds added to the other's, by the middle and by the quickest rounds; and as a multiple, by both."""
        pairs = list(zip(self.seconds, other.seconds, strict=True))
        mine, theirs = quickest(self.seconds), quickest(other.seconds)
        return median(a - b for a, b in pairs), mine - theirs, median(a / b for a, b in pairs), mine / theirs


def quickest(seconds: list[float]) -> float:
    """The median of the best tenth."""
    return median(sorted(seconds)[: max(1, len(seconds) // 10)])


class Answers:
    """What came back: kept while it is looked at, thrown away while it is timed."""

    def __init__(self) -> None:
        self.heads: list[tuple[int, list[tuple[str, str]]]] = []
        self.body = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.heads.append((message["status"], [(name.decode().lower(), value.decode()) for name, value in message["headers"]]))
        else:
            self.body += message["body"]

    def start(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        self.heads.append((int(status[:3]), [(name.lower(), value) for name, value in headers]))


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def never() -> dict[str, Any]:
    await asyncio.Future()
    raise AssertionError


async def send(_: Any) -> None:
    """What a server would do with it is no part of this."""


def start(*_: Any) -> None:
    """Likewise."""


def looked_at(framework: Framework, row: Row, loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """The row's requests, each asked once: it is answered, and a visitor who comes again brings the cookie that came with it."""
    requests = scopes(row, framework.path) if framework.protocol == "asgi" else environs(row)
    for request in requests:
        answers = Answers()
        if framework.protocol == "wsgi":
            answers.body = b"".join(row.app(dict(request), answers.start))
        elif framework.waits:
            loop.run_until_complete(row.app(dict(request), Once(), answers.send))
        else:
            loop.run_until_complete(row.app(dict(request), receive, answers.send))
        (status, headers), *_ = answers.heads
        assert status == 200, (framework.name, row.name, status)
        assert answers.body == b"hello", (framework.name, row.name, answers.body)
        if row.cookie:
            bring(request, headers)
    return requests


def bring(request: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    told = SimpleCookie("; ".join(value for name, value in headers if name == "set-cookie"))
    pairs = "; ".join(f"{name}={morsel.value}" for name, morsel in told.items())
    assert pairs, headers
    if "headers" in request:
        request["headers"] = [*request["headers"], (b"cookie", pairs.encode())]
    else:
        request["HTTP_COOKIE"] = pairs


class Once:
    """A request's body, and then a client that stays: Django listens for one that leaves."""

    def __init__(self) -> None:
        self.asked = False

    async def __call__(self) -> dict[str, Any]:
        if self.asked:
            await asyncio.Future()
        self.asked = True
        return {"type": "http.request", "body": b"", "more_body": False}


def burst_of(framework: Framework, row: Row, loop: asyncio.AbstractEventLoop) -> Burst:
    """Asks so many requests, and returns the seconds that they took together."""
    app, request = row.app, turning(looked_at(framework, row, loop))

    def answers(number: int) -> float:
        began = time.thread_time()
        for _ in range(number):
            for _ in app(dict(request()), start):
                pass
        return time.thread_time() - began

    async def stepped(number: int) -> float:
        began = time.thread_time()
        for _ in range(number):
            coroutine = app(dict(request()), receive, send)
            try:
                copy_context().run(coroutine.send, None)
            except StopIteration:
                continue
            raise AssertionError("it waited")
        return time.thread_time() - began

    async def waited(number: int) -> float:
        began = time.process_time()
        for _ in range(number):
            await loop.create_task(app(dict(request()), Once(), send))
        return time.process_time() - began

    if framework.protocol == "wsgi":
        return answers
    one = waited if framework.waits else stepped

    def asked(number: int) -> float:
        taken = loop.run_until_complete(one(number))
        loop.run_until_complete(afterwards())
        return taken

    return asked


async def afterwards() -> None:
    """What a request left for later is done, in nobody's time."""
    for _ in range(3):
        await asyncio.sleep(0)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """The collector runs when it is told to, and only over what is made from here on."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def measured(framework: Framework, found: list[Row], loop: asyncio.AbstractEventLoop, rounds: int) -> dict[str, Asked]:
    asked = {row.name: Asked(row, burst_of(framework, row, loop)) for row in found}
    turns = list(asked.values())
    for one in turns:
        one.number = max(4, round(SECONDS / min(one.burst(40) / 40 for _ in range(5))))
    with nothing_collected():
        for turn in range(rounds):
            for one in turns if turn % 2 else reversed(turns):
                one.seconds.append(one.burst(one.number) / one.number)
            gc.collect()
    return asked


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it is told: seconds added to what it is set beside, by the middle and by the quickest rounds, and as multiples."""

    name: str
    beside: str
    whose: Whose
    added: float
    least: float
    ratio: float
    quick: float


def measure(name: str, peers: bool) -> tuple[float, float, list[Line]]:
    """One framework, in a process of its own: what OpenTelemetry listens to stays there. Seconds of the bare request, and the lines."""
    logging.disable(logging.WARNING)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    framework = FRAMEWORKS[name]
    lines: list[Line] = []
    bare: list[float] = []
    for batch in batches(framework, peers):
        asked = measured(framework, list(batch), loop, ROUNDS)
        bare = bare or asked["bare"].seconds
        lines += [Line(one.row.name, one.row.beside, one.row.whose, *one.beside(asked[one.row.beside])) for one in asked.values()]
    loop.close()
    return median(bare), quickest(bare), lines


def tell(name: str, bare: tuple[float, float], lines: list[Line]) -> None:
    print(f"\n{FRAMEWORKS[name].name}: bare {bare[0] * 1e6:.2f} µs a request, the quickest rounds {bare[1] * 1e6:.2f}")
    print(f"  {'':<46}{'µs added':>9}{'quickest':>10}{'× bare':>8}")
    for line in lines:
        if line.name == "bare":
            continue
        bar = f"   bar: {BARS[line.name]}" if name == "fastapi" and line.name in BARS else ""
        base = f"   × {line.beside}" if line.beside != "bare" else ""
        print(f"  {line.name:<46}{line.added * 1e6:>9.2f}{line.least * 1e6:>10.2f}{line.ratio:>8.2f}{bar}{base}", flush=True)


def main(*only: str) -> None:
    peers = "alone" not in only
    only = tuple(name for name in only if name != "alone")
    unknown = set(only) - FRAMEWORKS.keys()
    if unknown:
        raise SystemExit(f"no framework is called {', '.join(sorted(unknown))}; there are {', '.join(FRAMEWORKS)}")
    print("processor time of a whole request in process, beside the same application bare: medians over rounds in turns")
    for name in only or FRAMEWORKS:
        with ProcessPoolExecutor(1, get_context("spawn")) as aside:
            usual, least, lines = aside.submit(measure, name, peers).result()
        tell(name, (usual, least), lines)
        for line in lines:
            if line.whose != "floor" or line.name != "bare":
                of = "" if line.beside == "bare" else f", of {line.beside}"
                keep(f"request {name}", line.name + of, line.quick, line.whose)


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
