"""
Kill switches: one per flag, and one for everything, whose kill is a panic.

A switch is turned here before any store is asked. What remains is an intent, which is stored at once where that is possible, else
by a later look, and on disk waits for the next process where a folder is kept. Whichever word about a switch is the latest by
the wall clock stands: what somebody else said of it later, in a store that this process could not reach, is not undone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from progflags._clock import Clock
from progflags._deadline import left, spent
from progflags._process import in_child, look
from progflags._trouble import say, swallow
from progflags.errors import ConflictError, StoreError
from progflags.events import Change, ChangeKind
from progflags.flags import EVERYTHING, NO_LIVE, Client, Killed, Live, kill, unkill
from progflags.rollout.run._intent import Intent
from progflags.rollout.run._kept import Kept
from progflags.rollout.run._ledger import Ledger
from progflags.rollout.run._page import Page

__all__ = ["Switches", "act"]

_TRIES: Final = 1_000  # conflicts in a row; each is another writer's progress
_LONG: Final = 30.0  # seconds to wait for a turn where nobody set a deadline


class Switches:
    """The switches that were turned in this process and are not stored yet."""

    def __init__(self, client: Client, ledger: Ledger, clock: Clock, kept: Kept | None) -> None:
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._kept = kept
        self._wanted: dict[str, Intent] = {}
        self._stored: dict[str, tuple[Intent, int]] = {}  # at which revision; until a look has shown it
        self.after_fork()
        in_child(self)
        for flag, intent in ({} if kept is None else kept.read()).items():  # of a process that ended before the store was back
            self._want(flag, intent)

    def after_fork(self) -> None:
        self._words = threading.Lock()  # around `_wanted`: never held while the store is asked
        self._turn = threading.Lock()  # one turn is stored at a time, so that the last word is stored last

    @property
    def wanted(self) -> Mapping[str, Intent]:
        """What is not stored yet, by flag."""
        return dict(self._wanted)

    def turn(self, flag: str, on: bool, *, reason: str, actor: str) -> None:
        """Throw a switch, or take that back: here, now; then in the store, else as soon as it can be had."""
        look()
        intent = Intent(0, reason, actor, on=on, at=self._clock.now(), seen=self._client.read(flag).revision)
        before = self._wanted.get(flag)
        self._want(flag, intent)
        try:
            with self._taken():
                self._store(flag, intent)
        except StoreError as error:
            swallow("kill switch", error)
        except Exception:  # a mistake of ours must not hold a switch that nobody can turn back
            self._leave(flag, intent, before)
            raise
        finally:
            self.keep()

    def carry(self) -> bool:
        """Store what can be stored of what is wanted; whether that was all. Never raises: what can't be stored is tried again."""
        look()
        try:
            if self._wanted:
                with self._taken():
                    for flag, intent in self.wanted.items():
                        self._store(flag, intent, late=True)
        except StoreError as error:
            swallow("kill switch", error)
        self.keep()
        return not self._wanted

    def heed(self, lives: Mapping[str, Live]) -> None:
        """Take notice of what a look has shown."""
        if self._stored:
            with self._words:
                shown = {flag for flag, (_, revision) in self._stored.items() if flag in lives and lives[flag].revision >= revision}
                self._stored = {flag: one for flag, one in self._stored.items() if flag not in shown}

    def again(self, before: Mapping[str, Live], now: Mapping[str, Live]) -> None:
        """
        The store has lost something: throw the switches again that were thrown before, by whomever, and are not any more.

        What was taken back and is thrown now stays so, for nobody is served the less sure of two answers by mistake.
        """
        with self._words:
            lost = [(flag, intent) for flag, (intent, revision) in self._stored.items() if intent.on]
            self._stored = {}
        for flag, intent in lost:
            self._want(flag, replace(intent, seen=now.get(flag, NO_LIVE).revision))
        for flag, live in before.items():
            here = now.get(flag, NO_LIVE)
            if live.killed is not None and here.killed is None and flag not in self._wanted:
                by, reason = live.killed.by or "somebody", f"{live.killed.reason} (again, for the store had lost it)".strip()
                self._want(flag, Intent(0, reason, by, at=live.killed.at, seen=here.revision))
                say(
                    "kill switch",
                    f"{_named(flag)}: the store had lost that {by} had it killed; it is thrown again: take it back if it is not meant",
                )

    def keep(self) -> None:
        """On disk what is wanted, and no more."""
        if self._kept is not None:
            self._kept.keep(self.wanted)

    def _want(self, flag: str, intent: Intent) -> None:
        with self._words:
            self._wanted[flag] = intent
            self._client.say(flag, Killed(intent.reason, intent.actor, intent.at) if intent.on else None)

    def _leave(self, flag: str, intent: Intent, before: Intent | None) -> None:
        with self._words:
            if self._wanted.get(flag) is not intent:
                return
            del self._wanted[flag]
            self._client.unsay(flag)
        if before is not None:
            self._want(flag, before)

    def _done(self, flag: str, intent: Intent, revision: int) -> None:
        """The store has it, and says it again from `revision` on. Unless somebody here wanted something else meanwhile."""
        with self._words:
            if self._wanted.get(flag) is intent:
                del self._wanted[flag]
                self._stored[flag] = intent, revision
                self._client.say(flag, self._client.live(flag).killed, until=revision)

    def _store(self, flag: str, intent: Intent, *, late: bool = False) -> None:
        for _ in range(_TRIES):
            if self._wanted.get(flag) is not intent:
                return None
            page = self._ledger.switch(flag)
            live = _turned(page.live, intent)
            if live == page.live:
                return self._done(flag, intent, page.live.revision)
            if late and self._overtaken(page, intent):
                return self._drop(page, intent)
            try:
                revision = self._ledger.set_switch(page, live, _line(flag, intent))
            except ConflictError:
                if spent():
                    break
                continue
            self._client.bus.tell(_change(flag, intent, self._ledger.store))
            return self._done(flag, intent, revision)
        raise StoreError(f"{_named(flag)}: other writers were first until the time was up; it stands here, and is tried again")

    def _overtaken(self, page: Page, intent: Intent) -> bool:
        """Whether somebody turned the switch since, who may have known better."""
        return page.live.revision != intent.seen and self._ledger.history.turned(page) > intent.at

    def _drop(self, page: Page, intent: Intent) -> None:
        self._done(page.flag, intent, page.live.revision)
        self._client.unsay(page.flag)
        what = f"{_named(page.flag)}: the {act(page.flag, intent)} by {intent.actor} ({intent.reason})"
        hint = "Their word stands: say it again if it is meant"
        say("kill switch", f"{what} could not be stored before somebody else decided otherwise. {hint}")

    @contextmanager
    def _taken(self) -> Iterator[None]:
        turn = self._turn  # after a fork, and once gevent has come, there is another
        if not turn.acquire(timeout=left(_LONG)):
            raise StoreError("another turn of a switch still waits for the store")
        try:
            yield
        finally:
            turn.release()


def _turned(live: Live, intent: Intent) -> Live:
    return kill(live, reason=intent.reason, by=intent.actor, at=intent.at) if intent.on else unkill(live)


def act(flag: str, intent: Intent) -> str:
    """The verb by its name: kill, unkill, panic, unpanic."""
    verb = "panic" if flag == EVERYTHING else "kill"
    return verb if intent.on else f"un{verb}"


def _change(flag: str, intent: Intent, store: str) -> Change:
    name = "" if flag == EVERYTHING else flag
    return Change(ChangeKind(act(flag, intent)), name, intent.at, intent.actor, intent.reason, store, not intent.on, intent.on)


def _line(flag: str, intent: Intent) -> dict[str, object]:
    return {"v": 1, "act": act(flag, intent), "actor": intent.actor, "reason": intent.reason, "at": intent.at}


def _named(flag: str) -> str:
    return "all flags" if flag == EVERYTHING else flag
