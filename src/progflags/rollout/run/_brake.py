"""
The brake: this process stops serving a candidate that blows up, at once, asking nobody.

It runs where a failure is recorded, not on a tick: a few additions over the last ten seconds' counts, and if the rule says
so the flag is pinned to the control here, before any store is asked. What remains is an *intent* to roll back, which the
next tick carries to the store, and the one after that, for ever. Until the store has it this process keeps the pin, also
over a promotion that another process committed meanwhile: a pin yields to a newer revision of the flag, so it is set again
at that revision for as long as the intent stands.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from progflags._process import in_child, look
from progflags._trouble import say, swallow
from progflags.canary import Recorder
from progflags.events import Braked
from progflags.flags import Client
from progflags.rollout.plan import BrakeRule
from progflags.rollout.run._intent import Intent
from progflags.rollout.run._page import Page
from progflags.rollout.state import Record, State

__all__ = ["Brake", "Intent"]

_DOWN: Final = frozenset({State.ROLLED_BACK, State.COOLING_DOWN, State.ABORTED, State.SUPERSEDED})


class Brake:
    """The rules of the flags that have a rollout under way, and the intents of this process."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._rules: Mapping[str, BrakeRule] = {}
        self._intents: dict[str, Intent] = {}
        self._pinned: dict[str, int] = {}
        self._lock = threading.Lock()
        in_child(self)
        recorder.on_failure(self.felt)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def felt(self, flag: str, revision: int) -> None:
        """A candidate's call failed just now; pull if that was one too many."""
        look()
        rule = self._rules.get(flag)
        if rule is None or flag in self._intents:
            return
        arms = self._recorder.recent(flag)
        candidate, control = arms.get("candidate", (0, 0)), arms.get("control", (0, 0))
        if not rule.pulled(candidate, control):
            return
        live = self._client.live(flag)
        if live.revision != revision or not live.counting:
            return  # the tail of a share that is gone: whatever serves now has not failed
        reason = (
            f"{candidate[1]} of the last {candidate[0]} calls of the candidate failed here, {control[1]} of {control[0]} of the control"
        )
        if self.intend(flag, Intent(live.run, reason, "brake", braked=True), revision):
            say("brake", f"{flag} was stopped in this process: {reason}")
            self._client.bus.tell(Braked(flag, revision, reason))

    def intend(self, flag: str, intent: Intent, revision: int) -> bool:
        """Pin the control here and remember to roll back. False where an intent for that run, or a later one, stands already."""
        look()
        with self._lock:
            there = self._intents.get(flag)
            if there is not None and there.run >= intent.run:
                return False
            self._intents[flag] = intent
        self._pin(flag, revision, intent.reason)
        return True

    def intent(self, flag: str) -> Intent | None:
        """The rollback this process wants of `flag`, not stored yet."""
        return self._intents.get(flag)

    def wanted(self, record: Record) -> Intent | None:
        """The rollback this process wants of this very run."""
        intent = self._intents.get(record.flag)
        return intent if intent is not None and intent.run == record.run else None

    @property
    def intents(self) -> Mapping[str, Intent]:
        return dict(self._intents)

    def settled(self, flag: str) -> None:
        """The store has it: the pin yields to the flag's new revision by itself."""
        look()
        with self._lock:
            self._intents.pop(flag, None)
            self._pinned.pop(flag, None)

    def heed(self, pages: Mapping[str, Page]) -> None:
        """Take over what the store says now: the rules of live rollouts, and whether our intents still stand."""
        records = {flag: page.record for flag, page in pages.items() if page.record is not None}
        self._rules = {flag: record.plan.brake for flag, record in records.items() if record.serving and record.plan.brake}
        for flag, intent in self.intents.items():
            try:
                self._stands(flag, intent, records.get(flag), pages.get(flag))
            except Exception as error:
                swallow(f"rollout of {flag}", error)

    def _stands(self, flag: str, intent: Intent, record: Record | None, page: Page | None) -> None:
        if record is not None and record.run != intent.run:
            self._overtaken(flag, intent, record.run)
        elif record is not None and record.state in _DOWN:
            self.settled(flag)
        elif record is None and intent.run == 0 and (page is None or not page.damaged):
            self.settled(flag)  # it never began, so there is nothing to go back from
            self._client.unpin(flag)
        elif page is not None and self._pinned.get(flag) != page.live.revision:
            # Also with a rollout that is unreadable just now, and a store that was emptied: no reason to serve it again.
            self._pin(flag, page.live.revision, intent.reason)

    def _overtaken(self, flag: str, intent: Intent, run: int) -> None:
        """
        Somebody began another run before the rollback of this one could be stored. That run is theirs, and was never complained of:
        it is let alone. But whoever asked must hear that nothing will be rolled back.
        """
        self.settled(flag)
        say(
            "rollouts",
            f"{flag}: the rollback that {intent.actor} asked for ({intent.reason}) could not be stored before run {run} began, which this"
            " process had not seen then. It is dropped: roll that run back if it is meant",
        )

    def _pin(self, flag: str, revision: int, why: str) -> None:
        self._pinned[flag] = revision
        self._client.pin(flag, revision, why)
