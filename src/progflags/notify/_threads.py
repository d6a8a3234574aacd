"""Threads: what a channel called the first message of what belongs together, where whichever process tells next finds it."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from cachetools import LRUCache

from progflags._clock import Clock
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError
from progflags.store import Commit, Store

__all__ = ["THREADS", "Threads"]

THREADS: Final = "threads/"
"""Before the channel's name: the document that has them."""

_KEPT: Final = 200  # of the last ones, in the store
_HERE: Final = 500
_TRIES: Final = 20  # each conflict is another writer's progress


class Threads:
    """Those of one channel. Neither question raises: with the store out of reach a message begins a thread of its own."""

    def __init__(self, store: Store, clock: Clock, channel: str) -> None:
        self._store = store
        self._clock = clock
        self._key = THREADS + channel
        self._here: LRUCache[str, str] = LRUCache(_HERE)

    def first(self, thread: str) -> str:
        """What the channel called the first message of `thread`; empty where there was none."""
        if (known := self._here.get(thread)) is not None:
            return str(known)
        try:
            found = self._read()[1].get(thread, ("", 0.0))[0]
        except StoreError as error:
            swallow("notify threads", error)
            return ""
        if found:
            self._here[thread] = found
        return found

    def begun(self, thread: str, called: str) -> None:
        """The channel calls the first message of `thread` that."""
        self._here[thread] = called
        try:
            self._keep(thread, called)
        except StoreError as error:
            swallow("notify threads", error)

    def _keep(self, thread: str, called: str) -> None:
        for _ in range(_TRIES):
            revision, known = self._read()
            newest = sorted({**known, thread: (called, self._clock.now())}.items(), key=lambda one: one[1][1])[-_KEPT:]
            body = {"v": 1, "threads": {name: list(told) for name, told in newest}}
            try:
                self._store.commit(Commit({self._key: body}, {self._key: revision}, (), uuid4().hex))
            except ConflictError:
                continue
            return

    def _read(self) -> tuple[int, dict[str, tuple[str, float]]]:
        """The document's revision, and by thread what the channel calls it, since when (wall)."""
        document = self._store.read(self._key)[1].get(self._key)
        if document is None:
            return 0, {}
        try:
            return document.revision, {str(name): (str(called), float(at)) for name, (called, at) in document.body["threads"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # somebody else's writing: begun anew
            swallow("notify threads", error)
            return document.revision, {}
