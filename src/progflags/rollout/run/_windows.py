"""Windows: what this process counts of the rollouts under way, put up for whoever judges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from progflags._clock import Clock
from progflags._trouble import swallow
from progflags.canary import Pool, Recorder
from progflags.errors import StoreError
from progflags.rollout.run._page import Page

__all__ = ["Windows"]

_PER_BATCH: Final = 2  # what others see of us is at most half a batch old


class Windows:
    """One process's, by flag."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._published: dict[str, tuple[int, float]] = {}
        self._fresh: set[tuple[str, int]] = set()  # what was put up in this round

    def open(self, page: Page) -> None:
        """Count what is live, at its present revision."""
        record = page.record
        if record is not None and page.live.counting:
            self._recorder.count(page.flag, page.live.revision, record.plan.gates(record.stage))
            if record.evidence is not None:  # its thresholds are the same for every worker
                self._recorder.mark(page.flag, page.live.revision, record.evidence.thresholds)

    def publish(self, pages: Iterable[Page], pool: Pool, *, at_once: bool = False) -> None:
        """
        Put the open ones up for the others: twice per batch, for a board is a disk to some stores, and a network to others.

        Whoever drives by hand, with a clock that stands still between two calls, is never made to wait; nor is who ends.
        """
        now, self._fresh = self._clock.monotonic(), set()
        for page in pages:
            try:
                if self._is_due(page, now, at_once=at_once):
                    self.put_up(page, pool)
            except StoreError:
                raise  # the board itself: whoever is next would wait for it just as long
            except Exception as error:
                swallow(f"counts of {page.flag}", error)

    def put_up(self, page: Page, pool: Pool) -> None:
        """One page's, due or not, unless this round has done so."""
        if (page.flag, page.live.revision) in self._fresh:
            return
        window = self._recorder.window(page.flag)
        if window is not None and window.revision == page.live.revision:
            pool.publish(window)
            self._published[page.flag] = (window.revision, self._clock.monotonic())
            self._fresh.add((page.flag, window.revision))

    def _is_due(self, page: Page, now: float, *, at_once: bool) -> bool:
        record = page.record
        if record is None or not page.live.counting:
            return False
        revision, since = self._published.get(page.flag, (-1, now))
        return at_once or revision != page.live.revision or not 0 < now - since < record.plan.batch_at(record.stage) / _PER_BATCH
