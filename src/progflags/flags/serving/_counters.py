"""How often each answer was given: one counter per (flag, variant, reason), exact under threads and without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from progflags._trouble import say, swallow

__all__ = ["Counters", "Outcome", "Watch"]

Watch = Callable[[str, str | None, str, str | None], object]
"""Called with flag, variant, reason and error code of every answer; see Client.watch."""

Outcome = tuple[str, str | None, str]
"""(flag, variant, reason); variant None and reason ERROR where the caller's default was given, flag "" for unknown flags."""

_FAILURES: Final = 10  # of one watcher, after which it is not called any more


class Counters:
    """
    Counters that survive a reload, so that telemetry sees them only grow.

    `next()` of an `itertools.count` is one C call, so it is atomic and costs about 25 ns (10 less than its bound `__next__`);
    `+= 1` on a dict would lose counts between threads. The count is read back from its repr: Python 3.14 can't pickle it.
    """

    __slots__ = ("_counts", "_failures", "_watchers")

    def __init__(self) -> None:
        self._counts: dict[Outcome, count[int]] = {}
        self._watchers: tuple[Watch, ...] = ()
        self._failures: dict[Watch, int] = {}

    def of(self, flag: str, variant: str | None, reason: str, code: str | None = None) -> Iterator[int]:
        """The counter of this outcome: `next(counter)` counts one more. Watchers are woven in here, while there are any."""
        counter = self._counts.setdefault((flag, variant, reason), count())
        return _Watched(self, counter, (flag, variant, reason, code)) if self._watchers else counter

    def read(self) -> dict[Outcome, int]:
        """Every outcome that was given at least once."""
        return {outcome: number for outcome, counter in tuple(self._counts.items()) if (number := int(repr(counter)[6:-1]))}

    def watch(self, see: Watch) -> bool:
        """Add a watcher. True when it is the first, so that what is compiled has to be compiled anew."""
        self._watchers = (*self._watchers, see)
        return len(self._watchers) == 1

    def unwatch(self, see: Watch) -> bool:
        """Take a watcher away. True when it was the last."""
        before = self._watchers
        self._watchers = tuple(other for other in before if other is not see)
        self._failures.pop(see, None)
        return bool(before) and not self._watchers

    def told(self, outcome: tuple[str, str | None, str, str | None]) -> None:
        """Call the watchers. One that raises hurts nobody, and after ten times is not called any more."""
        for see in self._watchers:
            try:
                see(*outcome)
            except Exception as error:
                swallow("watcher of evaluations", error)
                self._failures[see] = self._failures.get(see, 0) + 1
                if self._failures[see] >= _FAILURES:
                    self.unwatch(see)
                    say("watcher of evaluations", f"raised {_FAILURES} times and is not called any more")


class _Watched(Iterator[int]):
    """A counter that also tells what it counts."""

    __slots__ = ("_counter", "_counters", "_outcome")

    def __init__(self, counters: Counters, counter: count[int], outcome: tuple[str, str | None, str, str | None]) -> None:
        self._counters = counters
        self._counter = counter
        self._outcome = outcome

    def __next__(self) -> int:
        self._counters.told(self._outcome)
        return next(self._counter)
