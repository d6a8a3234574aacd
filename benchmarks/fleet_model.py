"""
A fleet and its server as discrete events: who asks what, when, and what that does to the queue before the server.

Intervals, jitter and back-off are the library's own constants, read where they are used, so that the model is of the code as it is.
What a question costs in processor time is measured (`python -m benchmarks.fleet_costs`). An asker is whoever has a connection: a process,
or with `host_cache` the one of a host that asks for all of it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.fleet_asker import Asker
from benchmarks.fleet_events import Events, Processors
from progflags._connect import _background

Costs = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    `per_host`: processes that share a folder, 0 where each asks for itself. `hints`: whether the server says when it moves; `lost`: the
    share of hints that don't arrive. `starts_within`: seconds over which all of them start; 0.0, they have been there for a while.

    `processors`: of the server; `beside`: the processes run on the very same ones, as in the benchmark, and each takes the share `idle` of
    one for itself all the time. `looked`: processes that have the judge's libraries already, from an earlier look.
    """

    processes: int
    costs: Costs
    per_host: int = 0
    hints: bool = True
    lost: float = 0.0
    batch: float = 10.0
    starts_within: float = 0.0
    limit: float = float("inf")  # connections
    processors: int = 2
    beside: bool = False
    idle: float = 0.0
    polled: float = 0.0  # seconds between two looks of whoever measures when an answer changes
    looked: int = 1
    window: int = 640  # bytes
    documents: int = 3_000  # bytes of a read
    seed: int = 1


@dataclass(slots=True)
class Seen:
    """What was asked of the server, by kind; how many bytes that moved; statements by second; and when all had done something."""

    asked: Counter[str] = field(default_factory=Counter)
    bytes: float = 0.0
    put_up: float = 0.0
    read: float = 0.0
    by_second: Counter[int] = field(default_factory=Counter)
    failed: int = 0
    served: dict[int, list[float]] = field(default_factory=dict)  # by revision, when each process served it
    lags: list[Any] = field(default_factory=list)  # by look, how old what each process counted was when it was decided on
    supplied: list[float] = field(default_factory=list)  # when each asker was, that started
    back: list[float] = field(default_factory=list)  # when each was answered again, that was not
    decided: list[float] = field(default_factory=list)


class World:
    """The server, the askers before it, and what they agree on. `revision`: the store's; `stopped`: until when nobody is answered."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.seen = fleet, Seen()
        self.events = Events()
        self.chance = random.Random(fleet.seed)
        self.server = Processors(self.events, fleet.processors)
        self.revision, self.stopped, self.connections = 1, 0.0, 0
        self.document = (1, 0.0)  # the rollout's revision, and when it was written
        self.counted = np.zeros(fleet.processes)  # until when what each process counted is at the server
        self.judged = np.zeros(fleet.processes)
        size = max(1, fleet.per_host)
        self.askers = [Asker(self, first, min(size, fleet.processes - first)) for first in range(0, fleet.processes, size)]
        for asker in self.askers:
            asker.begin()
        self.looker: Asker | None = None
        self.counting = False

    def after_tick(self, due: float) -> float:
        """When the round of the rollouts that follows begins."""
        return due + self.chance.uniform(0, _background._TICK)

    def work(self, seconds: float) -> float:
        """When a process has done its own work that begins now."""
        return self.taken(seconds) if self.fleet.beside else self.events.now + seconds

    def taken(self, seconds: float) -> float:
        """When the server's processors have done what comes now, beside what the fleet takes of them all the time."""
        fleet = self.fleet
        left = 1 - fleet.processes * fleet.idle / fleet.processors if fleet.beside else 1.0
        return self.server.take(seconds / max(left, 0.05))

    def moved(self, *, quiet: bool = False) -> int:
        """A commit, now."""
        self.revision += 1
        if not quiet and self.fleet.hints:
            for asker in self.askers:
                if not self.fleet.lost or self.chance.random() >= self.fleet.lost:
                    self.events.after(0.0, asker.heard)
        return self.revision

    def change(self) -> int:
        """A kill: the revision that everybody is to serve."""
        self.events.at(self.taken(self.fleet.costs["commit"]["server"]), self._killed, self.revision + 1)
        return self.revision + 1

    def _killed(self, revision: int) -> None:
        self.seen.served[revision] = []
        self.moved()

    def roll_out(self) -> None:
        """A rollout begins: everybody counts, and somebody looks."""
        self.moved()
        self.counted[:] = self.judged[:] = self.events.now
        self.document = self.revision, self.events.now
        self.looker = self.askers[0]
        self.events.at(self.after_tick(self.events.now + self.fleet.batch), self.looker.look_at_rollout)
        self.counting = True
        for asker in self.askers:
            asker.count()

    def roll_back(self) -> int:
        """It ends: the revision that everybody is to serve."""
        self.counting, self.looker = False, None
        return self.change()

    def stop(self, seconds: float) -> None:
        """Nobody is answered for so long, and every connection is lost."""
        self.stopped, self.connections = self.events.now + seconds, 0
        for asker in self.askers:
            asker.open, asker.away = False, True

    def die(self) -> None:
        """Whoever looks at the rollout is killed; the others find its document standing still."""
        assert self.looker is not None
        gone, self.looker = self.looker, None
        for asker in self.askers:
            asker.wait_for_looker(less=int(asker is gone))
