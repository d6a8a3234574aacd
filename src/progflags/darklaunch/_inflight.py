"""The calls of one experiment that were taken in and have not ended yet: each ends once, and who waits for the last one misses none."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["InFlight"]

_TICK: Final = 0.001  # seconds between two looks of one who waits


class Flying(Protocol):
    """A call, by what tells it from others: its number, the event loop it is in, and when it was handed over (0.0: not yet)."""

    @property
    def number(self) -> int: ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None: ...

    @property
    def at(self) -> float: ...


F = TypeVar("F", bound=Flying)


class InFlight(Generic[F]):
    """At most `most` calls. `lost(call)` is told of one whose event loop was closed under it, and ends it."""

    __slots__ = ("_calls", "_ending", "_lost", "_most")

    def __init__(self, most: int, lost: Callable[[F], object]) -> None:
        self._calls: dict[int, F] = {}
        self._ending: set[object] = set()
        self._most = most
        self._lost = lost

    def clear(self) -> None:
        """Forget them all: after a fork they are the parent's."""
        self._calls, self._ending = {}, set()

    @property
    def full(self) -> bool:
        return len(self._calls) >= self._most

    def add(self, call: F) -> None:
        self._calls[call.number] = call

    def __contains__(self, call: F) -> bool:
        return call.number in self._calls

    def begin_end(self, call: F) -> object | None:
        """
        A mark to hand to `ended` once the call is counted; None: somebody else ends it, or has.

        The mark is set before the call leaves, or who waits could miss it in between.
        """
        mark = object()
        self._ending.add(mark)
        if self._calls.pop(call.number, None) is None:
            self._ending.discard(mark)
            return None
        return mark

    def ended(self, mark: object) -> None:
        self._ending.discard(mark)

    def all(self) -> tuple[F, ...]:
        return tuple(self._calls.values())

    @property
    def pending(self) -> int:
        """How many were handed over and are not ended."""
        calls = self.all()  # before _ending is looked at: that is the way a call goes
        for call in calls:
            if call.loop is not None and call.loop.is_closed():
                self._lost(call)
        return sum(1 for call in calls if call.at and call in self) + len(self._ending)

    def drain(self, timeout: float) -> bool:
        """Wait until none is pending; False when it took too long. Raises RuntimeError on a running event loop."""
        if "asyncio" in sys.modules and asyncio._get_running_loop() is not None:
            raise RuntimeError("drain() would block the event loop its shadows run on: await adrain() instead")
        return self.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """As `drain`, wherever we are."""
        until = time.monotonic() + timeout
        while self.pending:
            if time.monotonic() >= until:
                return False
            time.sleep(_TICK)
        return True

    async def adrain(self, timeout: float) -> bool:  # noqa: ASYNC109 - the same word as in drain
        """As `drain`, on an event loop."""
        until = time.monotonic() + timeout
        while self.pending:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(_TICK)
        return True
