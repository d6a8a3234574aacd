"""Scores of compared calls: what they prove of their mean, and the worst examples."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from progflags.darklaunch.compare._mean import Mean

__all__ = ["LARGEST", "Scored", "Scores"]

LARGEST: Final = 1e100  # a score beyond it is none: squares of such numbers have no sum
_WORST: Final = 5  # examples kept


class Scored(NamedTuple):
    """One call's score, and the two values it is of, for a redactor to reduce before anything is kept."""

    score: float
    control: Any
    candidate: Any


class Scores:
    """One experiment's scores in this process. Not locked: its owner is."""

    __slots__ = ("_number", "_worst", "of")

    def __init__(self) -> None:
        self.of = Mean()
        self._worst: list[tuple[float, int, dict[str, Any]]] = []
        self._number = itertools.count()

    @property
    def n(self) -> int:
        return self.of.n

    @property
    def mean(self) -> float:
        return self.of.mean

    def add(self, score: float, example: Callable[[], dict[str, Any]]) -> None:
        """One more. `example()` is asked for where this is one of the worst."""
        self.of.add(score)
        if len(self._worst) < _WORST:
            heapq.heappush(self._worst, self._kept(score, example))
        elif score < -self._worst[0][0]:
            heapq.heapreplace(self._worst, self._kept(score, example))

    def _kept(self, score: float, example: Callable[[], dict[str, Any]]) -> tuple[float, int, dict[str, Any]]:
        return -score, next(self._number), {"score": score, **example()}

    def interval(self, confidence: float) -> tuple[float, float]:
        """Where the mean lies, as Mean.interval says."""
        return self.of.interval(confidence)

    def worst(self) -> list[dict[str, Any]]:
        """The examples with the lowest scores, lowest first."""
        return [example for _, _, example in sorted(self._worst, key=lambda each: (-each[0], each[1]))]
