"""
What goes on beside traffic: `python -m benchmarks beside [reload] [ticks] [why]`.

All of 10,000 flags change, over and over, while another thread wakes every millisecond, or evaluates without a pause; how long it
waits, by the wall and by what the reloading thread took of the processor meanwhile. And fifty rollouts are looked at five times a
second, as in the background of a client, while requests are answered: their p99 in turns with and without. `why` tells the
longest stretches of either in which no other thread of Python can run, by that thread's own time: other programs do not lengthen them.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from statistics import median
from typing import Any

import progflags as pf
from benchmarks.bench_evaluate import flags_of
from benchmarks.bench_request import receive, send
from benchmarks.kept import Figure, keep, kept
from benchmarks.peers import OURS
from benchmarks.request_apps import ATTRIBUTES, FRAMEWORKS, GATES, Row, scopes, turning
from progflags._clock import SYSTEM
from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client
from progflags.sources import Loader, Piece

FLAGS, LOADS = 10_000, 12
TICK = 0.2
"""Seconds between two looks of a client at its rollouts."""


class Saves:
    """A source whose flags are other ones at every look: one of them (its percentage), or all (their descriptions)."""

    name = "flags.json"

    def __init__(self, *, every: bool) -> None:
        text = flags_of(FLAGS).encode()
        old, new = (b"What it is for", b"What it was for") if every else (b'"percent": 50', b'"percent": 51')
        self.texts = (text, text.replace(old, new, -1 if every else 1))
        self.number = 0

    def read(self) -> tuple[Piece, ...]:
        self.number += 1
        return (Piece(self.name, "json", self.texts[self.number % 2]),)


class Reloading:
    """A client whose flags are loaded anew, so many times; then the thread ends."""

    def __init__(self, *, every: bool, loads: int = LOADS) -> None:
        self.client = Client(bus=Bus(), clock=SYSTEM)
        self.loader = Loader(Saves(every=every))
        self._loads = loads
        self.took: list[float] = []
        self.client.install(self.loader.first())
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for _ in range(self._loads):
            began = time.thread_time()
            self.client.install(self.loader.load().snapshot)
            self.took.append(time.thread_time() - began)
            time.sleep(0.05)


class Spinning:
    """Nothing is loaded: a thread computes, so that what the interpreter's own turns cost is seen."""

    def __init__(self) -> None:
        self.client = Client(bus=Bus(), clock=SYSTEM)
        self.took: list[float] = []
        self.client.install(Loader(Saves(every=False)).first())
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            sum(i for i in range(10_000))


def waking(client: Client) -> None:
    time.sleep(0.001)


def evaluating(client: Client) -> None:
    client.is_enabled("flag-0", USER)
    client.is_enabled("flag-1", USER)


USER = Context("user-1", ATTRIBUTES)


