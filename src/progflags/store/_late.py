"""A store that is opened by whoever needs it first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from progflags._deadline import left
from progflags._process import in_child
from progflags.errors import StoreError
from progflags.store._contract import Store

__all__ = ["LateStore"]

_PATIENCE: Final = 5.0  # seconds that another thread may take to open it, where nobody is in a hurry


class LateStore:
    """`opening` opens it; `url` is its name for people. `store`: it, while it is open; None before, and after `let_go`."""

    def __init__(self, url: str, opening: Callable[[], Store], store: Store | None = None) -> None:
        self._url = url
        self._opening = opening
        self.store = store
        self._closed = False
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A lock nobody holds; the store sees to its own connection."""
        self._lock = threading.Lock()

    def open(self) -> Store:
        """
        The store, opened by one thread.

        Raises:
            StoreError: it can't be opened, or was closed.
        """
        store = self.store
        if store is not None:
            return store
        if self._closed:
            raise StoreError(f"{self._url} is closed: open it again")
        lock = self._lock  # after a fork, and once gevent has come, there is another
        if not lock.acquire(timeout=left(_PATIENCE)):
            raise StoreError(f"{self._url} is still being opened by another thread")
        try:
            if self.store is None:
                self.store = self._opening()
            return self.store
        finally:
            lock.release()

    def let_go(self) -> Store | None:
        """What was open, for the caller to close; whoever needs it next opens another."""
        store, self.store = self.store, None
        return store

    def close(self) -> Store | None:
        """Likewise, and nobody opens it again."""
        self._closed = True
        return self.let_go()
