"""
One deadline for a whole operation: `within` sets it, whoever waits further down asks what is `left`.

It travels with the context, not through parameters, so a Store has the methods of its contract and no more. An outer deadline is
never prolonged by an inner one. It runs on the machine's clock: what is waited for is a socket, a disk, a lock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from progflags._printed import quoted

__all__ = ["left", "limited", "spent", "within"]

_deadline: ContextVar[float] = ContextVar("progflags-deadline", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """
    A block that has `seconds` from now, or what an outer one has left if that is less.

    Raises:
        ValueError: not a positive number.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ValueError(f"a timeout is a positive number of seconds, not {quoted(seconds)}")
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def left(most: float) -> float:
    """
    Seconds that may still be waited: what the deadline leaves, at most `most`; 0 once it has passed.

        def lock(self):
            if not self.mutex.acquire(timeout=left(2.0)):
                raise pf.StoreError("the store is locked")
    """
    return max(0.0, min(most, _deadline.get() - time.monotonic()))


def limited() -> bool:
    """Whether there is a deadline at all."""
    return _deadline.get() < math.inf


def spent() -> bool:
    """Whether there was a deadline, and it has passed."""
    return time.monotonic() >= _deadline.get()
