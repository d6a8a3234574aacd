"""
What became of the definitions, written down where it outlives the process.

Every process that shares a store sees a file change, and one line is to tell of it: the document `defined/<source>` holds the
digest that was last found there, and a change is written by whoever first moves it from the old one to the new. A store in
memory that nobody else sees keeps nothing; then this process's own list does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from uuid import uuid4

from progflags._json import digest
from progflags._process import in_child
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError
from progflags.events import Change, ChangeKind
from progflags.flags import Client, Snapshot
from progflags.store import Commit, Store

__all__ = ["DEFINED", "Changed", "Defined", "noted"]

DEFINED: Final = "defined/"
"""Before the source's name: the document, and the history's subject, of the definitions that processes found there."""

_KEPT: Final = 1_000  # changes remembered by a process whose store ends with it
_NAMED: Final = 1_000  # flags that one line names
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Changed:
    """Which flags a definition change is about: key → what became of it; `more`: how many it does not name."""

    flags: Mapping[str, str]
    more: int = 0

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Changed:
        told = body.get("changed")
        return cls({str(key): str(what) for key, what in told.items()} if isinstance(told, Mapping) else {}, int(body.get("more", 0)))

    @property
    def only(self) -> str:
        """The flag, if it is one."""
        return next(iter(self.flags)) if len(self.flags) == 1 and not self.more else ""

    @property
    def sentence(self) -> str:
        if self.only:
            return self.flags[self.only]
        named = ", ".join(f"{key} ({what})" for key, what in list(self.flags.items())[:8])
        rest = len(self.flags) + self.more - 8
        return named + (f" … and {rest:,} more" if rest > 0 else "")


class Defined:
    """
    Notices which definitions serve `client`, tells its bus, and writes it to the store (None: keeps it here).

    `told`: whoever put the definitions where they were found has written it down already, as a push does.
    """

    def __init__(self, client: Client, store: Store | None, source: str, *, actor: str, told: bool = False) -> None:
        self._store = store
        self._source = source
        self._actor = actor
        self._bus = client.bus
        self._clock = client.clock
        self._told = told
        self._before: Snapshot | None = None
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._here: deque[tuple[dict[str, Any], Change]] = deque(maxlen=_KEPT)  # of this process alone
        self.after_fork()
        in_child(self)

    @property
    def waits(self) -> bool:
        """Whether something is to be written."""
        return bool(self._waiting)

    def of(self, flag: str | None, since: float | None) -> Iterator[Change]:
        """What only this process knows of `flag` (None: of all)."""
        for body, change in reversed(self._here):
            if since is not None and change.at < since:
                continue
            changed = Changed.of(body)
            if flag is None or flag in changed.flags or changed.more:
                yield replace(change, flag=flag, reason=changed.flags[flag]) if flag in changed.flags and flag is not None else change

    @property
    def lines(self) -> Iterator[Mapping[str, Any]]:
        """What only this process knows, as lines of history, oldest first."""
        return (body for body, _ in tuple(self._here))

    def after_fork(self) -> None:
        self._writing = threading.Lock()

    def serves(self, snapshot: Snapshot) -> None:
        """Note that `snapshot` serves from now on; told and written only where it says something else than the one before."""
        before, self._before = self._before, snapshot
        if before is not None and before.digest == snapshot.digest:
            return
        body = {"v": 1, "actor": self._actor, **noted(before, snapshot, self._clock.now())}
        if before is not None:
            self._bus.tell(self._change(body))
        if self._told:
            return
        if self._store is None:
            self._here.append((body, self._change(body)))
        else:
            self._waiting.append(body)

    def _change(self, body: dict[str, Any]) -> Change:
        changed = Changed.of(body)
        return Change(
            ChangeKind.DEFINITION, changed.only, body["at"], self._actor, changed.sentence, self._source, body["before"], body["after"]
        )

    def write(self) -> None:
        """Store what waits for it, if the store can be had. Never raises: what can't be stored is tried again."""
        writing = self._writing  # after a fork, and once gevent has come, there is another
        if self._store is None or not self._waiting or not writing.acquire(blocking=False):
            return
        try:
            while self._waiting:
                self._one(self._store, self._waiting[0])
                self._waiting.popleft()
        except (StoreError, ConflictError) as error:
            swallow("definitions noted", error)
        finally:
            writing.release()

    def _one(self, store: Store, body: dict[str, Any]) -> None:
        key = DEFINED + self._source
        for _ in range(_TRIES):
            there = store.read(key)[1].get(key)
            known = "" if there is None else str(there.body.get("digest", ""))
            if known == body["after"] or (body["before"] and known not in ("", body["before"])):
                return  # somebody else told of it already, or of what came after it
            number, head = (0, "") if there is None else (int(there.body.get("number", 0)), str(there.body.get("head", "")))
            line = {**body, "before": known or body["before"], "number": number + 1, "prev": head}
            line["hash"] = digest(line)
            document = {"v": 1, "digest": body["after"], "number": number + 1, "head": line["hash"]}
            try:
                store.commit(Commit({key: document}, {key: 0 if there is None else there.revision}, ((key, line),), uuid4().hex))
            except ConflictError:
                continue
            return


def noted(before: Snapshot | None, after: Snapshot, at: float) -> dict[str, Any]:
    """The part of a line of history that says which definitions took over from which, and what of each flag is another."""
    told = {} if before is None else dict(_differences(before, after))
    return {
        "before": "" if before is None else before.digest,
        "after": after.digest,
        "changed": dict(list(told.items())[:_NAMED]),
        "more": max(0, len(told) - _NAMED),
        "at": at,
    }


def _differences(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, str]]:
    """(flag, what became of it), by key."""
    for key in sorted(before.flags.keys() | after.flags.keys()):
        one, other = before.flags.get(key), after.flags.get(key)
        if one is None or other is None:
            yield key, "added" if one is None else "removed"
        elif one is not other and one != other:
            parts = [part.name for part in fields(one) if getattr(one, part.name) != getattr(other, part.name)]
            yield key, f"changed: {', '.join(parts)}"
