"""A limit for guesses: few wrong tokens in a minute from one address, after which none is looked at from there for a while."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from progflags._clock import Clock

__all__ = ["Limit"]

_WRONG: Final = 10  # wrong tokens from one address …
_MINUTE: Final = 60.0  # … in this many seconds
_ADDRESSES: Final = 10_000  # that are remembered; the oldest are forgotten first


class Limit:
    """Counts wrong tokens by address; bounded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try another; 0 where it may now."""
        recent = self._recent(address)
        return 0.0 if len(recent) < _WRONG else max(0.0, recent[0] + _MINUTE - self._clock.monotonic())

    def wrong(self, address: str) -> None:
        self._wrong[address] = [*self._recent(address), self._clock.monotonic()][-_WRONG:]
        self._wrong.move_to_end(address)
        while len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = self._clock.monotonic() - _MINUTE
        return [at for at in self._wrong.get(address, ()) if at > since]
