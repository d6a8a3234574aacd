"""What the recorder adds to: one flag's counts at one revision, mutable, behind one lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from math import inf
from typing import Final
from zlib import crc32

from progflags.canary._gate import Gate
from progflags.canary._sketch import Tally
from progflags.canary._totals import SHARDS, Moments, Totals, exact
from progflags.canary._window import CONTROL, Window
from progflags.canary._words import Kind

__all__ = ["LATENCY", "RING", "Arm", "Count", "thresholds"]

LATENCY: Final = "latency"
RING: Final = 10  # seconds of recent history the brake looks at, in buckets of one

_UNITS: Final = 50_000  # units remembered per flag, so that events find their arm: about 10 MiB at worst
_PENDING: Final = 1024  # observations that may wait to be added up: half a millisecond of work
_NAMES: Final = 256  # events, samples and arms by name: a program that makes names up must not fill the memory


def thresholds(gates: Iterable[Gate]) -> dict[str, tuple[float, ...]]:
    """By sample: the values at which an absolute quantile gate needs an exact counter."""
    found: dict[str, set[float]] = {}
    for gate in gates:
        if gate.kind == Kind.QUANTILE:
            found.setdefault(gate.sample, set()).update(bound for bound in (gate.max, gate.min) if bound is not None)
    return {sample: tuple(sorted(bounds)) for sample, bounds in found.items()}


#: (arm, seconds, failed, how many alike, unit, second it ended in)
Observation = tuple[str, float | None, bool | None, int, bytes | None, int]


class Arm:
    """One arm's running totals, and its last ten seconds."""

    __slots__ = ("calls", "errors", "events", "failed", "rejected", "requests", "samples", "seconds", "shards", "trials", "units")

    def __init__(self) -> None:
        self.requests = 0
        self.trials = 0
        self.errors = 0
        self.units = 0
        self.rejected = 0
        self.events: dict[str, Moments] = {}
        self.samples: dict[str, Tally] = {}
        self.shards = [0] * (2 * SHARDS)
        self.seconds = [-1] * RING
        self.calls = [0] * RING
        self.failed = [0] * RING

    def event(self, name: str, moments: Moments) -> None:
        """Add to an event's moments."""
        known = self.events.get(name)
        if known is None and len(self.events) >= _NAMES:
            self.rejected += 1
        else:
            self.events[name] = moments if known is None else known.merge(moments)

    def call(self, failed: bool | None, n: int, now: int) -> None:
        """Count `n` calls that ended in second `now`; one too old for its slot in the ring is in the totals only."""
        self.requests += n
        if failed is not None:
            self.trials += n
            self.errors += n if failed else 0
        slot = now % RING
        if self.seconds[slot] < now:
            self.seconds[slot], self.calls[slot], self.failed[slot] = now, 0, 0
        if self.seconds[slot] == now:
            self.calls[slot] += n
            self.failed[slot] += n if failed else 0

    def recent(self, now: int) -> tuple[int, int]:
        """(calls, failures) of the last RING seconds."""
        alive = [i for i in range(RING) if now - self.seconds[i] < RING and self.seconds[i] >= 0]
        return sum(self.calls[i] for i in alive), sum(self.failed[i] for i in alive)

    def totals(self) -> Totals:
        cells = self.shards
        return Totals(
            self.requests,
            self.trials,
            self.errors,
            self.units,
            self.rejected,
            dict(self.events),
            {name: tally.sample() for name, tally in self.samples.items()},
            tuple(zip(cells[::2], cells[1::2], strict=True)) if any(cells) else (),
        )


