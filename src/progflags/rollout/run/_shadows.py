"""
Where a plan with `dark_launch` learns that its shadow is safe: from a function here, or from the counts of the whole fleet.

A verdict belongs to the process that compared. For a fleet each process counts the comparisons it hears of on the Bus and puts
its counts up on the Board; whoever runs the controller adds them up and judges the sum. They count from the start of the run:
what a shadow did before, perhaps with another candidate, is no evidence about this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from progflags._beside import Asked, Late
from progflags._clock import Clock
from progflags._json import canonical, loads
from progflags._process import in_child, look
from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.events import Bus, Compared
from progflags.rollout._forecast import span
from progflags.rollout.run._ages import Ages
from progflags.rollout.run._heard import Bars, Heard
from progflags.rollout.run._page import Page
from progflags.rollout.state import Record, State
from progflags.store import Board

__all__ = ["Shadows"]

_OFTEN: Final = 1.0  # seconds between two publications: a bake of the shadow is hours


@dataclass(slots=True)
class _Fleet:
    """What this process heard of one shadow since a run began."""

    of: str
    bars: Bars
    run: int = -1
    heard: Heard = field(default_factory=Heard)
    told: tuple[int, float] = (-1, 0.0)  # the count that was published last, and when
    cleared: int = -1
    merged: tuple[int, float, Heard] | None = None  # of which run, when, and what all had told


class Shadows:
    """Who answers for the dark launch of which rollout."""

    def __init__(self, board: Board, bus: Bus, clock: Clock, ages: Ages) -> None:
        self._board, self._bus, self._clock, self._ages = board, bus, clock, ages
        self._verdicts: dict[str, Asked] = {}
        self._fleets: dict[str, _Fleet] = {}
        self._listening = False
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """The parent goes on reporting what it heard; a child begins from zero, under another name."""
        self._lock, self._worker = threading.Lock(), uuid4().hex[:12]
        for fleet in tuple(self._fleets.values()):
            fleet.heard = Heard()
            fleet.told = (-1, 0.0)

    def ask(self, flag: str, verdict: Callable[[], object]) -> None:
        """`verdict` answers for `flag`."""
        self._fleets.pop(flag, None)
        self._end(flag)
        self._verdicts[flag] = Asked(f"dark launch of {flag}", verdict)

    def count(self, flag: str, of: str, bars: Bars) -> None:
        """
        What every process compares under the flag `of` answers for `flag`.

        Raises:
            ValueError: one of `bars` is out of range.
        """
        Heard().verdict(bars)
        self._end(flag)
        self._fleets[flag] = _Fleet(of, bars)
        if not self._listening:
            self._listening = True
            self._bus.listen(Compared, self._on_compared)

    def _end(self, flag: str) -> None:
        before = self._verdicts.pop(flag, None)
        if before is not None:
            before.close()

    def health(self) -> dict[str, str]:
        """How the threads of the application's judges are, by flag."""
        return {f"dark launch of {flag}": asked.health() for flag, asked in tuple(self._verdicts.items())}

    def close(self) -> None:
        """End those threads; they begin again with the next question."""
        for asked in tuple(self._verdicts.values()):
            asked.close()

    def _on_compared(self, event: Compared) -> None:
        from progflags.darklaunch.record import CONCLUSIVE

        look()
        if event.outcome in CONCLUSIVE:
            with self._lock:
                for fleet in tuple(self._fleets.values()):
                    if fleet.of == event.flag:
                        fleet.heard.note(event)

    def publish(self, pages: Mapping[str, Page]) -> None:
        """
        Put up what was heard here since the run of each rollout began; take a topic down whose first stage has begun.

        Raises:
            StoreError: the board is out of reach; the next publication holds everything again.
        """
        look()
        for flag, fleet in tuple(self._fleets.items()):
            page = pages.get(flag)
            if page is None or page.record is None:
                continue
            try:
                self._publish(fleet, page.record)
            except StoreError:
                raise
            except Exception as error:
                swallow(f"dark launch of {flag}", error)

    def _publish(self, fleet: _Fleet, record: Record) -> None:
        now, topic = self._clock.monotonic(), _topic(record.flag, record.run)
        with self._lock:
            if fleet.run != record.run:
                fleet.run, fleet.heard, fleet.told = record.run, Heard(), (-1, 0.0)
            n, row, (told, at) = fleet.heard.n, fleet.heard.to_json(), fleet.told
        if record.stage >= 0:
            if fleet.cleared != record.run:
                self._board.clear(topic)
                fleet.cleared = record.run
        elif n > max(told, 0) and not 0 < now - at < _OFTEN:
            self._board.publish(topic, self._worker, n, canonical(row).encode())
            fleet.told = n, now

    def _said(self, record: Record) -> object:
        """The verdict, None where nobody was named."""
        fleet, verdict = self._fleets.get(record.flag), self._verdicts.get(record.flag)
        if fleet is None:
            return None if verdict is None else verdict.ask(self._bus.patience)
        # Before the start there is no run to count for: the number is still that of the run before.
        heard = self._heard(fleet, record) if record.state is State.SCHEDULED else Heard()
        return heard.verdict(fleet.bars)

    def _heard(self, fleet: _Fleet, record: Record) -> Heard:
        now = self._clock.monotonic()
        if fleet.merged is not None and fleet.merged[0] == record.run and 0 < now - fleet.merged[1] < _OFTEN:
            return fleet.merged[2]
        whole = Heard()
        for row in self._board.collect(_topic(record.flag, record.run)):
            try:
                whole.merge(Heard.from_json(loads(row.body)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                swallow("dark launch counts", error)
        fleet.merged = record.run, now, whole
        return whole

    def closed(self, record: Record) -> str:
        """Why a dark launch keeps the first stage from beginning; empty when it does not."""
        if record.plan.dark_launch is None or record.stage >= 0:
            return ""
        try:
            said = self._said(record)
        except Late as error:
            return str(error)
        except Exception as error:
            swallow(f"dark launch of {record.flag}", error)
            return "its dark launch could not be asked"
        if said is None:
            return f"no dark launch of {record.flag} reports here (flags.rollouts.shadow)"
        state = str(getattr(said, "state", said))
        if state != "SAFE":
            return f"its dark launch is {state}, not SAFE"
        left = record.plan.dark_launch - (self._ages.of(record) if record.state is State.SCHEDULED else 0.0)
        return f"its dark launch goes on for another {span(left)}" if left > 0 else ""


def _topic(flag: str, run: int) -> str:
    return f"shadow:{flag}@{run}"
