"""A clock that moves when told to."""

from __future__ import annotations

import threading

from progflags._clock import seconds
from progflags._printed import quoted

__all__ = ["ManualClock"]


class ManualClock:
    """
    Both of progflags' clocks under a test's control: they move only by `advance` (together) and `step_wall` (wall alone).

    A client connected with `clock=ManualClock()` runs no background thread: `flags.refresh()` and `flags.rollouts.tick()`
    are the only things that look. `start` is the monotonic reading in seconds; wall time begins there too, so `now()` is
    a small number of seconds after 1970 unless `wall` says otherwise.

        clock = ManualClock()
        flags = pf.connect("flags.toml", clock=clock)
        clock.advance(900)                                      # a quarter of an hour later
        flags.rollouts.tick()
    """

    def __init__(self, start: float = 0.0, *, wall: float | None = None) -> None:
        self._lock = threading.Lock()
        self._monotonic = float(start)
        self._wall = float(start if wall is None else wall)

    def advance(self, by: float | str) -> float:
        """
        Let time pass: seconds, or a written duration such as `"15m"`. Returns the monotonic reading after it.

        Raises:
            ValueError: `by` is negative or not a duration; monotonic time never goes back.
        """
        step = seconds(by) if isinstance(by, str) else float(by)
        if not step >= 0:
            raise ValueError(f"time only advances: {quoted(by)} is not a duration of zero or more")
        with self._lock:
            self._monotonic += step
            self._wall += step
            return self._monotonic

    def step_wall(self, by: float) -> None:
        """Set the wall clock `by` seconds forward or back, as an operator or NTP would; monotonic time does not notice."""
        with self._lock:
            self._wall += by

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def now(self) -> float:
        with self._lock:
            return self._wall