class Count:
    """A flag being counted at one revision."""

    __slots__ = ("_had", "_observed", "_pending", "_thresholds", "_units", "arms", "flag", "gauges", "lock", "revision")

    def __init__(self, flag: str, revision: int, bounds: Mapping[str, tuple[float, ...]]) -> None:
        self.flag = flag
        self.revision = revision
        self.lock = threading.Lock()
        self.arms: dict[str, Arm] = {}
        self.gauges: dict[str, Moments] = {}
        self._thresholds = bounds
        self._units: dict[bytes, str] = {}
        self._had: dict[tuple[bytes, str], int] = {}
        self._pending: deque[Observation] = deque()
        self._observed: deque[tuple[str, str, float, int]] = deque()

    def blank(self) -> Count:
        """The same flag and revision with nothing counted: what a forked child begins with."""
        return Count(self.flag, self.revision, self._thresholds)

    def note(  # noqa: PLR0917 - keywords would cost a tenth of the call
        self, name: str, seconds: float | None, failed: bool | None, n: int, unit: bytes | None, now: int
    ) -> None:
        """
        Count `n` equal observations on an arm. The hot path: it only remembers them.

        Whoever reads adds them up, off the request's path; so does the caller when nobody has read for a while.
        """
        self._pending.append((name, seconds, failed, n, unit, now))
        if len(self._pending) > _PENDING:
            with self.lock:
                self.fold()

    def fold(self) -> None:
        """Add up what is pending (the lock is held). Appending goes on meanwhile: a deque loses nothing."""
        take, calls, latencies = self._pending.popleft, {}, {}  # type: ignore[var-annotated] # local, and typed by what goes in
        for _ in range(len(self._pending)):
            name, seconds, failed, n, unit, now = take()
            key = (name, failed, now)
            calls[key] = calls.get(key, 0) + n
            if seconds is not None:
                if n == 1:
                    try:
                        latencies[name].append(seconds)
                    except KeyError:
                        latencies[name] = [seconds]
                else:
                    self._latency(name, [seconds], n)
            if unit is not None and failed is not None and name == CONTROL:
                cells, cell = self.arm(name).shards, crc32(unit) % SHARDS * 2
                cells[cell] += n
                cells[cell + 1] += n if failed else 0
        for (name, failed, now), n in calls.items():
            self.arm(name).call(failed, n, now)
        for name, values in latencies.items():
            self._latency(name, values, 1)
        self._fold_observed()

    def _fold_observed(self) -> None:
        """Likewise for the other samples."""
        take, alike = self._observed.popleft, {}  # type: ignore[var-annotated] # as above
        for _ in range(len(self._observed)):
            name, sample, value, n = take()
            alike.setdefault((name, sample, n), []).append(value)
        for (name, sample, n), values in alike.items():
            arm = self.arm(name)
            tally = arm.samples.get(sample)
            if tally is None:
                if len(arm.samples) >= _NAMES:
                    arm.rejected += n * len(values)
                    continue
                tally = arm.samples[sample] = Tally(self._thresholds.get(sample, ()))
            tally.extend(values, n)

    def _latency(self, name: str, values: list[float], n: int) -> None:
        arm = self.arm(name)
        good = [value for value in values if 0.0 <= value < inf]
        arm.rejected += n * (len(values) - len(good))
        if good:
            tally = arm.samples.get(LATENCY)
            if tally is None:
                tally = arm.samples[LATENCY] = Tally(self._thresholds.get(LATENCY, ()))
            tally.extend(good, n)

    def arm(self, name: str) -> Arm:
        """The arm of that name, made at first sight (the lock is held). Too many names share the last."""
        arm = self.arms.get(name)
        if arm is None:
            if len(self.arms) >= _NAMES:
                return self.arms[next(reversed(self.arms))]
            arm = self.arms[name] = Arm()
        return arm

    def observe(self, name: str, sample: str, value: float, n: int) -> None:
        """Add to a sample other than latency; remembered on the request's path and added up off it, as `note` does."""
        self._observed.append((name, sample, value, n))
        if len(self._observed) > _PENDING:
            with self.lock:
                self.fold()

    def meet(self, name: str, unit: bytes) -> None:
        """A unit met an arm (the lock is held). Known ones are not counted again."""
        if unit in self._units:
            return
        if len(self._units) >= _UNITS:
            self._units.pop(next(iter(self._units)))
        self._units[unit] = name
        self.arm(name).units += 1

    def track(self, event: str, unit: bytes, value: float) -> None:
        """Credit an event to the arm this unit met, if it met one: once to the share, every time to the sum."""
        with self.lock:
            name = self._units.get(unit)
            if name is not None:
                self.credit(name, event, unit, value)

    def credit(self, name: str, event: str, unit: bytes, value: float) -> None:
        """A unit of a known arm had an event (the lock is held)."""
        key, worth = (unit, event), exact(value)
        before = self._had.get(key)
        if before is None and len(self._had) >= _UNITS:
            self._had.pop(next(iter(self._had)))
        after = self._had[key] = (before or 0) + worth
        self.arm(name).event(event, Moments(int(before is None), worth, after * after - (before or 0) ** 2))

    def window(self, readings: Mapping[str, float]) -> Window:
        """Everything so far as an immutable value, with one more reading of each gauge."""
        with self.lock:
            self.fold()
            for name, reading in readings.items():
                worth = exact(reading)
                self.gauges[name] = self.gauges.get(name, _NO).merge(Moments(1, worth, worth * worth))
            return Window(self.flag, self.revision, {name: arm.totals() for name, arm in self.arms.items()}, dict(self.gauges))


_NO: Final = Moments()
