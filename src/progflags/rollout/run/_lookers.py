"""
Who looks at which rollout: one process of all that share the store, so that a fleet's windows are read once and not by everybody.

Whoever wrote the rollout's document last, looking, stands in it. The others leave the rollout to that one for as long as its document
goes on moving; where it has stood still for two looks and more they look themselves, and who commits first is the next. Of a run that is
new one says that it will look, before a look is due: the first of all may take a while. Nothing is safe
because of that, for every commit expects the revisions it was decided on: it only keeps many from doing the same work.
"""

from __future__ import annotations

from typing import Final

from progflags._chance import chance
from progflags._clock import Clock
from progflags.rollout.run._page import Page

__all__ = ["Lookers"]

_NEW: Final = (0.0, 0.5)  # looks that are waited where nobody has it yet, so that not all of a fleet begin, or say so, at once
_GONE: Final = (0.75, 1.25)  # likewise, after a look was due, where its looker let it pass


class Lookers:
    """As one process sees it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[int, float, float]] = {}  # by flag: revision, since when there is something to do, seconds we leave it

    def free(self, page: Page) -> bool:
        """Whether nobody looks at this rollout, which is not ours: to be asked once somebody should, and then again and again."""
        record = page.record
        assert record is not None
        now = self._clock.monotonic()
        revision, since, patience = self._due.get(page.flag, (-1, now, 0.0))
        if revision != page.revision:
            patience = record.plan.batch_at(record.stage) * chance.uniform(*(_GONE if record.looker else _NEW))
            self._due[page.flag] = page.revision, now, patience
            since = now
        return now - since >= patience
