"""The meter: what traffic a rollout will have, counted before it starts, by whoever serves its flag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from progflags._clock import Clock
from progflags._json import canonical, loads
from progflags._trouble import swallow
from progflags.canary import Recorder, Totals
from progflags.rollout.plan import Traffic
from progflags.rollout.run._sweep import sweep
from progflags.store import Board

__all__ = ["Meter"]

_TOPIC: Final = "traffic"
_HOUR: Final = 3600.0
_SLOT: Final = 300.0  # seconds between two marks: the last hour is known to five minutes
_EVERY: Final = 60.0  # seconds between two publications: one row for all flags of a process
_STALE: Final = 2 * _HOUR

Mark = tuple[float, Mapping[str, Totals]]


class Meter:
    """
    One process's counts of the flags whose rollouts serve nobody yet, and what the others put up of theirs.

    Whoever looks at the store heeds, and another thread may publish meanwhile: the marks are replaced, never changed.
    """

    def __init__(self, recorder: Recorder, board: Board, clock: Clock) -> None:
        self._recorder = recorder
        self._board = board
        self._clock = clock
        self._marks: Mapping[str, tuple[int, tuple[Mark, ...]]] = {}
        self._published: float | None = None
        self._number = 0

    def heed(self, drafts: Mapping[str, int]) -> None:
        """Count these flags, at these revisions, and no others."""
        before = self._marks
        self._marks = {flag: (revision, self._marked(flag, revision, before.get(flag))) for flag, revision in drafts.items()}

    def _marked(self, flag: str, revision: int, before: tuple[int, tuple[Mark, ...]] | None) -> tuple[Mark, ...]:
        now = self._clock.monotonic()
        if before is None or before[0] != revision:
            self._recorder.count(flag, revision)
            return ((now, self._recorder.totals(flag)),)
        marks = before[1]
        if now - marks[-1][0] < _SLOT:
            return marks
        past = sum(now - at >= _HOUR for at, _ in marks[1:])  # the last one older than that is where the hour begins
        return (*marks[past:], (now, self._recorder.totals(flag)))

    def publish(self, worker: str, *, at_once: bool = False) -> None:
        """
        Put this process's traffic up for whoever starts a rollout: once a minute, one row.

        Raises:
            StoreError: the board is out of reach.
        """
        now = self._clock.monotonic()
        if not self._marks or not (at_once or self._published is None or now - self._published >= _EVERY):
            return
        first, self._published = self._published is None, now
        counted = self._marks
        mine = {flag: traffic.to_json() for flag in counted if (traffic := self._own(flag)) is not None}
        if mine:
            self._number += 1
            row = {"v": 1, "at": self._clock.now(), "flags": mine}
            self._board.publish(_TOPIC, worker, self._number, canonical(row).encode())
            if first:
                sweep(self._board, _TOPIC, _STALE)

    def of(self, flag: str, worker: str = "") -> Traffic | None:
        """
        The traffic of the last hour, of every process; None where nobody served any.

        Raises:
            StoreError: the board is out of reach.
        """
        found = self._own(flag)
        for row in self._board.collect(_TOPIC):
            if row.worker == worker:
                continue
            try:
                body = loads(row.body)
                other = body["flags"].get(flag) if body["v"] == 1 and abs(self._clock.now() - body["at"]) < _STALE else None
                if other is not None:
                    traffic = Traffic.from_json(other)
                    found = traffic if found is None else found.merge(traffic)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                swallow("traffic", error)
        return found

    def _own(self, flag: str) -> Traffic | None:
        known = self._marks.get(flag)
        if known is None:
            return None
        since, before = known[1][0]
        now = self._recorder.totals(flag)
        arms = [now.get(arm, Totals()).minus(before.get(arm, Totals())) for arm in ("control", "candidate")]
        return Traffic.over(self._clock.monotonic() - since, arms[0], arms[1])
