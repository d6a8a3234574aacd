"""Jumps: a wall clock that was set, or a machine that slept, is said once, because schedules and ramps go by it."""

from __future__ import annotations

from typing import Final

from progflags._clock import Clock
from progflags._trouble import say

__all__ = ["Jumps"]

_NOTABLE: Final = 60.0  # seconds: NTP slews smaller steps, and nothing of ours is that fine


class Jumps:
    """Compares the wall clock with the monotonic one at every look."""

    __slots__ = ("_apart", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._apart = clock.now() - clock.monotonic()

    def look(self) -> float:
        """How far the wall clock has jumped since the last look, in seconds; one beyond a minute is logged."""
        apart = self._clock.now() - self._clock.monotonic()
        jump = apart - self._apart
        if abs(jump) > _NOTABLE:
            self._apart = apart
            say(
                "clock",
                f"the wall clock jumped by {jump:+.0f} s (it was set, or the machine slept): windows, ramps, calendars and `expires` go by "
                "it; bakes, cool-downs and time limits do not",
                cause=f"{apart:.0f}",
            )
        return jump
