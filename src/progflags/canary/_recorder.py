"""The recorder: hears what was served, and counts it by flag, revision and arm."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, isfinite
from typing import Any, Final

from progflags._clock import Clock, SystemClock
from progflags._trouble import say, swallow
from progflags.canary._gate import Gate
from progflags.canary._gauges import Gauges
from progflags.canary._sketch import LARGEST, Sample
from progflags.canary._tallies import LATENCY, Count, thresholds
from progflags.canary._totals import NOTHING, Moments, Totals, exact
from progflags.canary._window import CANDIDATE, CONTROL, Window
from progflags.context import unit_bytes
from progflags.events import Bus, Called, Exposed, Served, Tracked

__all__ = ["Recorder"]

_MOST: Final = 10**12  # equal observations at once: nine million times that fit into the counters
_FLAGS: Final = 10_000  # flags counted at once; beyond it new ones are refused, and said so


class Recorder:
    """
    Counts what happens on each arm of each flag that is being counted.

    Hears `Served`, `Called`, `Exposed` and `Tracked` on the Bus; `record` takes the same by hand. Never raises into the
    request: a value that is no finite number, or a negative duration, is rejected and counted. Thread-safe, with one lock
    per flag; after a fork the child starts from zero, because the parent goes on reporting what it counted.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None:
        # Bound once, and past its method where it is the machine's: it is read for every observation.
        self._monotonic = time.monotonic if type(clock) is SystemClock else clock.monotonic
        self._counts: dict[str, Count] = {}
        self._alarms: tuple[Callable[[str, int], object], ...] = ()
        self._gauges = Gauges()
        bus.listen(Called, self._on_called)
        bus.listen(Served, self._on_served)
        bus.listen(Exposed, self._on_exposed)
        bus.listen(Tracked, self._on_tracked)
        _living.add(self)

    # -- what happened ------------------------------------------------------------------------------------------------

    def _on_called(self, event: Called) -> None:
        exposure = event.exposure
        count = self._counts.get(exposure.flag)
        if count is not None and count.revision == exposure.revision:
            count.note(exposure.arm, event.seconds, event.failed, event.unit, self._monotonic())
            if event.failed and exposure.arm == CANDIDATE:
                self._alarm(exposure.flag, exposure.revision)

    def _on_served(self, event: Served) -> None:
        now = self._monotonic()
        for exposure in event.exposures:
            count = self._counts.get(exposure.flag)
            if count is not None and count.revision == exposure.revision:
                count.note(exposure.arm, event.seconds, event.failed, event.unit, now)
                if event.failed and exposure.arm == CANDIDATE:
                    self._alarm(exposure.flag, exposure.revision)

    def _on_exposed(self, event: Exposed) -> None:
        count = self._counts.get(event.exposure.flag)
        if count is not None and count.revision == event.exposure.revision:
            with count.lock:
                count.meet(event.exposure.arm, event.unit)

    def _on_tracked(self, event: Tracked) -> None:
        if abs(event.value) <= LARGEST:  # which no NaN is
            for count in tuple(self._counts.values()):
                count.track(event.event, event.unit, event.value)
        else:
            swallow("track", ValueError(f"{event.value!r} is no finite value"))

    def record(
        self,
        flag: str,
        *,
        arm: str,
        seconds: float | None = None,
        error: bool | None = None,
        n: int = 1,
        unit: str | bytes | None = None,
        events: Mapping[str, float] | Iterable[str] | None = None,
    ) -> None:
        """
        Count `n` equal observations on `arm`, credited to the revision being counted.

        `seconds` is a duration, `error` whether it failed (None: not known), `unit` whom it happened to, `events` what
        the unit did (names, or names with values). Anything that can't be so is rejected and counted, never raised.
        """
        count = self._count_of(flag)
        if count is None:
            return
        if not _many(n) or not isinstance(arm, str) or not _truth(error):
            self._reject(count, arm)
            return
        who = unit if isinstance(unit, bytes) else unit_bytes(unit)
        failed = None if error is None else bool(error)
        duration = seconds if seconds is None or (isinstance(seconds, (int, float)) and not isinstance(seconds, bool)) else inf
        if n == 1:
            count.note(arm, duration, failed, who, self._monotonic())
        else:
            with count.lock:
                count.note_many(arm, duration, failed, n, who, self._monotonic())
        if who is not None or events is not None:
            with count.lock:
                if who is not None:
                    count.meet(arm, who)
                if events is not None:
                    self._events(count, arm, events, n, who)
        if failed and arm == CANDIDATE:
            self._alarm(flag, count.revision)

    def _events(self, count: Count, arm: str, events: Mapping[str, float] | Iterable[str], n: int, unit: bytes | None) -> None:
        for name, value in _named(events):
            if not _text(name) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
                count.arm(arm).rejected += n
            elif value and unit is not None:
                count.credit(arm, name, unit, float(value))
            elif value:
                worth = exact(float(value))
                count.arm(arm).event(name, Moments(n, worth * n, worth * worth * n))

    def observe(self, flag: str, name: str, value: float, *, arm: str, n: int = 1, revision: int | None = None) -> None:
        """Add `value` to the sample `name` of an arm: what a gate with a `quantile` or `kind="mean"` on that name looks at."""
        count = self._count_of(flag) if revision is None else self._counts.get(flag)
        if count is None or (revision is not None and count.revision != revision):
            return
        if not _many(n) or not (_text(arm) and _text(name)):
            self._reject(count, arm)
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST:
            self._reject(count, arm, n)
            return
        count.observe(arm, name, float(value), n)

    def _reject(self, count: Count, arm: object, n: int = 1) -> None:
        with count.lock:
            count.arm(arm if isinstance(arm, str) else CONTROL).rejected += n

    def _count_of(self, flag: object) -> Count | None:
        """What is being counted for `flag`; by hand one may record before any rollout began, which is revision 0."""
        if not isinstance(flag, str):
            return None
        count = self._counts.get(flag)
        if count is None:
            self.count(flag, 0)
            count = self._counts.get(flag)
        return count

    def _alarm(self, flag: str, revision: int) -> None:
        for callback in self._alarms:
            try:
                callback(flag, revision)
            except Exception as error:
                swallow("brake", error)

    # -- what is counted ----------------------------------------------------------------------------------------------

    def count(self, flag: str, revision: int, gates: Sequence[Gate] = ()) -> None:
        """
        Begin counting `flag` at `revision`, dropping older windows; the same revision again changes nothing.

        `gates` name the thresholds that need an exact counter: the bounds of absolute quantile gates.
        """
        known = self._counts.get(flag)
        if known is not None and known.revision == revision:
            return
        if known is None and len(self._counts) >= _FLAGS:
            say("recorder", f"{_FLAGS} flags are counted already: {flag!r} is not")
            return
        self._counts = {**self._counts, flag: Count(flag, revision, thresholds(gates))}

    def forget(self, flag: str) -> None:
        """Stop counting `flag` and drop what was counted."""
        self._counts = {key: count for key, count in self._counts.items() if key != flag}

    def window(self, flag: str) -> Window | None:
        """Everything counted in this process since `count`, with one reading of each gauge; None when it is not counted."""
        count = self._counts.get(flag)
        return None if count is None else count.window(self._gauges.read())

    def read(self, flag: str) -> dict[str, dict[str, Any]]:
        """This process's totals by arm, for people: requests, errors, units, latency quantiles, events, other samples."""
        count = self._counts.get(flag)
        if count is None:
            return {CONTROL: _told(NOTHING), CANDIDATE: _told(NOTHING)}
        with count.lock:
            count.fold()
            arms = {CONTROL: NOTHING, CANDIDATE: NOTHING, **{name: arm.totals() for name, arm in count.arms.items()}}
        return {name: _told(totals) for name, totals in arms.items()}

    def recent(self, flag: str) -> dict[str, tuple[int, int]]:
        """Per arm: calls and failures of the last ten seconds, in this process."""
        count = self._counts.get(flag)
        if count is None:
            return {}
        now = int(self._monotonic())
        with count.lock:
            count.fold()
            return {name: arm.recent(now) for name, arm in count.arms.items()}

    def on_failure(self, callback: Callable[[str, int], object]) -> None:
        """Call `callback(flag, revision)` right after each failure of a candidate, in the thread it happened in."""
        self._alarms = (*self._alarms, callback)

    def source(self, name: str, fn: Callable[[], float | None], kind: str = "gauge") -> None:
        """An external metric for gates, read whenever a window is taken; `cpu` and `memory` may be replaced. See Gauges."""
        self._gauges.source(name, fn, kind)

    def _start_over(self) -> None:
        """In a forked child: new locks (one may have been held), no counts (the parent still reports them)."""
        self._counts = {flag: count.blank() for flag, count in self._counts.items()}


