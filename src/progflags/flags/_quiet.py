"""
Loading much without making other threads wait: no garbage collection in between, and no end of everything at once.

A document of 10,000 flags makes some hundred thousand objects, none of them garbage, and each full collection among them
stops every thread of the process: 40–80 ms where the load itself lets others run every 5 ms. So it waits until the load
is done, and then what was made is looked through once, which takes 4 ms of 10,000 flags: left to itself the collector does so after
several loads, with the objects of all of them. Small documents do not bother.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from progflags._process import in_child, look

__all__ = ["let_go", "quiet"]

_LARGE = 1000  # flags, or 100 characters of text each
_YOUNG = 1  # the generations that what was just made is in


class _Pause:
    """How many loads are under way, and whether the collector is to run again after the last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.enable = False
        in_child(self)

    def after_fork(self) -> None:
        """In a child no load is under way, whatever the parent's threads were doing."""
        self.lock = threading.Lock()
        if self.depth and self.enable:
            gc.enable()
        self.depth = 0


_pause = _Pause()


@contextmanager
def quiet(flags: int) -> Iterator[None]:
    """A block that makes about so many flags; with many of them, no collection runs in it, and one at its end."""
    if flags < _LARGE:
        yield
        return
    look()
    with _pause.lock:
        if _pause.depth == 0:
            _pause.enable = gc.isenabled()
            gc.disable()
        _pause.depth += 1
    try:
        yield
    finally:
        with _pause.lock:
            _pause.depth = max(_pause.depth - 1, 0)
            last = _pause.depth == 0 and _pause.enable
            if last:
                gc.enable()
        if last:
            gc.collect(_YOUNG)


def let_go(things: list[Any]) -> None:
    """
    Let go of many things, one by one.

    A table of 10,000 flags whose last name goes away frees them in one step of several milliseconds, in which no other thread
    runs. Held by a list meanwhile, they outlive their table, and go one at a time.
    """
    while things:
        things.pop()
