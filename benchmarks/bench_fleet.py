"""
What a fleet asks of its store, and how fast it acts together: 8 and 64 processes on PostgreSQL and Redis, on this machine.
`python -m benchmarks.fleet_points` does the same with 1 to 64, and keeps what it found for the simulation.

Each process is an ordinary client with the default polls that notes what it asks of the store and when its answers change. Printed per
process and second: questions to the store while nothing happens, and with a rollout of the default batch (10 s) under way; bytes of
windows put up, and of those read to judge. Then, with a batch of a second: from the verdict, and from a kill, until the last of them
serves nobody; and from `kill -9` of the process that looks at the rollout until another has decided, in batches. Last the same processes
as four hosts, with `host_cache`: what they ask of the server is then counted on their connections to it.

`python -m benchmarks fleet` takes about twelve minutes; the fleet's own work is most of what this machine does then.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import queue
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

import progflags as pf
from benchmarks.fleet_point import HEAD, Point, Spread, line
from progflags._connect import _connect
from progflags._json import canonical
from progflags.errors import ProgflagsError
from progflags.events import Judged
from progflags.store import open_store

SIZES = (8, 64)
HOST = 16  # processes that share a folder, in the rows with one connection a host
SERVERS = {"PostgreSQL": "postgresql://postgres@127.0.0.1:5432/test", "Redis": "redis://127.0.0.1:6379/0"}
USERS = [f"u{n}" for n in range(10)]


def rollout(batch: str) -> dict[str, Any]:
    gates = [{"metric": "error_rate", "max": 0.05}, {"metric": "p99_latency", "max_increase": 0.5}]
    return {"rollout": {"stages": [{"percent": 50, "bake": "8h", "gates": gates}], "batch": batch, "brake": False}}


FLAGS = {"flags": {"switch": {"percent": 100}, "slow": rollout("10s"), "fast": rollout("1s")}}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is measured: seconds, before and while it is counted what is asked; how often, verdicts and kills, and deaths."""

    settle: float = 12.0
    measured: float = 40.0
    rounds: int = 15
    deaths: int = 5


