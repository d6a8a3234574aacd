"""
How much the shadow may take: the CPU budget, the breaker, the rate that adapts by itself.

Dropping the newest call is always an answer here, waiting never is. Each limit is asked on the caller's thread, so each is
a comparison of two numbers; what costs more is done by whoever finishes a shadow.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from progflags._clock import Clock

__all__ = ["Breaker", "CpuBudget", "Rate"]


class CpuBudget:
    """
    A token bucket of CPU seconds, shared by every experiment of the process.

    `share` of one core flows in, up to `burst` seconds; a shadow is admitted while anything is left and pays afterwards what
    it used, so one long job delays the next instead of being cut. A job that computes for a switch interval or more costs
    eight times its time: whoever wakes up meanwhile waits a whole interval for the interpreter. At 5 % such jobs run for
    0.6 % of the time, so fewer than one control call in a hundred meets one, and its p99 stays where it was.
    """

    __slots__ = ("_clock", "_filled", "_level", "_lock", "burst", "share", "spent")

    def __init__(self, clock: Callable[[], float], share: float = 0.05, burst: float = 0.25) -> None:
        self.share = share
        self.burst = burst
        self.spent = 0.0
        self._clock = clock
        self._level = burst
        self._filled = clock()
        self._lock = threading.RLock()

    def allows(self) -> bool:
        if self._level > 0.0:
            return True
        with self._lock:
            self._fill()
            return self._level > 0.0

    def spend(self, seconds: float) -> None:
        with self._lock:
            self._fill()
            self._level -= seconds * (1.0 + (_HEAVY - 1.0) * min(1.0, seconds / _SWITCH))
            self.spent += seconds

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self.burst, self._level + (now - self._filled) * self.share)
        self._filled = now


_SWITCH: Final = 0.005  # sys.getswitchinterval() as it comes
_HEAVY: Final = 8.0


class Breaker:
    """
    Stops an experiment whose candidate keeps failing, and lets one in a hundred through to see whether it still does.

    Failing means errors, timeouts, left-behind work, blocked event loops and values that can't be compared. Mismatches
    are not failures: they are what a dark launch is for. Opens at `share` of at least `least` of the last 100 outcomes
    (hanging ones weigh ten), stays open for `pause` seconds, then half-open until ten probes in a row went well. Each probe
    that fails doubles the pause, up to five minutes; a candidate that has recovered begins anew.
    """

    __slots__ = ("_clock", "_first", "_lock", "_opened", "_probes", "_recent", "_wins", "least", "pause", "share", "state")

    LONGEST: Final = 300.0

    def __init__(self, clock: Clock, *, share: float = 0.5, least: int = 50, pause: float = 5.0) -> None:
        self.share = share
        self.least = least
        self.pause = self._first = pause
        self.state = "closed"  # closed | open | half-open
        self._clock = clock
        self._opened = 0.0
        self._recent: deque[int] = deque(maxlen=100)
        self._wins = 0
        self._probes = 0
        self._lock = threading.RLock()

    def allows(self) -> bool:
        if self.state == "closed":
            return True
        with self._lock:
            if self.state == "open":
                if self._clock.monotonic() - self._opened < self.pause:
                    return False
                self.state, self._wins, self._probes = "half-open", 0, 0
            self._probes += 1
            return self._probes % 100 == 1

    def note(self, weight: int) -> bool:
        """An outcome: 0 for a healthy one, else how heavily it fails. True when this one opened the breaker."""
        with self._lock:
            if self.state == "half-open":
                self._wins = 0 if weight else self._wins + 1
                if weight:
                    self.pause = min(2 * self.pause, self.LONGEST)
                    return self._open()
                if self._wins >= 10:
                    self.state, self.pause = "closed", self._first
                    self._recent.clear()
                return False
            self._recent.append(weight)
            if not weight or self.state == "open":
                return False
            failing = sum(self._recent)
            return self._open() if failing >= self.least and failing >= self.share * len(self._recent) else False

    def trip(self) -> bool:
        """Open at once, whatever came before. True when it was not open."""
        with self._lock:
            return self.state != "open" and self._open()

    def _open(self) -> bool:
        self.state = "open"
        self._opened = self._clock.monotonic()
        self._recent.clear()
        return True


class Rate:
    """
    The share of admitted calls that are really shadowed: halved under lasting pressure, regained by a tenth a quiet minute.

    Pressure is a second in which more than a tenth of the calls were shed for want of room; three such seconds in a row
    halve the rate. `cut()` halves it at once (the self-harm monitor's verdict). Additive increase, multiplicative
    decrease, as congestion control does it, so that processes that hurt each other settle apart.
    """

    __slots__ = ("_clock", "_lock", "_pressed", "_second", "_seen", "_shed", "_since", "value")

    LEAST: Final = 0.01

    def __init__(self, clock: Clock) -> None:
        self.value = 1.0
        self._clock = clock
        self._second = int(clock.monotonic())
        self._seen = self._shed = self._pressed = 0
        self._since = clock.monotonic()  # since when nothing pressed
        self._lock = threading.RLock()

    def note(self, shed: bool) -> None:
        """A call that was asked about room: whether it had to go."""
        now = self._clock.monotonic()
        with self._lock:
            if int(now) != self._second:
                self._turn(now)
            self._seen += 1
            self._shed += shed

    def cut(self) -> None:
        with self._lock:
            self._halve(self._clock.monotonic())

    def _turn(self, now: float) -> None:
        pressed = self._shed * 10 > self._seen
        self._pressed = self._pressed + 1 if pressed else 0
        if self._pressed >= 3:
            self._halve(now)
        elif pressed:
            self._since = now
        while self.value < 1.0 and now - self._since >= 60.0:
            self.value = min(1.0, self.value + 0.1)
            self._since += 60.0
        self._second = int(now)
        self._seen = self._shed = 0

    def _halve(self, now: float) -> None:
        self.value = max(self.LEAST, self.value / 2)
        self._since = now
        self._pressed = 0
