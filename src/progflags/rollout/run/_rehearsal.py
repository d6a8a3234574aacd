"""
Rehearsals: a look for nothing, in a process that may have to take over, so that its first real one is not the slow one.

What a judge works out once in a process's life, the bounds of its planned looks above all, takes a tenth of a second of a processor. Where
the process that looks is gone the others would do that while everybody waits for a decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from progflags._chance import chance
from progflags._clock import Clock
from progflags._trouble import swallow
from progflags.canary import Window
from progflags.rollout.run._page import Page
from progflags.rollout.state import Record, Sight, look

__all__ = ["Rehearsal"]

_WITHIN: Final = 60.0  # seconds over which a fleet's are spread: 64 of them take a tenth of a core meanwhile


class Rehearsal:
    """One process's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[int, int, float]] = {}  # by flag: run, stage, and when (monotonic); never again, once it is done

    def go_on(self, pages: Iterable[Page], worker: str) -> None:
        """One rehearsal, where one is due: of a rollout that another process looks at. Never raises; asks nobody."""
        now = self._clock.monotonic()
        for page in pages:
            record = page.record
            if record is None or not self._is_due(record, worker, now):
                continue
            self._due[page.flag] = record.run, record.stage, inf
            try:
                _rehearse(record)
            except Exception as error:  # whoever really looks meets it again, and says so
                swallow(f"rehearsal of {page.flag}", error)
            return

    def _is_due(self, record: Record, worker: str, now: float) -> bool:
        if not record.serving or record.evidence is None or record.looker in ("", worker):
            return False
        run, stage, due = self._due.get(record.flag, (-1, -1, now))
        if (run, stage) != (record.run, record.stage):
            due = now + chance.uniform(0, _WITHIN)
            self._due[record.flag] = record.run, record.stage, due
        return now >= due


def _rehearse(record: Record) -> None:
    look(record, record.window or Window(), record.plan.batch_at(record.stage), Sight())
    evidence = record.evidence
    if evidence is not None:
        for claim in evidence.claims:  # what was seen so far need not have asked for its bounds
            evidence.bounds_of(claim)
            evidence.bounds_of(claim, proof=True)
