"""
Where a request's cost grows: with the flags it asks, with what a flag says, with rollouts under way, listeners and threads; and what
all of it takes of memory. `python -m benchmarks growth [CURVE …]`.

A request is asked of the plainest application there is, in process, with FlagsMiddleware (bench_request says how it is timed). Each
point is a multiple of that application bare. What one more costs is told from each point to the next: where that does not rise, the
curve is linear or better. Memory is what tracemalloc has after a full collection, with the same made in another number taken from it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import progflags as pf
from benchmarks.bench_request import measured, quickest, start
from benchmarks.kept import keep
from benchmarks.peers import OURS
from benchmarks.request_apps import ATTRIBUTES, FRAMEWORKS, GATES, Row, Work, environs, five, nothing, turning
from progflags._clock import SYSTEM
from progflags.canary import Gate, Recorder
from progflags.events import Bus, Served

ROUNDS = 80
NOISE = 0.1
"""By how much of the last point's cost one more may seem to grow dearer, as quick rounds on a machine with others on it go."""
ASGI, WSGI = FRAMEWORKS["asgi"], FRAMEWORKS["wsgi"]
ROLLOUT = {"rollout": {"stages": [{"percent": 50, "bake": "10h", "gates": GATES}], "deadline": "20h"}}
Points = Mapping[str, Mapping[int, Any]]


@dataclass(frozen=True, slots=True)
class Curve:
    """`points()` gives, by line and then by number, the row that is asked."""

    name: str
    of: str  # what there is more and more of
    points: Callable[[], Points]


def connected(flags: dict[str, Any], *begun: str) -> pf.Flags:
    client = pf.connect({"flags": flags}, poll=None)
    for key in begun:
        client.rollouts.start(key)
    client.rollouts.tick()
    return client


def served(client: pf.Flags, work: Work, context: Callable[[Any], Any] = ASGI.context) -> Row:
    return Row("", ASGI.dressed(ASGI.plain(), client, context, None), work)


def asking(client: pf.Flags, keys: Sequence[str]) -> Work:
    def work(_: Any) -> None:
        for key in keys:
            client.is_enabled(key)

    return work


def asked() -> Points:
    numbers, kinds = (1, 5, 50), [OURS[name] for name in ("everybody", "half", "ruled", "tenth")]
    plain = {f"flag-{n}": kinds[n % 4] for n in range(max(numbers))}
    rolled = {f"rolled-{n}": ROLLOUT for n in range(max(numbers))}
    client = connected({**plain, **rolled}, *rolled)
    return {
        line: {n: served(client, asking(client, list(keys)[:n])) for n in numbers}
        for line, keys in (("as flags are", plain), ("each of them rolled out", rolled))
    }


def ruled() -> Points:
    """The user matches none, so that every rule is looked at where that is what it takes."""
    numbers = (1, 10, 100)
    same = {n: [{"when": f'country == "C{k}" and age > {k}', "serve": True} for k in range(n)] for n in numbers}
    other = {n: [{"when": f'age > {1000 + k} and country == "C{k}"', "serve": True} for k in range(n)] for n in numbers}
    flags = {f"{name}-{n}": {"rules": rules[n]} for name, rules in (("same", same), ("other", other)) for n in numbers}
    client, user = connected(flags), pf.Context("user-1", {"country": "PL", "age": 30})
    return {
        line: {n: served(client, asking(client, [f"{name}-{n}"]), lambda _: user) for n in numbers}
        for line, name in (("one attribute is one of so many values", "same"), ("a number is above so many others", "other"))
    }


