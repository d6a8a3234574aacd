"""Processes that follow a published snapshot through a CDN: what they ask of it, and when a kill has reached them."""

from __future__ import annotations

import inspect
import random
from collections import Counter
from dataclasses import dataclass

from benchmarks.fleet_events import Events
from progflags import connect
from progflags._connect import _background
from progflags.contrib import publish
from progflags.contrib.http import HttpSource

EVERY = inspect.signature(HttpSource).parameters["every"].default
POLL = inspect.signature(connect).parameters["poll"].default
EDGE = 1.0  # seconds that an edge of the CDN answers by itself: `max-age` of what `publish` writes
TAG = 300  # bytes of a question and its 304


@dataclass(frozen=True, slots=True)
class Followed:
    """`requests`: of all in a second, to the CDN. `served`: seconds from the kill's commit, by process, in their order."""

    requests: float
    busiest: int
    served: tuple[float, ...]


def follow(processes: int, *, starts_within: float = 10.0, seed: int = 1) -> Followed:
    """A minute without a change, then a kill. All begin within some seconds."""
    events, chance = Events(), random.Random(seed)
    asked: Counter[int] = Counter()
    served: list[float] = []
    killed = 60.0
    put = killed + publish._APART * chance.random()  # the last snapshot may have been written this very moment
    edge = put + EDGE * chance.random()
    waiting = set(range(processes))

    def ask(process: int) -> None:
        asked[int(events.now)] += 1
        if process in waiting and events.now >= edge:
            waiting.discard(process)
            served.append(events.now - killed + chance.uniform(0, _background._STORE_POLL))
        # due after about `every`; the source is looked at every `poll` seconds
        events.after(EVERY * chance.uniform(0.9, 1.1) + chance.uniform(0, POLL), ask, process)

    for process in range(processes):
        events.at(chance.uniform(0, starts_within), ask, process)
    events.run(killed + 2 * EVERY)
    return Followed(sum(asked[second] for second in range(20, 60)) / 40, max(asked.values()), tuple(sorted(served)))