class Waits:
    """How long each step of another thread took: by the wall, and of the processor by the thread beside it."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.taken: list[float] = []

    def during(self, work: Any, step: Callable[[Client], None]) -> Waits:
        thread, client = work.thread, work.client
        thread.start()
        used = time.pthread_getcpuclockid(thread.ident)
        with suppress(OSError):  # the thread ends, and its clock with it
            before, start = time.clock_gettime(used), time.perf_counter()
            while thread.is_alive():
                step(client)
                now = time.perf_counter()
                if now - start > 0.0005:
                    after = time.clock_gettime(used)
                    self.wall.append(now - start)
                    self.taken.append(after - before)
                    before = after
                start = time.perf_counter()
        thread.join()
        return self


BESIDE: dict[str, Callable[[], Any]] = {
    "a plain Python loop": Spinning,
    "10,000 flags, one changed": lambda: Reloading(every=False),
    "10,000 flags, all changed": lambda: Reloading(every=True),
}


def reload() -> None:
    print("how long another thread waits, ms (in brackets: what the thread beside it took of the processor meanwhile)")
    print(f"{'':30}{'':14}{'p50':>7}{'p99':>8}{'longest':>9}{'[p99':>9}{'longest]':>9}{'a load':>9}   bar: longest 15")
    for name, make in BESIDE.items():
        for kind, step in (("waking", waking), ("evaluating", evaluating)):
            work = make()
            waits = Waits().during(work, step)
            wall, taken = sorted(waits.wall), sorted(waits.taken)
            at = [wall[len(wall) // 2], wall[int(len(wall) * 0.99)], wall[-1], taken[int(len(taken) * 0.99)], taken[-1]]
            load = median(work.took) if work.took else 0.0
            cells = "".join(f"{1e3 * one:>{width}.1f}" for one, width in zip((*at, load), (7, 8, 9, 9, 9, 9), strict=True))
            print(f"{name:30}{kind:14}{cells}", flush=True)
            if isinstance(work, Reloading):
                keep("beside", f"{name}, another thread {kind}: longest wait", taken[-1] * 1e3)


def stretches(work: Callable[[], object], times: int) -> dict[str, list[float]]:
    """
    By place, the stretches of the thread's own processor time in which no other thread of Python can run, of a millisecond and more.

    From each line to the next: calls of C between them, what is freed there, and the collector's runs; another thread gets its turn at
    the end of one, if it has asked for it 5 ms before. They don't depend on who else uses the machine.
    """
    found: dict[str, list[float]] = {}
    clock, collected = time.thread_time, [0.0]
    last: list[Any] = [0.0, ""]

    def collector(phase: str, told: dict[str, int]) -> None:
        if phase == "start":
            collected[0] = clock()
        else:
            found.setdefault(f"the collector, generation {told['generation']}", []).append(clock() - collected[0])
            last[0] = clock()

    def line(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is collector.__code__:
            return None
        took = clock() - last[0]
        here = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        if took > 0.001:
            found.setdefault(f"{last[1]} to {here} {frame.f_code.co_name}", []).append(took)
        last[:] = clock(), here
        return line

    gc.callbacks.append(collector)
    for _ in range(times):
        last[:] = clock(), "the beginning"
        sys.settrace(line)
        try:
            work()
        finally:
            sys.settrace(None)
    gc.callbacks.remove(collector)
    return found


def why() -> None:
    """The longest stretches of a reload, and of a look at fifty rollouts."""
    work, (client, _) = Reloading(every=True), rolling()

    def load() -> None:
        work.client.install(work.loader.load().snapshot)

    def look() -> None:
        time.sleep(TICK)
        client.rollouts.tick()

    load()
    for name, part, times in (("10,000 flags, all changed", load, 2), (f"a look at {ROLLOUTS} rollouts", look, 10)):
        found = stretches(part, times)
        print(f"\n{name}: stretches in which no other thread runs, of {times} in all")
        for place, seconds in sorted(found.items(), key=lambda one: -max(one[1]))[:12]:
            print(f"  {len(seconds):>4} ×  at most {max(seconds) * 1e3:6.1f} ms  {place}")
        keep("beside", f"{name}: longest stretch", max((max(seconds) for seconds in found.values()), default=0.0) * 1e3)


# ── ticks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


ROLLOUTS, BLOCKS, SLICES = 50, 10, 10
"""In each block so many slices with a look in another thread, and as many without one, which is taken between two of them."""


def computing(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(100))


def rolling() -> tuple[pf.Flags, list[str]]:
    """A client with fifty rollouts under way, which began at different moments and have met users."""
    plan = {"stages": [{"percent": 50, "bake": "10h", "gates": GATES}], "deadline": "20h", "batch": "1s"}
    flags = {f"rolled-{n}": {"rollout": plan} for n in range(ROLLOUTS)}
    client = pf.connect({"flags": {**OURS, **flags}}, poll=None)
    for key in flags:
        client.rollouts.start(key)
        for user in range(200):
            for arm in ("control", "candidate"):
                client.metrics.record(key, arm=arm, seconds=0.01 + user / 1e4, error=user % 50 == 0, unit=b"%d" % user)
        client.rollouts.tick()
        time.sleep(1 / ROLLOUTS)
    return client, list(flags)


def p99(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99)]


def ticks() -> None:
    """A request as they are: a millisecond of Python with five short waits, for each of which it must win the interpreter back."""
    (client, keys), framework = rolling(), FRAMEWORKS["asgi"]

    def work(_: Any) -> None:
        for part in range(5):
            client.is_enabled(keys[part * 10 + int(time.perf_counter() * 1e6) % 10])
            computing(0.0002)
            time.sleep(0.0001)

    row = Row("", framework.dressed(framework.plain(), client, framework.context, None), work)
    request, looks = turning(scopes(row)), []

    def look() -> None:
        began = time.thread_time()
        client.rollouts.tick()
        looks.append(time.thread_time() - began)

    def requests(taken: list[float], beside: threading.Thread | None = None) -> None:
        until = time.perf_counter() + TICK
        while time.perf_counter() < until or (beside is not None and beside.is_alive()):
            began = time.perf_counter()
            with suppress(StopIteration):
                row.app(dict(request()), receive, send).send(None)
            taken.append(time.perf_counter() - began)

    def block() -> tuple[float, float]:
        """p99 with and without."""
        taken: dict[bool, list[float]] = {True: [], False: []}
        for number in range(2 * SLICES):
            if number % 2:
                requests(taken[False])
                look()
            else:
                beside = threading.Thread(target=look)
                beside.start()
                requests(taken[True], beside)
        return p99(taken[True]), p99(taken[False])

    block()
    pairs = [block() for _ in range(BLOCKS)]
    ratios = sorted(a / b for a, b in pairs)
    least = [min(pair[which] for pair in pairs) for which in (0, 1)]
    spread = f"quarters {ratios[len(ratios) // 4]:.2f} to {ratios[-len(ratios) // 4]:.2f}"
    quick = f"the quickest blocks {least[0] / least[1]:.3f}, of {least[1] * 1e3:.2f} ms"
    print(f"\n{ROLLOUTS} rollouts, looked at {1 / TICK:.0f} times a second")
    print(f"a look: {median(looks) * 1e3:.1f} ms, at most {max(looks) * 1e3:.1f}")
    print(f"p99 of a request beside it: {median(ratios):.3f} × without ({spread}; {quick})   bar: 1.05")
    keep("beside ticks", f"{ROLLOUTS} rollouts", median(ratios))


PARTS = {"reload": reload, "ticks": ticks, "why": why}


def apart(name: str) -> dict[str, list[Figure]]:
    """A part in a process of its own, where the collector has nothing else to go over; what it kept."""
    logging.disable(logging.WARNING)
    PARTS[name]()
    return kept()


def main(*only: str) -> None:
    if unknown := set(only) - PARTS.keys():
        raise SystemExit(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in only or PARTS:
        with ProcessPoolExecutor(1, get_context("spawn")) as aside:
            for panel, figures in aside.submit(apart, name).result().items():
                for one in figures:
                    keep(panel, one.name, one.value, one.whose)


if __name__ == "__main__":
    main()
