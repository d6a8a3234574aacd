"""What one arm of a flag did at one revision: mutable counts, behind the lock of its `Count`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from typing import Final

from progflags.canary._words import LATENCY
from progflags.canary.counting._grouped import Crowd, Grouped, Watched
from progflags.canary.counting._sketch import LARGEST, Tally
from progflags.canary.counting._totals import Moments, Totals

__all__ = ["NAMES", "Arm"]

RING: Final = 10  # seconds of recent history the brake looks at, in buckets of one
NAMES: Final = 256  # events and samples by name: a program that makes names up must not fill the memory

_NOTHING: Final = Watched({}, frozenset())

#: (seconds it took, unit it happened to, when it ended on the monotonic clock)
Observation = tuple[float | None, bytes | None, float]


class Arm:
    """
    One arm's running totals, its last ten seconds, and what waits to be added up: by whether it failed, if that is known.

    An observation costs its caller one tuple at the end of one queue. Adding up is done for many at once, column by column, which
    the interpreter does in C: a quarter of what it takes one by one.
    """

    __slots__ = (
        "bad", "calls", "errors", "events", "failed", "good", "grouped", "rejected", "requests", "samples", "seconds", "trials", "units",
        "unknown", "watched",
    )  # fmt: skip

    def __init__(self, watched: Watched = _NOTHING) -> None:
        self.good: list[Observation] = []
        self.bad: list[Observation] = []
        self.unknown: list[Observation] = []
        self.grouped = Grouped()
        self.watched = watched
        self.requests = 0
        self.trials = 0
        self.errors = 0
        self.units = 0
        self.rejected = 0
        self.events: dict[str, Moments] = {}
        self.samples: dict[str, Tally] = {}
        self.seconds = [-1] * RING
        self.calls = [0] * RING
        self.failed = [0] * RING

    def event(self, name: str, moments: Moments, *, wanted: bool = False) -> bool:
        """Add to an event's moments, unless there are too many names. `wanted`: a gate asks for it, so there is always room."""
        known = self.events.get(name)
        if known is None and not wanted and len(self.events) >= NAMES:
            self.rejected += 1
            return False
        self.events[name] = moments if known is None else known.merge(moments)
        return True

    def call(self, failed: bool | None, n: int, now: int) -> None:
        """Count `n` calls that ended in second `now`; one too old for its slot in the ring is in the totals only."""
        self.requests += n
        if failed is not None:
            self.trials += n
            self.errors += n if failed else 0
        slot = now % RING
        if self.seconds[slot] < now:
            self.seconds[slot], self.calls[slot], self.failed[slot] = now, 0, 0
        if self.seconds[slot] == now:
            self.calls[slot] += n
            self.failed[slot] += n if failed else 0

    def fold(self, bounds: Sequence[float]) -> None:
        """Add up what waits (the lock is held). Appending goes on meanwhile: what came after the copy stays."""
        for failed, queue in ((False, self.good), (True, self.bad), (None, self.unknown)):
            if queue:
                waited = queue[:]
                del queue[: len(waited)]
                durations, units, ends = zip(*waited, strict=True)
                self._ended(failed, ends)
                self.last(durations, bounds, self.grouped.requests(failed, units, ends))

    def _ended(self, failed: bool | None, ends: Sequence[float]) -> None:
        # In the order they were remembered, which is the order of their clock but for threads that were interrupted in between.
        latest = int(ends[-1])
        if int(ends[0]) == latest:
            self.call(failed, len(ends), latest)
        else:
            for second, n in Counter(map(int, ends)).items():
                self.call(failed, n, second)

    def last(self, durations: Sequence[float | None], bounds: Sequence[float], crowd: Crowd) -> None:
        """Add how long calls lasted, and whose they were; None: not timed."""
        values, wrong = _sound(durations)
        self.rejected += wrong
        if not values:
            return
        exact = self._latency(bounds).extend(values)
        if self.watched.places or self.watched.means:
            crowd = crowd if len(values) == len(durations) else crowd.only(map(_good, durations))
            self.grouped.values(LATENCY, values, exact, crowd, self.watched)

    def lasted(self, seconds: float | None, n: int, bounds: Sequence[float], group: int) -> None:
        """Likewise of `n` calls of a group that lasted equally long."""
        if seconds is not None and _good(seconds):
            value = min(seconds, LARGEST)
            self._latency(bounds).add(value, n)
            self.grouped.value(LATENCY, value, group, n, self.watched)
        elif seconds is not None:
            self.rejected += n

    def _latency(self, bounds: Sequence[float]) -> Tally:
        tally = self.samples.get(LATENCY)
        if tally is None:
            tally = self.samples[LATENCY] = Tally(bounds)
        return tally

    def recent(self, now: int) -> tuple[int, int]:
        """(calls, failures) of the last RING seconds."""
        alive = [i for i in range(RING) if now - self.seconds[i] < RING and self.seconds[i] >= 0]
        return sum(self.calls[i] for i in alive), sum(self.failed[i] for i in alive)

    def totals(self) -> Totals:
        return Totals(
            self.requests,
            self.trials,
            self.errors,
            self.units,
            self.rejected,
            dict(self.events),
            {name: tally.sample() for name, tally in self.samples.items()},
            cells=self.grouped.columns(),
        )


def _sound(durations: Sequence[float | None]) -> tuple[Sequence[float], int]:
    """The durations among them that can be added up, and how many are neither that nor None."""
    with suppress(TypeError, OverflowError):
        if min(durations) >= 0.0 and sum(durations) <= LARGEST:  # type: ignore[type-var, arg-type, operator] # None is suppressed
            return durations, 0  # type: ignore[return-value] # a NaN makes the sum one, wherever it stands
    values = [LARGEST if value == inf else value for value in durations if _good(value)]  # what never returned is the slowest
    return values, len(durations) - len(values) - durations.count(None)  # type: ignore[return-value] # None is no good one


def _good(value: float | None) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (0.0 <= value <= LARGEST or value == inf)