def listed() -> Points:
    numbers, random_ = (50, 5_000, 50_000), random.Random(1)
    members = {n: [f"member-{random_.randrange(10**9)}" for _ in range(n)] for n in numbers}
    flags = {f"listed-{n}": {"rules": [{"when": f"targeting_key in {members[n]}".replace("'", '"'), "serve": True}]} for n in numbers}
    client = connected(flags)
    ours = {n: pf.Context(members[n][n // 2], ATTRIBUTES) for n in numbers}
    return {
        "a member": {n: served(client, asking(client, [f"listed-{n}"]), lambda _, n=n: ours[n]) for n in numbers},
        "no member, of 256 users": {n: served(client, asking(client, [f"listed-{n}"])) for n in numbers},
    }


def rolling() -> Points:
    """Clients of their own, for what is asked stays the same."""
    found: dict[str, dict[int, Row]] = {"five flags, none of them rolled out": {}, "five flags, one of them rolled out": {}}
    for number in (0, 5, 50):
        rolled = {f"rolled-{n}": ROLLOUT for n in range(number)}
        client = connected({**OURS, "released": ROLLOUT, **rolled}, *rolled)
        found["five flags, none of them rolled out"][number] = served(client, five(client))
        if number:
            released = connected({**OURS, "released": ROLLOUT, **rolled}, "released", *list(rolled)[1:])
            found["five flags, one of them rolled out"][number] = served(released, five(released, "released"))
    return found


def heard() -> Points:
    found = {}
    for number in (0, 1, 5, 20):
        client = connected({**OURS, "released": ROLLOUT}, "released")
        for _ in range(number):
            client.bus.listen(Served, lambda _: None)
        found[number] = served(client, five(client, "released"))
    return {"five flags, one of them rolled out": found}


CURVES = {
    "flags": Curve("flags asked", "flags asked in a request", asked),
    "rules": Curve("rules", "rules of the flag asked", ruled),
    "members": Curve("members", "members of the list asked", listed),
    "rollouts": Curve("rollouts", "rollouts under way", rolling),
    "listeners": Curve("listeners", "listeners that hear of requests", heard),
}


def drawn(curve: Curve, loop: asyncio.AbstractEventLoop) -> None:
    """All points of a curve in turns, beside the bare application."""
    points = curve.points()
    rows = [Row("bare", ASGI.plain())]
    for line, along in points.items():
        rows += [Row(f"{line}, {n}", row.app, row.work) for n, row in along.items()]
    found = measured(ASGI, rows, loop, ROUNDS)
    tell(curve, {line: {n: found[f"{line}, {n}"].seconds for n in along} for line, along in points.items()}, found["bare"].seconds)


def tell(curve: Curve, found: Mapping[str, Mapping[int, list[float]]], bare: list[float]) -> None:
    floor = quickest(bare)
    print(f"\n{curve.of} (bare: {floor * 1e6:.2f} µs)")
    for line, along in found.items():
        costs = {n: quickest(seconds) for n, seconds in along.items()}
        steps = list(marginal(costs))
        print(f"  {line:<44}" + "".join(f"{n:>9,}: {cost * 1e6:8.2f} µs" for n, cost in costs.items()))
        worse = len(steps) > 1 and (steps[-1] - max(steps[0], 0.0)) * (list(costs)[-1] - list(costs)[-2]) > NOISE * list(costs.values())[-1]
        told = "  ".join(f"{step * 1e9:,.1f} ns" for step in steps)
        print(f"  {'':<44}one more: {told}   {'WORSE THAN LINEAR' if worse else 'linear or better'}", flush=True)
        for n, seconds in along.items():
            keep(f"growth: {curve.name}", f"{line}, {n:,}", median(a / b for a, b in zip(seconds, bare, strict=True)))


def marginal(costs: Mapping[int, float]) -> Iterator[float]:
    """What one more costs, from each point to the next."""
    points = list(costs.items())
    for (n, cost), (more, dearer) in pairwise(points):
        yield (dearer - cost) / (more - n)


# ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def threads() -> None:
    """Requests of a WSGI application in so many threads at once, by the processor time of those threads."""
    client = connected({**OURS, "released": ROLLOUT}, "released")
    dressed = Row("", WSGI.dressed(WSGI.plain(), client, WSGI.context, None), five(client, "released"))
    rows = {"bare": Row("", WSGI.plain(), nothing), "alone": dressed, "beside a thread that never waits": dressed}
    numbers = (1, 4, 16)
    found: dict[str, dict[int, list[float]]] = {name: {n: [] for n in numbers} for name in rows}
    for _ in range(15):
        for name, row in rows.items():
            for n in numbers:
                with spinning() if name.startswith("beside") else idle():
                    found[name][n].append(together(row, n, 4000 // n if row.work is nothing else 1600 // n))
    bare = found.pop("bare")
    tell(Curve("threads", "threads that serve", dict), found, bare[1])
    print(f"  {'(bare)':<44}" + "".join(f"{n:>9,}: {quickest(seconds) * 1e6:8.2f} µs" for n, seconds in bare.items()))


def together(row: Row, number: int, each: int) -> float:
    """Processor seconds a request, of so many threads that begin at once."""
    used, gate, requests = [], threading.Barrier(number), environs(row)

    def work() -> None:
        request = turning(requests)
        gate.wait()
        began = time.thread_time()
        for _ in range(each):
            for _ in row.app(dict(request()), start):
                pass
        used.append(time.thread_time() - began)

    serving = [threading.Thread(target=work) for _ in range(number)]
    for thread in serving:
        thread.start()
    for thread in serving:
        thread.join()
    return sum(used) / (number * each)


class idle:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class spinning:
    """A thread that holds the interpreter for as long as it is let."""

    def __enter__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stop.is_set():
            sum(range(2000))

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


# ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def held(make: Callable[[], object]) -> int:
    """Bytes that what is made holds, by tracemalloc."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return size


def memory() -> None:
    print(f"\n{'memory, by tracemalloc, of one more':<60}{'KiB':>8}   from – to")

    def line(name: str, make: Callable[[int], object], *numbers: int) -> None:
        make(numbers[0])  # what is made once
        for (n, smaller), (more, larger) in pairwise([(n, held(partial(make, n))) for n in numbers]):
            step = (larger - smaller) / (more - n) / 1024
            print(f"{name:<60}{step:>8.2f}   {n:,} – {more:,}", flush=True)
            keep("memory", f"{name}, {n:,} to {more:,}", step)

    kinds = [OURS[name] for name in ("everybody", "half", "ruled", "layout")]
    line("flag, a quarter of each kind, asked", flagged(lambda n: kinds[n % 4]), 100, 1000, 10_000)
    line("rule of two conditions", lambda n: flagged(lambda _: {"rules": rules(n)})(1), 10, 100, 1000)
    line("member of a list", lambda n: flagged(lambda _: {"rules": [{"when": member(n), "serve": True}]})(1), 50, 5_000, 50_000)
    line("rollout under way, two gates, nothing counted", lambda n: rolled(n, 0), 1, 10, 50)
    line("rollout under way, 1,000 users counted", lambda n: rolled(n, 1000), 1, 10, 50)
    line("user counted in a rollout", lambda n: rolled(1, n), 1_000, 50_000, 100_000)
    for kind, gate in METRICS.items():
        line(f"metric on both arms: {kind}", partial(counted, gate), 1, 8, 24)


def rules(number: int) -> list[dict[str, Any]]:
    return [{"when": f'country == "C{k}" and age > {k}', "serve": True} for k in range(number)]


def member(number: int) -> str:
    names = ", ".join(f'"member-{k}"' for k in range(number))
    return f"targeting_key in [{names}]"


def flagged(kind: Callable[[int], dict[str, Any]]) -> Callable[[int], object]:
    def make(number: int) -> pf.Flags:
        client = connected({f"flag-{n}": kind(n) for n in range(number)})
        client.evaluate_all(pf.Context("user-1", ATTRIBUTES))
        return client

    return make


def rolled(number: int, users: int) -> pf.Flags:
    flags = {f"rolled-{n}": ROLLOUT for n in range(number)}
    client = connected(flags, *flags)
    for user in range(users):
        with pf.bind(pf.Context(f"user-{user}"), fresh=True) as scope:
            for key in flags:
                client.is_enabled(key)
            client.bus.tell(Served.of(scope, 0.01 + user % 97 / 1000, failed=user % 50 == 0))
    for key in flags:
        client.metrics.window(key)
    return client


METRICS: dict[str, Callable[[int], Gate]] = {
    "a share of users, of 1,000 each": lambda n: Gate(f"bought-{n}", max_decrease=0.1),
    "a quantile": lambda n: Gate(f"p99_size-{n}", max_increase=0.1),
    "a mean": lambda n: Gate(f"mean_size-{n}", max_increase=0.1),
}


def counted(gate: Callable[[int], Gate], number: int) -> Recorder:
    recorder, random_ = Recorder(Bus(), SYSTEM), random.Random(1)
    gates = [gate(n) for n in range(number)]
    recorder.count("flag", 1, gates)
    for user in range(1000):
        for arm in ("control", "candidate"):
            unit = b"%d" % user
            bought = [one.metric for one in gates if one.metric.startswith("bought")]
            recorder.record("flag", arm=arm, seconds=0.1, error=False, unit=unit, events=bought)
            for one in gates:
                if one.metric not in bought:
                    recorder.observe("flag", one.sample, random_.lognormvariate(3, 1), arm=arm)
    recorder.window("flag")
    return recorder


def main(*only: str) -> None:
    logging.disable(logging.WARNING)
    others = {"threads": threads, "memory": memory}
    if unknown := set(only) - CURVES.keys() - others.keys():
        raise SystemExit(f"no curve is called {', '.join(sorted(unknown))}; there are {', '.join([*CURVES, *others])}")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    print("processor time of a request in process, plain ASGI with FlagsMiddleware; one more: what another one costs, point to point")
    for name in only or (*CURVES, *others):
        if name in CURVES:
            drawn(CURVES[name], loop)
        else:
            others[name]()
    loop.close()


if __name__ == "__main__":
    main()
