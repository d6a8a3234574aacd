"""A glance: what the store's revision is, as far as that is known without asking, and for how long that will do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from progflags._chance import chance
from progflags._process import in_child

__all__ = ["Glance"]

_JITTER: Final = 0.1  # a tenth, so that the processes of a fleet do not all look at the same instant. Never sooner than was said: who puts
# a window up as often is told the revision with it, and need not ask just before


class Glance:
    """
    One process's, of one store. `interval` says how many seconds what was seen will do; zero, as it begins: every time is asked.

    Whoever asks the store takes a `ticket` before, and what it saw counts only if nothing happened meanwhile that made it old.
    """

    def __init__(self) -> None:
        self.interval: Callable[[], float] = float
        self.ticket = 0
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A lock nobody holds; and a child asks for itself."""
        self._lock = threading.Lock()
        self._seen: tuple[int, float] | None = None  # the revision, and until when (monotonic) it will do

    def known(self) -> int | None:
        """The revision; None where the store is to be asked."""
        seen = self._seen
        return None if seen is None or time.monotonic() >= seen[1] else seen[0]

    def left(self) -> float:
        """Seconds until the store is to be asked; 0 where it is now."""
        seen = self._seen
        return 0.0 if seen is None else max(0.0, seen[1] - time.monotonic())

    def saw(self, revision: int, ticket: int) -> None:
        """Note what the store had, asked with this ticket."""
        seconds = self.interval()
        with self._lock:
            if seconds and ticket == self.ticket:
                self._seen = revision, time.monotonic() + seconds * chance.uniform(1, 1 + _JITTER)

    def forget(self) -> None:
        """It may have moved, or is in trouble: ask it."""
        with self._lock:
            self.ticket += 1
            self._seen = None
