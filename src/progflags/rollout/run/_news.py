"""News: what listeners are told of a rollout, once it is so."""

from __future__ import annotations

from collections.abc import Sequence

from progflags.canary import Verdict
from progflags.events import Bus, Change, Judged, Moved
from progflags.rollout._status import Transition
from progflags.rollout._timeline import told
from progflags.rollout.run._page import Page

__all__ = ["News"]


class News:
    """`store` is how a person would name the store."""

    def __init__(self, bus: Bus, store: str) -> None:
        self._bus = bus
        self._store = store

    def moved(self, page: Page, written: Page, steps: Sequence[Transition]) -> None:
        """The steps that were taken from where `page` stood to where `written` does."""
        if self._bus.hears(Change):
            one, other = (None if there.record is None else there.record.edit for there in (page, written))
            about = (None if one is None else one.digest) == (None if other is None else other.digest)
            for change in told(steps, page.record if about else None, self._store, "" if other is None else other.name):
                self._bus.tell(change)
        for step in steps:
            self._bus.tell(Moved(step.flag, step.revision, step.source, step.target, step.percent, step.actor, step.reason, step.at))

    def judged(self, page: Page, verdict: Verdict | None, seconds: float) -> None:
        """A verdict, which took so long."""
        if verdict is not None and self._bus.hears(Judged):
            findings = tuple(verdict.to_dict()["findings"])
            self._bus.tell(Judged(page.flag, page.live.revision, verdict.decision, verdict.reason, findings, seconds))
