"""Time as an argument: wall time for people, monotonic time for waiting."""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

from progflags._printed import quoted

__all__ = ["SYSTEM", "Clock", "SystemClock", "seconds"]


@runtime_checkable
class Clock(Protocol):
    """What the house asks of time. `progflags.testing.ManualClock` is the other implementation."""

    def now(self) -> float:
        """Seconds since the Unix epoch; may step in either direction, so it is for display and dates only."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; every duration is measured on these."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


SYSTEM = SystemClock()

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """
    A written duration, `<number>(ms|s|m|h|d)`, in seconds.

    A bare number is refused, for nobody agrees on its unit; so are signs, spaces, exponents and NaN.

    Raises:
        ValueError: not of that form; write for example `"15m"` or `"1.5h"`.
    """
    number = text.rstrip("mshd") if isinstance(text, str) else ""
    unit = text[len(number) :] if number else ""
    if unit not in _UNITS or not number.replace(".", "", 1).isdecimal() or not number.isascii():
        raise ValueError(f'{quoted(text)} is not a duration: write a number and a unit, as in "30s", "15m", "4h" or "1d"')
    return float(number) * _UNITS[unit]
