"""
Does the shadow hurt the control? Measured, not guessed: short pauses, at random, in which nothing is shadowed.

A shadow slows every call of the process, not only its own, so comparing shadowed with unshadowed calls would see nothing.
Comparing slices of time does: while there is real work in the shadow, one slice in eight is a pause, drawn at random, and
the control's durations in pauses are the baseline for those outside. Randomisation makes the difference a cost and not a
coincidence of load.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final

from progflags._chance import chance

__all__ = ["HarmMonitor"]

SLICE: Final = 0.1  # seconds
_PAUSES: Final = 8  # one slice in so many
_ENOUGH: Final = 200  # control calls on the smaller side before a look
_HARM: Final = 1.05  # how much slower is harm (p95)
_Z: Final = 2.58  # 99 %: a look is taken again and again
_LASTING: Final = 50  # slices of work on end before the first pause
_WORTH: Final = 0.01  # shadow CPU, as a share of one core, below which there is nothing to find


class HarmMonitor:
    """
    Judges the ratio of the control's p95, shadows on against pauses. `look()` True: the rate should be cut, now.

    Quiet until shadows have used more than 1 % of a core for five seconds on end: pausing a trivial one, or a burst, would
    only lose samples.
    """

    __slots__ = (
        "_clock",
        "_lasted",
        "_lock",
        "_off",
        "_on",
        "_paused",
        "_random",
        "_slice",
        "_spent",
        "_spent_before",
        "_working",
        "ratio",
    )

    def __init__(self, clock: Callable[[], float], spent: Callable[[], float], seed: int | None = None) -> None:
        self.ratio: tuple[float, float, float] | None = None  # low, estimate, high of the last look
        self._clock = clock
        self._spent = spent
        self._random = chance if seed is None else random.Random(seed)
        self._slice = -1
        self._paused = False
        self._working = False
        self._lasted = 0
        self._spent_before = 0.0
        self._on: list[float] = []
        self._off: list[float] = []
        self._lock = threading.RLock()

    def pausing(self) -> bool:
        """Whether this moment belongs to a pause."""
        number = int(self._clock() / SLICE)
        if number != self._slice:
            with self._lock:
                if number != self._slice:
                    self._turn(number)
        return self._paused

    def _turn(self, number: int) -> None:
        passed = min(max(1, number - self._slice), 50) * SLICE
        spent = self._spent()
        if not self._paused:  # a pause has no work in it, and does not end the run
            self._lasted = self._lasted + 1 if spent - self._spent_before > _WORTH * passed else 0
        self._working = self._lasted >= _LASTING
        self._spent_before = spent
        self._paused = self._working and self._random.randrange(_PAUSES) == 0
        self._slice = number

    def note(self, seconds: float) -> None:
        """The control took so long; credited to this moment's side."""
        side = self._off if self._paused else self._on
        if self._working or self._paused:
            side.append(seconds)

    def look(self) -> bool:
        """Judge what has been gathered once there is enough of it, and begin again."""
        if len(self._off) < _ENOUGH:
            if len(self._on) > 100 * _ENOUGH:
                del self._on[: 50 * _ENOUGH]
            return False
        with self._lock:
            on, self._on = sorted(self._on), []
            off, self._off = sorted(self._off), []
        if len(on) < _ENOUGH or len(off) < _ENOUGH:
            return False
        self.ratio = _ratio(on, off)
        return self.ratio[0] > _HARM


def _ratio(on: list[float], off: list[float], q: float = 0.95) -> tuple[float, float, float]:
    """
    The ratio of two p95s with an interval from order statistics: no distribution is assumed.

    Source: Conover (1999), confidence intervals for quantiles by binomial ranks; the ends are combined conservatively.
    """
    low_on, mid_on, high_on = _ranks(on, q)
    low_off, mid_off, high_off = _ranks(off, q)
    tiny = 1e-9
    return low_on / max(high_off, tiny), mid_on / max(mid_off, tiny), high_on / max(low_off, tiny)


def _ranks(values: list[float], q: float) -> tuple[float, float, float]:
    n = len(values)
    spread: float = _Z * (n * q * (1 - q)) ** 0.5
    at = [int(n * q - spread), int(n * q), int(n * q + spread) + 1]
    low, mid, high = (values[min(max(rank, 0), n - 1)] for rank in at)
    return low, mid, high
