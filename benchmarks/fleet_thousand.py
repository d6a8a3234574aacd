"""
A thousand clients on one PostgreSQL, really: a connection each, and what they ask in a second, idle and with a rollout under way.

They are ordinary clients of `connect`, a few hundred to a process. Their threads would be three thousand, which no small machine runs: one
loop in each process does what these would, job by job, when it is due, and waits for hints on all connections at once. What is asked is
counted in the clients, and by the server, whose every statement is a transaction here.

`python -m benchmarks.fleet_thousand [CLIENTS [ADDRESS]]` takes about three minutes, and a server with `max_connections` above that.
"""

from __future__ import annotations

import heapq
import multiprocessing
import queue
import selectors
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import progflags as pf
from benchmarks.bench_fleet import FLAGS, SERVERS, USERS, Counted
from progflags._connect import _ears
from progflags.sources import Refresher
from progflags.store import open_store

PROCESSES = 4
SETTLE, MEASURED = 15.0, 60.0
HINTS = 1.0  # seconds between two rounds for a connection that is silent: who has not listened for three is taken for deaf
TRAFFIC = 1.0  # seconds between two records


@dataclass(order=True, slots=True)
class Due:
    """A refresher's next run."""

    at: float
    jobs: Any = field(compare=False)
    client: Any = field(compare=False)


class Loop:
    """Runs the jobs of many clients in one thread. `late`: seconds that the latest of them came too late, since it was last asked."""

    def __init__(self, clients: list[Any], watch: Callable[[Any], object]) -> None:
        self._watch = watch
        self._selector = selectors.DefaultSelector()
        self._due: list[Due] = []
        self._ears: dict[int, tuple[Any, Any]] = {}
        self.late = 0.0
        for client in clients:
            ears = client._background._ears[1]
            self._ears[id(client)] = ears, client
            for jobs in client._background:
                heapq.heappush(self._due, Due(self._next(jobs, jobs is ears), jobs, client))
            self._selector.register(client._store._late.store._server.socket, selectors.EVENT_READ, client)

    def _next(self, jobs: Any, hints: bool) -> float:
        return time.monotonic() + HINTS if hints else min(job.due for job in jobs._jobs)

    def round(self) -> None:
        """What is due, and what was heard."""
        now = time.monotonic()
        wait = max(0.0, min(0.01, self._due[0].at - now))
        for key, _ in self._selector.select(wait):
            self._hear(key.data)
        for _ in range(len(self._due)):
            if self._due[0].at > time.monotonic():
                return
            due = heapq.heappop(self._due)
            self.late = max(self.late, time.monotonic() - due.at)
            hints = due.jobs is self._ears[id(due.client)][0]
            self._hear(due.client) if hints else due.jobs.run_due()
            self._watch(due.client)
            heapq.heappush(self._due, Due(self._next(due.jobs, hints), due.jobs, due.client))

    def _hear(self, client: Any) -> None:
        for job in self._ears[id(client)][0]._jobs:
            job.due = 0.0
        self._ears[id(client)][0].run_due()
        for jobs in client._background:
            if jobs is not self._ears[id(client)][0]:
                jobs.run_due()  # what the hint has woken
        self._watch(client)


def serve(address: str, number: int, told: Any, wishes: Any) -> None:
    counted = Counted()
    Refresher._start_thread = lambda _: None  # type: ignore[method-assign]
    _ears._LISTEN = _ears._LONG = 0.0005  # type: ignore[misc] - the loop has waited
    clients = [pf.connect(FLAGS, store=address, poll=10.0) for _ in range(number)]
    served, last = {id(client): True for client in clients}, 0.0

    def watch(client: Any) -> None:
        now = client.is_enabled("switch", USERS[0])
        if now != served[id(client)]:
            served[id(client)] = now
            told.put(("switch", time.monotonic()))

    loop = Loop(clients, watch)
    spent = time.process_time()
    told.put(("ready", number))
    while True:
        loop.round()
        if time.monotonic() - last > TRAFFIC:
            last = time.monotonic()
            for client in clients:
                for arm in ("control", "candidate"):
                    client.metrics.record("slow", arm=arm, seconds=0.01, error=False, n=5)
        try:
            wishes.get_nowait()
        except queue.Empty:
            continue
        told.put(("asked", ({**counted.asked}, loop.late, time.process_time() - spent)))
        counted.asked.clear()
        loop.late, spent = 0.0, time.process_time()


def await_each(told: Any, kind: str, number: int) -> list[Any]:
    found = []
    while len(found) < number:
        said, what = told.get(timeout=300)
        if said == kind:
            found.append(what)
    return found


def asked(address: str, clients: int, told: Any, wishes: list[Any]) -> str:
    """Statements a second, as clients and server have counted them."""

    def count() -> list[Any]:
        for wish in wishes:
            wish.put("count")
        return await_each(told, "asked", len(wishes))

    time.sleep(SETTLE)
    count()
    before, began = _transactions(address), time.monotonic()
    time.sleep(MEASURED)
    counts, seconds, after = count(), time.monotonic() - began, _transactions(address)
    by_clients = sum(counted.get("asked", 0) for counted, _, _ in counts) / seconds
    late, used = max(late for _, late, _ in counts), sum(used for *_, used in counts) / seconds
    return f"{by_clients:8.0f} {(after - before) / seconds:8.0f} {by_clients / clients:10.2f} {late:8.2f} {used:8.2f}"


def _transactions(address: str) -> int:
    store: Any = open_store(f"{address}-count")
    try:
        time.sleep(1.5)  # a session tells of what it did once a second
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        return int(store._server.run(lambda cursor: cursor.execute(query).fetchone()[0]))
    finally:
        store.close()


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    server = sys.argv[2] if len(sys.argv) > 2 else SERVERS["PostgreSQL"]
    address = f"{server}?namespace=bench-{uuid4().hex[:8]}"
    spawn = multiprocessing.get_context("spawn")
    told, wishes = spawn.Queue(), [spawn.Queue() for _ in range(PROCESSES)]
    each = clients // PROCESSES
    workers = [spawn.Process(target=serve, args=(address, each, told, wish), daemon=True) for wish in wishes]
    began = time.monotonic()
    try:
        for worker in workers:
            worker.start()
        await_each(told, "ready", PROCESSES)
        print(f"{each * PROCESSES} clients, {time.monotonic() - began:.0f} s to connect")
        print(f"{'':24} {'clients':>8} {'server':>8} {'per client':>10} {'late, s':>8} {'cores':>8}   statements a second")
        with pf.connect(FLAGS, store=address, poll=None, control=False) as person:
            print(f"{'nothing under way':24} {asked(address, each * PROCESSES, told, wishes)}", flush=True)
            person.rollouts.start("slow")
            print(f"{'a rollout, batch 10 s':24} {asked(address, each * PROCESSES, told, wishes)}", flush=True)
            killed = time.monotonic()
            person.kill("switch")
            times = sorted(at - killed for at in await_each(told, "switch", each * PROCESSES))
            print(f"kill: half after {times[len(times) // 2] * 1e3:.0f} ms, the last after {times[-1] * 1e3:.0f} ms")
    finally:
        for worker in workers:
            worker.kill()


if __name__ == "__main__":
    main()
