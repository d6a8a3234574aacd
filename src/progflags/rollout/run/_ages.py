"""
How long ago each rollout came to stand where it stands: by the store's time, which is the same for everybody who uses the store.

A wall clock that was set is no measure of that, least of all to a process that has just started. So a record is stamped with the
store's time; whoever meets it asks for the store's time as well, and counts on its own monotonic clock from there.
"""

from __future__ import annotations

from typing import Final

from progflags._clock import Clock
from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.rollout.state import COOLING, Record
from progflags.store import Store, time_of

__all__ = ["Ages"]

_OFTEN: Final = 600.0  # seconds a difference to the store's time is good for: clocks of servers drift by milliseconds in it
_AGAIN: Final = 10.0  # seconds until a store that did not say is asked once more
_APART: Final = 1.0  # seconds by which wall and monotonic clock part when one was set, or the machine slept: both stop that count


class Ages:
    """The age of records as of one process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ahead: float | None = None  # how far the store's time is ahead of our monotonic clock
        self._asked: tuple[float, float] | None = None  # when, by both clocks of ours
        self._met: dict[str, tuple[tuple[int, float], float]] = {}  # by flag: run and since, and when (monotonic) that was

    def now(self) -> float | None:
        """The store's time; None where it has none, or can't say. It is asked once in ten minutes, and where a clock of ours jumped."""
        if self._is_stale():
            self._ask()
        return None if self._ahead is None else self._ahead + self._clock.monotonic()

    def of(self, record: Record) -> float:
        """Seconds since `record.since`. By the wall clock only where it has no stamp, and the store no time."""
        entry, now = (record.run, record.since), self._clock.monotonic()
        met = self._met.get(record.flag)
        if met is None or met[0] != entry:
            met = self._met[record.flag] = (entry, now - self._found(record))
        return now - met[1]

    def cooling(self, record: Record | None) -> float:
        """Seconds of the cool-down left: neither shortened nor prolonged by a wall clock that jumps."""
        return 0.0 if record is None or record.state not in COOLING else record.cooling(self.of(record))

    def _found(self, record: Record) -> float:
        now = None if record.began is None else self.now()
        passed = self._clock.now() - record.since if now is None or record.began is None else now - record.began
        return max(0.0, passed)

    def _is_stale(self) -> bool:
        if self._asked is None:
            return True
        wall, monotonic = self._clock.now() - self._asked[0], self._clock.monotonic() - self._asked[1]
        return abs(wall - monotonic) > _APART or monotonic >= (_AGAIN if self._ahead is None else _OFTEN)

    def _ask(self) -> None:
        self._asked = self._clock.now(), self._clock.monotonic()
        try:
            now = time_of(self._store)
        except StoreError as error:
            swallow("rollouts: the store's time", error)
            now = None
        self._ahead = None if now is None else now - self._clock.monotonic()
