"""
Where a plan with `dark_launch` learns that its shadow is safe: from a function here, or from the counts of the whole fleet.

A verdict belongs to the process that compared. For a fleet each process counts the comparisons it hears of on the Bus and puts
its counts up on the Board; whoever runs the controller adds them up and judges the sum. They count from the start of the run:
what a shadow did before, perhaps with another candidate, is no evidence about this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from progflags._clock import Clock
from progflags._fork import in_child
from progflags._json import canonical, loads
from progflags._trouble import swallow
from progflags.events import Bus, Compared
from progflags.rollout._forecast import span
from progflags.rollout._ledger import Page
from progflags.rollout._record import Record
from progflags.rollout._state import State
from progflags.store import Board

if TYPE_CHECKING:
    from progflags.darklaunch import DarkLaunchVerdict

__all__ = ["Shadows"]

_OFTEN: Final = 1.0  # seconds between two publications: a bake of the shadow is hours


@dataclass(slots=True)
class _Fleet:
    """What this process heard of one shadow since a run began."""

    of: str
    max_mismatch: float
    confidence: float
    run: int = -1
    bad: int = 0
    n: int = 0
    told: tuple[int, float] = (-1, 0.0)  # the count that was published last, and when
    cleared: int = -1


class Shadows:
    """Who answers for the dark launch of which rollout."""

    def __init__(self, board: Board, bus: Bus, clock: Clock) -> None:
        self._board, self._bus, self._clock = board, bus, clock
        self._verdicts: dict[str, Callable[[], object]] = {}
        self._fleets: dict[str, _Fleet] = {}
        self._listening = False
        self._met: dict[str, tuple[int, float, float, float]] = {}  # by flag: run and since, seconds waited then, and when that was
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """The parent goes on reporting what it heard; a child begins from zero, under another name."""
        self._lock, self._worker = threading.Lock(), uuid4().hex[:12]
        for fleet in self._fleets.values():
            fleet.bad = fleet.n = 0
            fleet.told = (-1, 0.0)

    def ask(self, flag: str, verdict: Callable[[], object]) -> None:
        """`verdict` answers for `flag`."""
        self._fleets.pop(flag, None)
        self._verdicts[flag] = verdict

    def count(self, flag: str, of: str, max_mismatch: float, confidence: float) -> None:
        """
        What every process compares under the flag `of` answers for `flag`.

        Raises:
            ValueError: `max_mismatch` or `confidence` is not between 0 and 1.
        """
        _judge(0, 0, max_mismatch, confidence)
        self._fleets[flag] = _Fleet(of, max_mismatch, confidence)
        if not self._listening:
            self._listening = True
            self._bus.listen(Compared, self._on_compared)

    def _on_compared(self, event: Compared) -> None:
        from progflags.darklaunch._outcome import BAD, GOOD

        bad, good = event.outcome in BAD, event.outcome in GOOD
        if bad or good:
            with self._lock:
                for fleet in self._fleets.values():
                    if fleet.of == event.flag:
                        fleet.bad, fleet.n = fleet.bad + bad, fleet.n + 1

    def publish(self, pages: Mapping[str, Page]) -> None:
        """
        Put up what was heard here since the run of each rollout began; take a topic down whose first stage has begun.

        Raises:
            StoreError: the board is out of reach; the next publication holds everything again.
        """
        now = self._clock.monotonic()
        for flag, fleet in tuple(self._fleets.items()):
            page = pages.get(flag)
            record = None if page is None else page.record
            if record is None:
                continue
            with self._lock:
                if fleet.run != record.run:
                    fleet.run, fleet.bad, fleet.n, fleet.told = record.run, 0, 0, (-1, 0.0)
                bad, n, (told, at) = fleet.bad, fleet.n, fleet.told
            if record.stage >= 0:
                if fleet.cleared != record.run:
                    self._board.clear(_topic(flag, record.run))
                    fleet.cleared = record.run
            elif n > max(told, 0) and not 0 < now - at < _OFTEN:
                self._board.publish(_topic(flag, record.run), self._worker, n, canonical({"v": 1, "bad": bad, "n": n}).encode())
                fleet.told = n, now

    def _said(self, record: Record) -> object:
        """The verdict, None where nobody was named."""
        fleet, verdict = self._fleets.get(record.flag), self._verdicts.get(record.flag)
        if fleet is None:
            return None if verdict is None else verdict()
        # Before the start there is no run to count for: the number is still that of the run before.
        bad, n = self._counts(record) if record.state is State.SCHEDULED else (0, 0)
        return _judge(bad, n, fleet.max_mismatch, fleet.confidence)

    def _counts(self, record: Record) -> tuple[int, int]:
        bad = n = 0
        for row in self._board.collect(_topic(record.flag, record.run)):
            try:
                counts: dict[str, Any] = loads(row.body)
                one, of = int(counts["bad"]), int(counts["n"])
            except (ValueError, KeyError, TypeError) as error:
                swallow("dark launch counts", error)
                continue
            bad, n = bad + one, n + of
        return bad, n

    def _waited(self, record: Record) -> float:
        """
        Seconds since the start: by the wall clock when this process first met the run, on its own monotonic clock from there.

        So a clock that is set forward makes no shadow of a day out of one of a minute, and a restart does not begin it anew.
        """
        run, since, waited, at = self._met.get(record.flag, (-1, 0.0, 0.0, 0.0))
        if (run, since) != (record.run, record.since):
            waited, at = max(0.0, self._clock.now() - record.since), self._clock.monotonic()
            self._met[record.flag] = (record.run, record.since, waited, at)
        return waited + self._clock.monotonic() - at

    def closed(self, record: Record) -> str:
        """Why a dark launch keeps the first stage from beginning; empty when it does not."""
        if record.plan.dark_launch is None or record.stage >= 0:
            return ""
        try:
            said = self._said(record)
        except Exception as error:
            swallow(f"dark launch of {record.flag}", error)
            return "its dark launch could not be asked"
        if said is None:
            return f"no dark launch of {record.flag} reports here (flags.rollouts.shadow)"
        state = str(getattr(said, "state", said))
        if state != "SAFE":
            return f"its dark launch is {state}, not SAFE"
        left = record.plan.dark_launch - (self._waited(record) if record.state is State.SCHEDULED else 0.0)
        return f"its dark launch goes on for another {span(left)}" if left > 0 else ""


def _judge(bad: int, n: int, max_mismatch: float, confidence: float) -> DarkLaunchVerdict:
    from progflags.darklaunch._verdict import judge

    return judge(bad, n, max_mismatch=max_mismatch, confidence=confidence)


def _topic(flag: str, run: int) -> str:
    return f"shadow:{flag}@{run}"