class Counted:
    """What this process asks of its server, by kind, and the bytes of the rows; over whichever connections it opens."""

    def __init__(self) -> None:
        self.asked: collections.Counter[str] = collections.Counter()
        self.open: list[Any] = []
        opened = _connect.open_store

        def opening(*arguments: Any, **options: Any) -> Any:
            store = opened(*arguments, **options)
            self.open.append(store)
            store.close = partial(self._closed, store, store.close)
            for name in ("revision", "read", "commit", "history", "now"):
                self._count(store, name)
            for name in ("publish", "collect", "clear"):
                self._count(store.board, name)
            return store

        _connect.open_store = opening

    def _closed(self, store: Any, close: Callable[[], object]) -> None:
        if store in self.open:
            self.open.remove(store)
        close()

    def _count(self, thing: Any, name: str) -> None:
        real = getattr(thing, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.asked["asked"] += 1
            if name == "publish":
                self.asked["put up"] += len(arguments[3])
            found = real(*arguments, **options)
            if name == "collect":
                self.asked["read"] += sum(len(row.body) for row in found)
            if name == "read":
                self.asked["documents"] += sum(len(canonical(one.body)) for one in found[1].values())
            return found

        setattr(thing, name, counted)


def serve(address: str, folder: str | None, told: Any, wishes: Any) -> None:
    """A worker. It says when its answers change, when it finds a candidate bad, and on request what it has asked since."""
    counted = Counted()
    with pf.connect(FLAGS, store=address, host_cache=folder) as flags:
        flags.bus.listen(Judged, lambda event: event.decision == "ROLLBACK" and told.put(("judged", time.monotonic())))
        told.put(("ready", (os.getpid(), flags.rollouts._parts.pool.worker)))
        served = {"switch": True, "fast": False}
        bad, last, spent = False, 0.0, time.process_time()
        while True:
            for flag, was in served.items():
                now = any(flags.is_enabled(flag, user) for user in USERS)
                if now != was:
                    served[flag] = now
                    told.put((flag, (now, time.monotonic())))
            if time.monotonic() - last > 0.2:
                last = time.monotonic()
                for flag in ("slow", "fast"):
                    flags.metrics.record(flag, arm="control", seconds=0.01, error=False, n=5)
                    flags.metrics.record(flag, arm="candidate", seconds=0.01, error=bad and flag == "fast", n=5)
            try:
                wish = wishes.get_nowait()
            except queue.Empty:
                time.sleep(0.01)
                continue
            if wish == "count":
                told.put(("asked", {**counted.asked, "connections": len(counted.open), "processor": time.process_time() - spent}))
                counted.asked.clear()
                spent = time.process_time()
            bad = wish == "bad"


class Fleet:
    """So many workers on one store, and a person's client beside them."""

    def __init__(self, address: str, size: int, folders: Sequence[str | None] = (None,)) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.address, self.told = address, spawn.Queue()
        self.wishes = [spawn.Queue() for _ in range(size)]
        self.workers = [
            spawn.Process(target=serve, args=(address, folders[n % len(folders)], self.told, wish), daemon=True)
            for n, wish in enumerate(self.wishes)
        ]
        for worker in self.workers:
            worker.start()
        self.pids = {worker: pid for pid, worker in self.await_each("ready")}
        self.person = pf.connect(FLAGS, store=address, poll=None, control=False)

    def await_each(self, kind: str, number: int | None = None) -> list[Any]:
        found = []
        while len(found) < (len(self.workers) if number is None else number):
            said, what = self.told.get(timeout=180)
            if said == kind:
                found.append(what)
        return found

    def wish(self, what: str) -> None:
        for wishes in self.wishes:
            wishes.put(what)

    def asked(self, pace: Pace) -> dict[str, float]:
        """By all, in a second; and how many connections there are."""
        time.sleep(pace.settle)
        self.wish("count")
        self.await_each("asked")
        began = time.monotonic()
        time.sleep(pace.measured)
        self.wish("count")
        counts = self.await_each("asked")
        seconds = time.monotonic() - began
        kinds = ("asked", "put up", "read", "documents", "processor")
        each = {kind: sum(count.get(kind, 0) for count in counts) / seconds for kind in kinds}
        return {**each, "connections": sum(count["connections"] for count in counts)}

    def close(self) -> None:
        self.person.close()
        for worker in self.workers:
            worker.kill()


def verdicts(fleet: Fleet, rounds: int) -> list[float]:
    """Seconds from the first verdict until the last worker serves nobody the candidate."""
    found = []
    for number in range(rounds):
        fleet.person.rollouts.retry("fast", force=True) if number else fleet.person.rollouts.start("fast")
        assert all(now for now, _ in fleet.await_each("fast"))
        while not _looked(fleet):  # the first look of all loads the judge, once in a process's life
            time.sleep(0.05)
        began = time.monotonic()
        fleet.wish("bad")
        while (said := fleet.await_each("judged", 1)[0]) < began:  # who else judged the round before
            pass
        found.append(max(at for _, at in fleet.await_each("fast")) - said)
        fleet.wish("good")
    return found


def kills(fleet: Fleet, rounds: int) -> list[float]:
    """Seconds from the call until the last worker serves nobody."""
    found = []
    for _ in range(rounds):
        began = time.monotonic()
        fleet.person.kill("switch")
        found.append(max(at for _, at in fleet.await_each("switch")) - began)
        fleet.person.unkill("switch")
        fleet.await_each("switch")
    return found


def deaths(fleet: Fleet, rounds: int) -> list[float]:
    """Batches from the death of the process that looks at a rollout until the next decision on it is in the store."""
    fleet.person.rollouts.retry("fast", force=True)
    found = []
    for _ in range(min(rounds, len(fleet.workers) - 1)):  # of the last one nobody takes over
        time.sleep(2.5)
        looker = _looked(fleet)
        os.kill(fleet.pids[looker], signal.SIGKILL)
        began, before = time.monotonic(), _decided(fleet)
        while _decided(fleet) == before:
            time.sleep(0.01)
        found.append(time.monotonic() - began)
    return found


def _looked(fleet: Fleet) -> str:
    """Who looks at the rollout; empty where nobody did yet."""
    record = fleet.person.rollouts._parts.ledger.page("fast").record
    return "" if record is None else record.looker


def _decided(fleet: Fleet) -> Any:
    """All that the rollout's document says but who looks at it: that is another before anything is decided."""
    record = fleet.person.rollouts._parts.ledger.page("fast").record
    return None if record is None else replace(record, looker="")


def measured(name: str, size: int, hosts: int = 0, pace: Pace = Pace()) -> Point:
    """One row."""
    address = f"{SERVERS[name]}?namespace=bench-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(address, size, [f"{folder}/{host}" for host in range(hosts)] or (None,))
        try:
            idle = fleet.asked(pace)
            fleet.person.rollouts.start("slow")
            busy = fleet.asked(pace)
            fleet.person.rollouts.abort("slow")
            fell, killed, died = verdicts(fleet, pace.rounds), kills(fleet, pace.rounds), deaths(fleet, pace.deaths)
        finally:
            fleet.close()
    per = [idle["asked"] / size, busy["asked"] / size, idle["processor"] / size]
    moved = [busy["put up"], busy["read"], busy["documents"]]
    spreads = Spread.of(fell), Spread.of(killed), Spread.of(died) if died else None
    return Point(name, size, hosts, int(busy["connections"]), *per, *moved, *spreads)


def running() -> list[str]:
    """The servers that are there, said of those that are not."""
    found = []
    for name, server in SERVERS.items():
        try:
            open_store(server).close()
        except (ProgflagsError, ImportError):
            print(f"{name:11} is not running here")
            continue
        found.append(name)
    return found


def main() -> None:
    print(HEAD)
    for name in running():
        for size, hosts in (*((size, 0) for size in SIZES), (SIZES[-1], SIZES[-1] // HOST)):
            print(line(measured(name, size, hosts)), flush=True)


if __name__ == "__main__":
    main()
