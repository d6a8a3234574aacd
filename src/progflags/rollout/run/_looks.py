"""
Looks at the store, and what was seen at the last one.

A store may come back with less than it had: emptied, restored from an older copy, after a failover that lost commits. Documents' revisions
only grow, so a smaller one says so. Then what was stopped stays stopped: switches are thrown again, and a share that is larger than
the one served before is rolled back. Whoever can't write leaves that to those who can, and follows them.
"""

from __future__ import annotations

from collections.abc import Mapping

from progflags._clock import Clock
from progflags._trouble import say
from progflags.flags import EVERYTHING, NO_LIVE, Client, Live
from progflags.rollout.run._brake import Brake
from progflags.rollout.run._controller import Controller
from progflags.rollout.run._intent import Intent
from progflags.rollout.run._ledger import Ledger
from progflags.rollout.run._page import Page
from progflags.rollout.run._saved import Last, Saved
from progflags.rollout.run._switches import Switches

__all__ = ["Looks"]

ACTOR = "progflags"


class Looks:
    """One client's looks. `saved_at`: when (wall) what was seen last was saved, of a process that has not looked itself yet."""

    def __init__(self, client: Client, ledger: Ledger, controller: Controller, clock: Clock, saved: Saved | None) -> None:
        self._client = client
        self._ledger = ledger
        self._controller = controller
        self._clock = clock
        self._saved = saved
        self.saved_at: float | None = None
        last = None if saved is None else saved.read()
        if last is not None:
            self.saved_at = last.at
            ledger.panic = last.panic
            controller.heed(last.pages)

    def last(self) -> dict[str, Live]:
        """What was seen last, by this process or, where it has not looked yet, by the one that saved it."""
        return _lives(self._controller.pages, self._ledger.panic)

    def look(self, brake: Brake, switches: Switches) -> dict[str, Live]:
        """
        What is there now.

        Raises:
            StoreError: the store is out of reach; go on with what was seen last.
        """
        before, panic = self._controller.pages, self._ledger.panic
        pages = self._ledger.pages()
        if self._lost(before, panic, pages):
            self._ledger.forget()
            pages = self._ledger.pages()
            if not self._ledger.read_only:
                switches.again(_lives(before, panic), _lives(pages, self._ledger.panic))
            self._hold(brake, before, pages)
        self._controller.heed(pages)
        self.saved_at = None
        lives = _lives(pages, self._ledger.panic)
        switches.heed(lives)
        return {**{flag: self._client.read(flag) for flag in self._ledger.dark}, **lives}

    def save(self) -> None:
        """Keep what was seen last for a process that starts without the store. Apart from looking, for a disk takes its time."""
        if self._saved is not None and self.saved_at is None:
            self._saved.keep(Last(self._controller.pages, self._ledger.panic, self._clock.now()))

    def _lost(self, before: Mapping[str, Page], panic: Live, pages: Mapping[str, Page]) -> bool:
        readable = [flag for flag in before if flag not in self._ledger.dark]
        return panic.revision > self._ledger.panic.revision or any(
            before[flag].live.revision > (pages[flag].live.revision if flag in pages else 0) for flag in readable
        )

    def _hold(self, brake: Brake, before: Mapping[str, Page], pages: Mapping[str, Page]) -> None:
        """Nobody more is served a candidate than were before; and pins that waited for a revision that is gone wait for nothing."""
        for flag, page in before.items():
            live = pages[flag].live if flag in pages else NO_LIVE
            then, now = _served(page.live, live), live.share or 0
            if now > then and not self._ledger.read_only:
                why = f"the store went back to {now / 10_000:g} %, and {then / 10_000:g} % was served"
                brake.intend(flag, Intent(live.run, why, ACTOR), live.revision)
                say("rollouts", f"{flag}: {why}; it is rolled back")
            elif page.record is not None and flag not in pages:
                say("rollouts", f"{flag}: its rollout is no longer in the store, so everybody gets the control; start it again")
            if brake.intent(flag) is None and self._client.pinned(flag) is not None:
                self._client.unpin(flag)


def _served(before: Live, now: Live) -> int:
    """How much of the traffic was served what `now` has a share of: the flag's own rollout, or this very change of its definition."""
    if now.edit is None:
        return before.own.share or 0
    same = before.edit is not None and (before.edit.digest, before.edit.salt) == (now.edit.digest, now.edit.salt)
    return (before.share or 0) if same else 0


def _lives(pages: Mapping[str, Page], panic: Live) -> dict[str, Live]:
    return {EVERYTHING: panic, **{flag: page.live for flag, page in pages.items()}}