def _text(name: object) -> bool:
    return isinstance(name, str) and bool(name)


def _many(n: object) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= _MOST


def _named(events: Mapping[str, float] | Iterable[str]) -> list[tuple[Any, Any]]:
    """Events with their values; what is no collection of names is one name that can't be."""
    if isinstance(events, Mapping):
        return list(events.items())
    if isinstance(events, str):
        return [(events, 1.0)]
    try:
        names = list(events)
    except TypeError:
        return [(None, 1.0)]
    return [(name, 1.0) for name in dict.fromkeys(name if isinstance(name, str) else None for name in names)]


def _truth(error: object) -> bool:
    return error is None or (isinstance(error, (bool, int)) and error in {0, 1})


def _told(totals: Totals) -> dict[str, Any]:
    latency = totals.samples.get(LATENCY, Sample())
    told: dict[str, Any] = {"requests": totals.requests, "errors": totals.errors, "units": totals.units}
    told |= {"p50_latency": _finite(latency, 0.5), "p99_latency": _finite(latency, 0.99)}
    told |= {name: moments.n for name, moments in totals.events.items()}
    for name, sample in totals.samples.items():
        if name != LATENCY:
            told[name] = {"n": sample.n, "p50": _finite(sample, 0.5), "p99": _finite(sample, 0.99)}
    if totals.rejected:
        told["rejected"] = totals.rejected
    return told


def _finite(sample: Sample, quantile: float) -> float | None:
    value = sample.quantile(quantile)
    return value if isfinite(value) else None


_living: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _after_fork() -> None:
    for recorder in tuple(_living):
        recorder._start_over()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
