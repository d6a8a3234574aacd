"""Discrete events: what happens next, in the order of its time; and processors, with one queue before them."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class Events:
    """What is to happen. `now`: seconds since the beginning. Of two things at one time the one that was said first comes first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = count()

    def at(self, time: float, act: Callable[..., object], *arguments: Any) -> None:
        """Have it happen then; now, where that has passed."""
        heapq.heappush(self._due, (max(time, self.now), next(self._number), act, arguments))

    def after(self, seconds: float, act: Callable[..., object], *arguments: Any) -> None:
        self.at(self.now + seconds, act, *arguments)

    def run(self, until: float) -> None:
        """Everything up to then."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, act, arguments = heapq.heappop(due)
            act(*arguments)
        self.now = until


class Processors:
    """So many that work at the same time; who comes first is served first. `busy`: processor seconds that were taken so far."""

    def __init__(self, events: Events, number: int) -> None:
        self._events = events
        self._free = [0.0] * number  # when each has done what it was given
        self.busy = 0.0

    @property
    def wait(self) -> float:
        """Seconds that work waits that comes now."""
        return max(0.0, self._free[0] - self._events.now)

    def take(self, seconds: float) -> float:
        """Give them work that comes now; when it is done."""
        done = max(self._events.now, self._free[0]) + seconds
        heapq.heapreplace(self._free, done)
        self.busy += seconds
        return done
