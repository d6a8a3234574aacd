"""The line to the server: opened by whoever needs it, and let go of once nobody has needed it for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from progflags._process import in_child
from progflags.store._contract import Store
from progflags.store._late import LateStore

__all__ = ["Line"]


class Line:
    """`opening` opens the store on the server; `url` is its name for people."""

    def __init__(self, url: str, opening: Callable[[], Store]) -> None:
        self._late = LateStore(url, opening)
        self._used = 0.0
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """Nobody is at work here."""
        self._counting, self._users = threading.Lock(), 0

    @property
    def store(self) -> Store | None:
        """What is open just now."""
        return self._late.store

    @contextmanager
    def use(self) -> Iterator[Store]:
        """
        The store on the server, not let go of meanwhile.

        Raises:
            StoreError: it can't be opened.
        """
        self._count(1)
        try:
            yield self._late.open()
        finally:
            self._count(-1)

    def rest(self, seconds: float) -> None:
        """Let go of the connection, if nobody has used it for so long."""
        with self._counting:
            if self._users or time.monotonic() - self._used < seconds:
                return
            store = self._late.let_go()
        if store is not None:
            store.close()

    def accept(self) -> None:
        """Go on with a server that has less than it once had."""
        accept = getattr(self.store, "accept", None)
        if accept is not None:
            accept()

    def close(self) -> None:
        """For good."""
        store = self._late.close()
        if store is not None:
            store.close()

    def _count(self, step: int) -> None:
        with self._counting:
            self._users += step
            self._used = time.monotonic()
