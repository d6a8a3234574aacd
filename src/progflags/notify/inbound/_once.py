"""Once: which alerts were acted on already, by this process or any other that shares the store."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from cachetools import LRUCache

from progflags._clock import Clock
from progflags._json import digest
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError
from progflags.store import Commit, Store

__all__ = ["Once"]

_KEY: Final = "hook/alerts"
_KEPT: Final = 500  # of the last ones, in the store
_HERE: Final = 10_000
_TRIES: Final = 20  # each conflict is another writer's progress


class Once:
    """Remembers ids, as digests: they are as long as whoever sent them liked."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._here: LRUCache[str, bool] = LRUCache(_HERE)

    def known(self, id_: str) -> bool:
        """
        Whether it was noted.

        Raises:
            StoreError: not here, and the store is out of reach.
        """
        key = digest(id_)
        if key in self._here:
            return True
        document = self._store.read(_KEY)[1].get(_KEY)
        return document is not None and key in document.body["ids"]

    def note(self, id_: str) -> None:
        """From now on it is known. Never raises: with the store out of reach, here alone."""
        key = digest(id_)
        self._here[key] = True
        try:
            self._keep(key)
        except StoreError as error:
            swallow("hook", error)

    def _keep(self, key: str) -> None:
        for _ in range(_TRIES):
            document = self._store.read(_KEY)[1].get(_KEY)
            ids = {} if document is None else dict(document.body["ids"])
            ids[key] = self._clock.now()
            newest = dict(sorted(ids.items(), key=lambda one: one[1])[-_KEPT:])
            try:
                self._store.commit(
                    Commit({_KEY: {"v": 1, "ids": newest}}, {_KEY: 0 if document is None else document.revision}, (), uuid4().hex)
                )
            except ConflictError:
                continue
            return
