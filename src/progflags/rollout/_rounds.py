"""Rounds: what a process does for its rollouts again and again: put up what it counted, look, judge, carry on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from progflags._process import look
from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.rollout._parts import Parts
from progflags.rollout._status import Transition
from progflags.rollout.state import ACTIVE

__all__ = ["Rounds"]


class Rounds:
    """One round at a time. `refresh` reads the store anew and never raises."""

    def __init__(self, parts: Parts, refresh: Callable[[], object]) -> None:
        self._parts = parts
        self._refresh = refresh
        self.after_fork()

    def after_fork(self) -> None:
        """A lock nobody holds."""
        self._ticking = threading.RLock()  # a listener may look again from inside a look

    @property
    def busy(self) -> bool:
        """Whether there is something to be done at every turn."""
        pages = self._parts.controller.pages.values()
        under_way = any(page.live.counting or (page.record is not None and page.record.state in ACTIVE) for page in pages)
        return under_way or bool(self._parts.brake.intents or self._parts.switches.wanted)

    def tick(self) -> tuple[Transition, ...]:
        """Publish, refresh, judge, decide, commit."""
        look()
        with self._ticking:
            self._refresh()
            if self._exchanged(judges=True):
                return self._ticked()
            self._parts.keep()
            return ()

    def turn(self) -> tuple[Transition, ...]:
        """The background's tick, beside its looks at the store: leaves a rollout to the process that looks at it, while one does."""
        look()
        with self._ticking:
            if self._exchanged(judges=True):
                return self._ticked(shared=True)
            self._parts.keep()
            return ()

    def publish(self, *, at_once: bool) -> None:
        """Only what every process does: its windows put up, and a rollback that is wanted here carried to the store."""
        look()
        reached = self._exchanged(at_once=at_once)
        with self._ticking:
            if reached and self._parts.brake.intents:
                self._ticked(self._parts.brake.intents)
            else:
                self._parts.keep()  # one that was settled by what the store says is not to wait on disk for the next process

    def leave(self) -> None:
        """
        Put up the last there is, and say that this process goes.

        Raises:
            StoreError: the board is out of reach.
        """
        self.publish(at_once=True)
        if not self._parts.ledger.read_only:
            self._parts.processes.leave(self._parts.pool.worker)

    def _exchanged(self, *, judges: bool = False, at_once: bool = False) -> bool:
        """Put up what was counted, and store what waits for it. False: the store is out of reach, and no more is to be asked of it."""
        parts, worker = self._parts, self._parts.pool.worker
        if parts.ledger.read_only:  # nobody would read it there
            parts.looks.save()
            return True
        try:
            parts.controller.windows.publish(parts.controller.pages.values(), parts.pool, at_once=at_once)
            parts.shadows.publish(parts.controller.pages)
            parts.meter.publish(worker, at_once=at_once)
            parts.found.publish(worker, at_once=at_once)
            parts.processes.publish(worker, parts.ledger.revision, judges=judges)
        except StoreError as error:
            swallow("rollouts: the board", error)
            if not parts.ledger.answers():
                return False
        parts.looks.save()
        return parts.switches.carry() or parts.ledger.answers()

    def _ticked(self, only: Collection[str] | None = None, *, shared: bool = False) -> tuple[Transition, ...]:
        if self._parts.ledger.read_only:  # what others decide arrives; the brake holds here
            self._parts.keep()
            return ()
        steps = self._parts.controller.tick(self._parts.pool, only, shared=shared)
        if steps or self._parts.controller.lost:
            self._refresh()
        self._parts.keep()
        return steps
