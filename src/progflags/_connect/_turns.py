"""Turns: looks of one kind come one after another, looks of different kinds do not wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from progflags._deadline import left, limited

__all__ = ["Turns"]

_LONG = 3600.0


class Turns:
    """
    The right to look at one thing, a source or a store: one thread at a time, so that an older look never overtakes a newer.

    A look tells listeners, and a listener may ask for another look. Two threads that did so in each other's turn would wait for
    each other for ever. So whoever is in a turn already never waits for another: somebody is looking at that very moment.
    """

    _here = threading.local()  # .depth: in how many turns, of whatever kind, this thread is

    def __init__(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def take(self) -> Iterator[bool]:
        """
        A block that is a turn. False: it is not, for this thread would have to wait inside another, or longer than it has time
        for; leave the look to who has it.
        """
        depth = getattr(Turns._here, "depth", 0)
        if not self._lock.acquire(blocking=depth == 0, timeout=left(_LONG) if depth == 0 and limited() else -1):
            yield False
            return
        Turns._here.depth = depth + 1
        try:
            yield True
        finally:
            Turns._here.depth = depth
            self._lock.release()
