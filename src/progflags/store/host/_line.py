"""The line to the server: opened by whoever needs it, and let go of once nobody has needed it for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from progflags._deadline import left
from progflags._process import in_child
from progflags.errors import StoreError
from progflags.store._contract import Store

__all__ = ["Line"]

_PATIENCE: Final = 5.0  # seconds that another thread may take to open it, where nobody is in a hurry


class Line:
    """`opening` opens the store on the server; `url` is its name for people."""

    def __init__(self, url: str, opening: Callable[[], Store]) -> None:
        self._url = url
        self._opening = opening
        self._store: Store | None = None
        self._users = 0
        self._used = 0.0
        self._closed = False
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """Locks nobody holds, and nobody at work; the store sees to its own connection."""
        self._lock, self._counting, self._users = threading.Lock(), threading.Lock(), 0

    @property
    def store(self) -> Store | None:
        """What is open just now."""
        return self._store

    @contextmanager
    def use(self) -> Iterator[Store]:
        """
        The store on the server, not let go of meanwhile.

        Raises:
            StoreError: it can't be opened.
        """
        self._count(1)
        try:
            yield self._open()
        finally:
            self._count(-1)

    def rest(self, seconds: float) -> None:
        """Let go of the connection, if nobody has used it for so long."""
        with self._counting:
            if self._users or time.monotonic() - self._used < seconds:
                return
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def accept(self) -> None:
        """Go on with a server that has less than it once had."""
        store = self._store
        accept = getattr(store, "accept", None)
        if accept is not None:
            accept()

    def close(self) -> None:
        """For good."""
        self._closed = True
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _count(self, step: int) -> None:
        with self._counting:
            self._users += step
            self._used = time.monotonic()

    def _open(self) -> Store:
        store = self._store
        if store is not None:
            return store
        if self._closed:
            raise StoreError(f"{self._url} is closed: open it again")
        if not self._lock.acquire(timeout=left(_PATIENCE)):
            raise StoreError(f"{self._url} is still being opened by another thread")
        try:
            if self._store is None:
                self._store = self._opening()
            return self._store
        finally:
            self._lock.release()
