"""
The process is weighed while coroutines run in its shadow, by a thread that no coroutine can hold up.

A thread of ours is weighed by the watch over threads (`_workers`). A coroutine runs in a loop that may be the application's, may
never come back from a step, or waits for a thread that hoards: so it is weighed from outside, twenty times a second, all of them at
once. A second after the last has ended nobody looks any more.
"""

from __future__ import annotations

from typing import Final, Protocol

from progflags._process import in_child
from progflags.darklaunch.lanes._resident import resident
from progflags.darklaunch.lanes._watch import Watch

__all__ = ["GROWTH", "Scale", "Weighed", "scale"]

GROWTH: Final = 256 << 20  # bytes a process may grow by while one shadow runs
_TICK: Final = 0.05


class Weighed(Protocol):
    """What runs. `resident` is the process's size at the first look, 0 before it; `grew` is called once, in another thread."""

    resident: int

    def grew(self, size: int) -> None:
        """The process has grown by so many bytes since."""
        ...


class Scale:
    """Puts `on` what runs, and takes it off when it has ended."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child has none of its parent's threads, and runs none of its coroutines."""
        self._on: set[Weighed] = set()
        self._watch = Watch("scale", _TICK, self._weigh)

    def put(self, one: Weighed) -> None:
        self._on.add(one)
        self._watch.wake()

    def take(self, one: Weighed) -> None:
        self._on.discard(one)

    def _weigh(self) -> bool:
        on = tuple(self._on)
        if not on:
            return False
        size = resident()
        for one in on:
            if not one.resident:
                one.resident = size
            elif size - one.resident > GROWTH:
                self.take(one)
                one.grew(size - one.resident)
        return True


scale: Final = Scale()
