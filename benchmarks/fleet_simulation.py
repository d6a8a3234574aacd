"""
How far each way to share live state carries, computed: a hundred, a thousand, ten thousand and a hundred thousand processes.

A discrete-event model (`fleet_model`) of what the library does, with its own intervals and back-off, made of processor times that were
measured; `tests/scenarios/test_fleet_model.py` holds it to what was measured of real processes.

`python -m benchmarks.fleet_simulation` prints the tables, after two minutes or so; `--write` puts them and the plot into the documentation.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench_fleet import HOST
from benchmarks.fleet_followers import follow
from benchmarks.fleet_model import Fleet, World
from benchmarks.fleet_point import Point
from benchmarks.fleet_points import FILE, Found, found
from progflags.rollout.run import _windows

SIZES = (100, 1_000, 10_000, 100_000)
STORM = 10.0  # seconds over which all of them start
IDLE, ROLLOUT, BATCHES, ENDED, AWAY, BACK = 40.0, 30.0, 20.0, 8.0, 20.0, 12.0  # seconds that each of it takes; see `row`
LONGEST = 300.0  # that a start is waited for


@dataclass(frozen=True, slots=True)
class Way:
    """One way to share: its name for people, and in a table, and what a fleet that goes it is, see `Fleet`."""

    name: str
    short: str
    server: str = "PostgreSQL"
    per_host: int = 0
    hints: bool = True
    most: int = 10_000  # processes beyond which there is nothing to compute


DIRECT = Way("PostgreSQL, a connection each", "PostgreSQL")
REDIS = Way("Redis, two connections each", "Redis", server="Redis")
POOLED = Way("PostgreSQL through PgBouncer", "PgBouncer", hints=False)
HOSTS = Way(f"PostgreSQL, `host_cache`, {HOST} to a host", "`host_cache`", per_host=HOST, most=100_000)
WAYS = (DIRECT, REDIS, POOLED, HOSTS)
POLLED = 0.01  # seconds between two looks of the benchmark at its own answers
PREPARED = 5  # statements, about, before a new connection is of use
POOL = 20  # connections that PgBouncer has to the server, as it comes


@dataclass(frozen=True, slots=True)
class Row:
    """
    A second: statements `idle` and with a `rollout`, `bytes` with it, and the share that it takes of the server's `processors`, at most 1.
    Seconds: `ended`, from a rollback until half and until all serve nobody; `old`, from a request until it is decided on, at most;
    `supplied`, until the last of those that start within ten has what it needs; `back`, until all are answered again by a server that was
    away. `storm`, `rush`: statements in the busiest second of either. `failed`: questions that were given up for want of an answer.
    """

    way: str
    processes: int
    connections: int
    idle: float
    rollout: float
    bytes: float
    processors: float
    ended: tuple[float, float]
    old: float
    supplied: float
    storm: int
    back: float
    rush: int
    failed: int


def fleet_of(way: Way, processes: int, known: Found, **more: Any) -> Fleet:
    """With windows, put up twice a batch, and documents, read once, as large as they were measured of the most processes."""
    most = max(point.processes for point in known.points)
    alone, shared = known.point(way.server, most), known.point(way.server, most, shared=True)
    assert alone is not None
    batch = Fleet(1, {}).batch
    put_up = alone.put_up / most
    if way.per_host and shared is not None:
        put_up = shared.put_up / shared.hosts / 2  # a host sends twice for each that its processes put up
    costs = known.costs[way.server]
    if not way.hints:  # the pooler's connections are there; what a client asks at its start is not saved
        costs = {**costs, "open": {kind: PREPARED * seconds for kind, seconds in costs["revision"].items()}}
    sizes = {"window": round(put_up * batch / _windows._PER_BATCH), "documents": round(alone.documents / most * batch)}
    processors = 1 if way.server == "Redis" else 2  # it answers in one thread
    return Fleet(processes, costs, way.per_host, hints=way.hints, processors=processors, **sizes, **more)


def row(way: Way, processes: int, known: Found) -> Row:
    """All of them start within ten seconds; nothing happens for a while; a rollout, and its end; the server is away, and comes back."""
    world = World(fleet_of(way, processes, known, starts_within=STORM))
    events, seen, server, askers = world.events, world.seen, world.server, len(world.askers)

    def go(seconds: float) -> float:
        events.run(events.now + seconds)
        return events.now

    go(STORM)
    while len(seen.supplied) < askers and events.now < LONGEST:
        go(5.0)
    storm = max(seen.by_second.values())
    go(10.0)
    asked = seen.asked.total()
    go(IDLE)
    idle = (seen.asked.total() - asked) / IDLE
    world.roll_out()
    go(ROLLOUT - BATCHES)
    asked, moved, busy, failed, seen.lags[:] = seen.asked.total(), seen.bytes, server.busy, seen.failed, []
    ended = go(BATCHES)
    each = [seen.asked.total() - asked, seen.bytes - moved, (server.busy - busy) / world.fleet.processors]
    revision = world.roll_back()
    go(ENDED)
    served, failed = sorted(seen.served[revision]), seen.failed - failed
    world.stop(AWAY)
    back = go(AWAY)
    end = go(BACK)
    while len(seen.back) < askers and events.now < back + LONGEST:
        go(5.0)
    connections = POOL if not way.hints else askers * (2 if way.server == "Redis" else 1) + bool(way.per_host)
    return Row(
        way.name,
        processes,
        connections,
        idle,
        *(number / BATCHES for number in each),
        (_when(served[: -(-processes // 2)], processes // 2, ended), _when(served, processes, ended)),
        float(max((lag.max() for lag in seen.lags), default=float("inf"))),
        _when(seen.supplied, askers, 0.0),
        storm,
        _when(seen.back, askers, back),
        max((seen.by_second[second] for second in range(int(back), int(end))), default=0),
        failed,
    )


def _when(times: list[float], number: int, began: float) -> float:
    """When so many had done it; never, where it was fewer."""
    return max(times) - began if len(times) >= number else float("inf")


def measured(point: Point, known: Found, seeds: int = 5) -> dict[str, float]:
    """What the model says of a fleet that was measured: on the same processors as its server."""
    way = DIRECT if point.server == "PostgreSQL" else REDIS
    per_host = -(-point.processes // point.hosts) if point.hosts else 0
    told: dict[str, list[float]] = {"idle": [], "busy": [], "put_up": [], "kill": [], "death": []}
    for seed in range(seeds):
        world = World(Fleet(point.processes, known.costs[way.server], per_host, seed=seed))
        world.events.run(20.0)
        before = world.seen.asked.total()
        world.events.run(80.0)
        told["idle"].append((world.seen.asked.total() - before) / 60 / point.processes)
        world.roll_out()
        world.events.run(95.0)
        before, put_up = world.seen.asked.total(), world.seen.put_up
        world.events.run(155.0)
        told["busy"].append((world.seen.asked.total() - before) / 60 / point.processes)
        told["put_up"].append((world.seen.put_up - put_up) / 60)
        told["kill"].append(_killed(point, known, per_host, seed))
        if point.processes > 1:
            told["death"].append(_died(point, known, per_host, seed))
    return {what: statistics.median(each) for what, each in told.items() if each}


def _beside(point: Point, known: Found, per_host: int, seed: int, batch: float) -> World:
    beside: dict[str, Any] = {
        "processors": known.processors,
        "beside": True,
        "idle": point.processor,
        "polled": POLLED,
        "looked": point.verdicts.times,
    }
    return World(Fleet(point.processes, known.costs[point.server], per_host, batch=batch, seed=seed, **beside))


def _killed(point: Point, known: Found, per_host: int, seed: int) -> float:
    world = _beside(point, known, per_host, seed, 1.0)
    world.events.run(5.0)
    revision = world.change()
    world.events.run(15.0)
    return max(world.seen.served[revision]) - 5.0


def _died(point: Point, known: Found, per_host: int, seed: int) -> float:
    """In batches, of a second; killed two and a half after it was last seen to have changed hands, as the benchmark does."""
    world = _beside(point, known, per_host, seed, 1.0)
    world.roll_out()
    world.events.run(0.1)
    while len(world.seen.decided) < 2:
        world.events.run(world.events.now + 0.05)
    world.events.run(world.events.now + 0.4)
    began, before = world.events.now, len(world.seen.decided)
    world.die()
    world.events.run(began + 10)
    return world.seen.decided[before] - began


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    asked.add_argument("--points", type=Path, default=FILE)
    asked.add_argument("--write", action="store_true", help="into docs/explanation, tables and plot")
    told = asked.parse_args()
    known = found(told.points)
    rows = []
    for size in told.sizes:
        for way in WAYS:
            if size <= way.most:
                rows.append(row(way, size, known))
                print(rows[-1], f"{time.process_time():.0f} s of processor", flush=True)
    followed = {size: follow(size) for size in told.sizes}
    from benchmarks import fleet_page

    print(fleet_page.text(known, rows, followed))
    if told.write:
        fleet_page.write(known, rows, followed)


if __name__ == "__main__":
    main()
