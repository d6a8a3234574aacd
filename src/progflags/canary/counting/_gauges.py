"""
Readings of the process and of whatever the application names: one number at a time, without an arm.

A source is the application's code, and it is asked for while a window is taken, in the thread where rollbacks arrive. So it
runs beside: who takes the window waits a moment, and has the last reading otherwise, while that is fresh.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress

from progflags._beside import LIMIT, RUNNING, Asked, Late
from progflags._names import must_be_named
from progflags._printed import quoted
from progflags._trouble import say, swallow
from progflags.canary.counting._sketch import LARGEST

__all__ = ["Gauges"]

Source = Callable[[], float | None]


class Gauges:
    """
    Named sources, read when a window is taken. One that fails or answers no finite number is left out, and counted.

    `cpu` (this process's share of the cores it may use, 0…1, since the last reading) and `memory` (its resident share of
    the machine's memory, 0…1) are built in; `source` replaces them by name. A `counter` is read as its growth per second.
    """

    def __init__(self, wait: Callable[[], float], now: Callable[[], float] = time.monotonic) -> None:
        self._wait = wait  # seconds that whoever reads has for a source
        self._now = now  # the program's clock, by which a counter grows; a source that hangs hangs by the machine's
        self._sources: dict[str, Source | _Named] = {"cpu": _Cpu(), "memory": _memory}

    def source(self, name: str, fn: Source, kind: str = "gauge", max_age: float = LIMIT) -> None:
        """
        Read `fn` under `name` from now on; a reading counts for `max_age` seconds from when it was asked for.

        Raises:
            ValueError: `name` can't be a name, `kind` is neither "gauge" nor "counter", `fn` can't be called, or `max_age` is
                not a positive number.
        """
        if isinstance(max_age, bool) or not isinstance(max_age, (int, float)) or not 0 < max_age < math.inf:
            raise ValueError(f"max_age is a number of seconds above 0, not {quoted(max_age)}")
        must_be_named(name, "a source")
        if kind not in {"gauge", "counter"}:
            raise ValueError(f"a source is a 'gauge' or a 'counter', not {quoted(kind)}")
        if not callable(fn):
            raise ValueError(f"the source of {quoted(name)} is a function without arguments, not {quoted(fn)}")  # noqa: TRY004 - one kind of error for a wrong source
        self._sources = {
            **self._sources,
            str.__str__(name): _Named(str.__str__(name), fn if kind == "gauge" else _Growth(fn, self._now), max_age),
        }

    def read(self) -> dict[str, float | None]:
        """Every source's reading now; None for one that has none, for a gate on it must not take it for an event that never happened."""
        readings: dict[str, float | None] = {}
        until = time.monotonic() + self._wait()  # for all of them
        for fn in self._sources.values():
            if isinstance(fn, _Named):
                fn.asked.begin()
        for name, fn in self._sources.items():
            readings[name] = None
            try:
                value = fn.asked.answer(max(0.0, until - time.monotonic())) if isinstance(fn, _Named) else fn()
                if value is None:
                    continue
                if isinstance(value, bool) or not abs(value) <= LARGEST:
                    raise ValueError(f"{quoted(value)} is no finite number")  # noqa: TRY301 - counted with what the source raises
                readings[name] = float(value)
            except Late as error:
                say(f"metrics source {name!r}", str(error), cause="late")
            except Exception as error:
                swallow(f"metrics source {name!r}", error)
        return readings

    def health(self) -> dict[str, str]:
        """How the threads of the application's sources are, by source."""
        return {f"metric {name}": fn.health() for name, fn in self._sources.items() if isinstance(fn, _Named)}

    def close(self) -> None:
        """End the sources' threads."""
        for fn in self._sources.values():
            if isinstance(fn, _Named):
                fn.asked.close()


class _Named:
    """A source of the application's, and where it runs."""

    def __init__(self, name: str, fn: Source, max_age: float) -> None:
        self._fn = fn
        self.asked = Asked(f"metrics source {name!r}", fn, limit=max_age)

    def health(self) -> str:
        """Its own word first, where it runs a thread itself."""
        own = getattr(self._fn, "health", None)
        said = own() if callable(own) else RUNNING
        return said if isinstance(said, str) and said != RUNNING else self.asked.health()


class _Cpu:
    """Processor time used over time passed; real clocks, for no test's clock moves the processor."""

    _SHORTEST = 0.05  # seconds: below it the quotient of two clock ticks is noise, and the last reading stands

    def __init__(self) -> None:
        self._wall, self._used = time.monotonic(), time.process_time()
        self._last: float | None = None
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)

    def __call__(self) -> float | None:
        wall, used = time.monotonic(), time.process_time()
        if wall - self._wall >= self._SHORTEST:
            self._last = max(0.0, used - self._used) / (wall - self._wall) / self._cores
            self._wall, self._used = wall, used
        return self._last


def _memory() -> float | None:
    with suppress(OSError, ValueError, AttributeError):  # only Linux has /proc; elsewhere there is no reading, and a gate says so
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read at every window
            pages = int(file.read().split()[1])
        return pages / os.sysconf("SC_PHYS_PAGES")
    return None


class _Growth:
    """A counter as its growth per second; a reset (it went down) starts over instead of counting backwards."""

    def __init__(self, fn: Source, now: Callable[[], float]) -> None:
        self._fn = fn
        self._now = now
        self.health = getattr(fn, "health", None)
        self._before: tuple[float, float] | None = None

    def __call__(self) -> float | None:
        value = self._fn()
        if value is None:
            return None
        now, before = self._now(), self._before
        self._before = (now, value)
        if before is None or value < before[1] or now <= before[0]:
            return None
        return (value - before[1]) / (now - before[0])
