"""
What a fleet asks of its store, and how fast it acts together: 8 and 64 processes on PostgreSQL and Redis, on this machine.

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
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import progflags as pf
from progflags._connect import _connect
from progflags.errors import ProgflagsError
from progflags.events import Judged
from progflags.store import open_store

SIZES = (8, 64)
HOSTS = 4  # that share a folder each, in the rows with one connection a host
SERVERS = {"PostgreSQL": "postgresql://postgres@127.0.0.1:5432/test", "Redis": "redis://127.0.0.1:6379/0"}
SETTLE, MEASURED = 12.0, 40.0  # seconds
ROUNDS, DEATHS = 15, 5
USERS = [f"u{n}" for n in range(10)]


def rollout(batch: str) -> dict[str, Any]:
    gates = [{"metric": "error_rate", "max": 0.05}, {"metric": "p99_latency", "max_increase": 0.5}]
    return {"rollout": {"stages": [{"percent": 50, "bake": "8h", "gates": gates}], "batch": batch, "brake": False}}


FLAGS = {"flags": {"switch": {"percent": 100}, "slow": rollout("10s"), "fast": rollout("1s")}}


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
            return found

        setattr(thing, name, counted)


def serve(address: str, folder: str | None, told: Any, wishes: Any) -> None:
    """A worker. It says when its answers change, when it finds a candidate bad, and on request what it has asked since."""
    counted = Counted()
    with pf.connect(FLAGS, store=address, host_cache=folder) as flags:
        flags.bus.listen(Judged, lambda event: event.decision == "ROLLBACK" and told.put(("judged", time.monotonic())))
        told.put(("ready", (os.getpid(), flags.rollouts._parts.pool.worker)))
        served = {"switch": True, "fast": False}
        bad, last = False, 0.0
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
                told.put(("asked", {**counted.asked, "connections": len(counted.open)}))
                counted.asked.clear()
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

    def asked(self) -> dict[str, float]:
        """Per process and second."""
        time.sleep(SETTLE)
        self.wish("count")
        self.await_each("asked")
        began = time.monotonic()
        time.sleep(MEASURED)
        self.wish("count")
        counts = self.await_each("asked")
        seconds = time.monotonic() - began
        per = {kind: sum(count.get(kind, 0) for count in counts) / seconds / len(counts) for kind in ("asked", "put up", "read")}
        return {**per, "connections": sum(count["connections"] for count in counts)}

    def close(self) -> None:
        self.person.close()
        for worker in self.workers:
            worker.kill()


def verdicts(fleet: Fleet) -> list[float]:
    """Seconds from the first verdict until the last worker serves nobody the candidate."""
    found = []
    for number in range(ROUNDS):
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
    return sorted(found)


def kills(fleet: Fleet) -> list[float]:
    """Seconds from the call until the last worker serves nobody."""
    found = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        fleet.person.kill("switch")
        found.append(max(at for _, at in fleet.await_each("switch")) - began)
        fleet.person.unkill("switch")
        fleet.await_each("switch")
    return sorted(found)


def deaths(fleet: Fleet) -> list[float]:
    """Batches from the death of the process that looks at a rollout until the next decision on it is in the store."""
    fleet.person.rollouts.retry("fast", force=True)
    found = []
    for _ in range(DEATHS):
        time.sleep(2.5)
        looker = _looked(fleet)
        os.kill(fleet.pids[looker], signal.SIGKILL)
        began = time.monotonic()
        while _looked(fleet) == looker:
            time.sleep(0.01)
        found.append(time.monotonic() - began)
    return sorted(found)


def _looked(fleet: Fleet) -> str:
    """Who looks at the rollout; empty where nobody did yet."""
    record = fleet.person.rollouts._parts.ledger.page("fast").record
    return "" if record is None else record.looker


def _row(name: str, size: int, folders: Sequence[str | None] = (None,)) -> None:
    address = f"{SERVERS[name]}?namespace=bench-{uuid4().hex[:8]}"
    fleet = Fleet(address, size, folders)
    try:
        idle = fleet.asked()
        fleet.person.rollouts.start("slow")
        busy = fleet.asked()
        fleet.person.rollouts.abort("slow")
        fell, killed, died = verdicts(fleet), kills(fleet), deaths(fleet)
    finally:
        fleet.close()
    asked = f"{busy['connections']:5} {idle['asked']:9.2f} {busy['asked']:9.2f}"
    windows = f"{busy['put up'] * size / 1024:10.2f} {busy['read'] * size / 1024:9.2f}"
    died_after = f"{statistics.median(died):9.1f} {died[-1]:6.1f}"
    print(f"{name:11} {size:4} {asked} {windows} {_ms(fell)} {_ms(killed)} {died_after}", flush=True)


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:8.0f} {seconds[-1] * 1e3:6.0f}"


def main() -> None:
    print("            size conns  asked per process and s   windows, KiB/s  verdict→last, ms    kill→last, ms   kill -9→next, batches")
    print("                            idle   rollout     put up      read   median    max   median    max    median    max")
    for name, server in SERVERS.items():
        try:
            open_store(server).close()
        except (ProgflagsError, ImportError):
            print(f"{name:11} is not running here")
            continue
        for size in SIZES:
            _row(name, size)
        with tempfile.TemporaryDirectory() as folder:
            print(f"as {HOSTS} hosts")
            _row(name, SIZES[-1], [f"{folder}/{host}" for host in range(HOSTS)])


if __name__ == "__main__":
    main()
