"""How late an event loop is: the `event_loop_lag` gauge, for absolute gates."""

from __future__ import annotations

import asyncio
from contextvars import Context
from weakref import WeakSet

__all__ = ["LoopLag"]

_EVERY = 0.25  # seconds between two beats of a watched loop


class LoopLag:
    """
    Asks each loop it has met to call back in a quarter of a second, again and again, and notes how late the loop was.

    A loop is late when something holds it: a synchronous call, a computation. The beats end with the loop.
    """

    def __init__(self) -> None:
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._last: asyncio.AbstractEventLoop | None = None
        self._worst = 0.0

    def meet(self) -> None:
        """Watch the running loop from now on; again does nothing. Without an asyncio loop (trio) there is nothing to watch."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop is self._last:
            return
        self._last = loop
        if loop not in self._loops:
            self._loops.add(loop)
            # In an empty context: the beats go on for ever, and the request that met the loop first must not be kept by them.
            Context().run(loop.call_later, _EVERY, self._beat, loop, loop.time() + _EVERY)

    def read(self) -> float | None:
        """The worst lateness since the last reading, in seconds; None while no loop was met."""
        worst, self._worst = self._worst, 0.0
        return None if self._last is None else worst

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._worst = max(self._worst, now - due)
        loop.call_later(_EVERY, self._beat, loop, now + _EVERY)
