"""What the recorder adds to: one flag's counts at one revision, mutable, behind one lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from progflags._names import sentence
from progflags.canary._gate import Gate
from progflags.canary._units import joined
from progflags.canary._words import LATENCY, Kind
from progflags.canary.counting._arm import NAMES, Arm
from progflags.canary.counting._columns import UNITS
from progflags.canary.counting._grouped import Watched
from progflags.canary.counting._groups import group_of
from progflags.canary.counting._sketch import Tally, around
from progflags.canary.counting._totals import Moments, exact
from progflags.canary.counting._window import CANDIDATE, CONTROL, Window

__all__ = ["Count", "summed_samples", "thresholds"]

_UNITS: Final = 50_000  # units remembered per flag, so that events find their arm: about 10 MiB at worst
_PENDING: Final = 1024  # observations of a kind that may wait to be added up: a quarter of a millisecond of work
_UNIT: Final = 32  # characters of a unit of measure
_ARMS: Final = 32  # likewise; each has observations waiting
_JUDGED: Final = frozenset({CONTROL, CANDIDATE})


def thresholds(gates: Iterable[Gate]) -> dict[str, tuple[float, ...]]:
    """By sample: the values at which an absolute quantile gate needs an exact counter."""
    found: dict[str, set[float]] = {}
    for gate in gates:
        if gate.kind == Kind.QUANTILE:
            found.setdefault(gate.sample, set()).update(bound for bound in (gate.max, gate.min) if bound is not None)
    return {sample: tuple(sorted(bounds)) for sample, bounds in found.items()}


def summed_samples(gates: Iterable[Gate]) -> frozenset[str]:
    """The samples and events that some gate asks the mean of."""
    return frozenset(name for gate in gates if gate.kind == Kind.MEAN for name in (gate.sample, gate.metric))


K = TypeVar("K")
V = TypeVar("V")


class _Latest(dict[K, V]):
    """
    The latest _UNITS keys that were added. In a queue of their own: to find a dict's first key takes longer the more that stood
    before it were taken out, which made an exposure cost a tenth of a millisecond once there were more units than room.
    """

    __slots__ = ("_order",)

    def __init__(self) -> None:
        super().__init__()
        self._order: deque[K] = deque()

    def add(self, key: K, value: V) -> None:
        if key not in self:
            if len(self) >= _UNITS:
                del self[self._order.popleft()]
            self._order.append(key)
        self[key] = value


class Count:
    """A flag being counted at one revision."""

    __slots__ = ("_had", "_observed", "_thresholds", "_units", "_watched", "arms", "flag", "gauges", "lock", "revision", "wanted")

    def __init__(
        self,
        flag: str,
        revision: int,
        bounds: Mapping[str, tuple[float, ...]],
        wanted: frozenset[str] = frozenset(),
        means: frozenset[str] = frozenset(),
    ) -> None:
        #: What gates ask for: however many names a program makes up, there is room for these.
        self.wanted = wanted
        self.flag = flag
        self.revision = revision
        self.lock = threading.Lock()
        self.arms: dict[str, Arm] = {}
        self.gauges: dict[str, Moments] = {}
        self._thresholds = bounds
        places = {
            sample: tuple(sorted({place for bound in limits for place in around(bound)})) for sample, limits in bounds.items() if limits
        }
        self._watched = Watched(places, means)
        self._units: _Latest[bytes, tuple[str, int]] = _Latest()
        self._had: _Latest[tuple[bytes, str], int] = _Latest()
        self._observed: list[tuple[str, str, float, int, str]] = []

    def blank(self) -> Count:
        """The same flag and revision with nothing counted: what a forked child begins with."""
        count = Count(self.flag, self.revision, self._thresholds, self.wanted, self._watched.means)
        count.mark(self._watched.places)
        return count

    def mark(self, places: Mapping[str, tuple[int, ...]]) -> None:
        """Count from now on, by group of users, what is beyond these positions of EDGES too, by sample."""
        known = self._watched.places
        wanted = {**known, **{sample: tuple(sorted({*known.get(sample, ()), *where})) for sample, where in places.items()}}
        if wanted == known:
            return
        with self.lock:
            self.fold()  # what was observed before counts by its histogram only
            self._watched.places = wanted

    def note(self, name: str, seconds: float | None, failed: bool | None, unit: bytes | None, now: float) -> None:
        """
        Count one observation on an arm. The hot path: it only remembers it.

        Whoever reads adds up, off the request's path; so does the caller when nobody has read for a while.
        """
        arm = self.arms.get(name)
        if arm is None:
            with self.lock:
                arm = self.arm(name)
        queue = arm.good if failed is False else arm.unknown if failed is None else arm.bad
        queue.append((seconds, unit, now))
        if len(queue) > _PENDING:
            with self.lock:
                arm.fold(self._thresholds.get(LATENCY, ()))

    def note_many(self, name: str, seconds: float | None, failed: bool | None, n: int, unit: bytes | None, now: float) -> None:  # noqa: PLR0917
        """Count `n` equal observations on an arm (the lock is held)."""
        arm = self.arm(name)
        arm.call(failed, n, int(now))
        arm.lasted(seconds, n, self._thresholds.get(LATENCY, ()), arm.grouped.many(failed, unit, n, now))

    def fold(self) -> None:
        """Add up what waits on every arm (the lock is held)."""
        bounds = self._thresholds.get(LATENCY, ())
        for arm in tuple(self.arms.values()):
            arm.fold(bounds)
        self._fold_observed()

    def _fold_observed(self) -> None:
        """Likewise for the other samples."""
        waited = self._observed[:]
        del self._observed[: len(waited)]
        alike: dict[tuple[str, str, int, str], list[float]] = {}
        for name, sample, value, n, unit in waited:
            alike.setdefault((name, sample, n, unit), []).append(value)
        for (name, sample, n, unit), values in alike.items():
            arm = self.arm(name)
            tally = arm.samples.get(sample)
            if tally is None:
                if len(arm.samples) >= NAMES and sample not in self.wanted:
                    arm.rejected += n * len(values)
                    continue
                tally = arm.samples[sample] = Tally(self._thresholds.get(sample, ()))
            tally.unit = joined(tally.unit, sentence(unit)[:_UNIT])
            tally.extend(values, n)

    def arm(self, name: str) -> Arm:
        """The arm of that name, made at first sight (the lock is held). Too many names share the last, which is none that is judged."""
        arm = self.arms.get(name)
        if arm is None:
            if len(self.arms) >= _ARMS and name not in _JUDGED:
                return self.arms[next(other for other in reversed(self.arms) if other not in _JUDGED)]
            arm = self.arms[sentence(name)] = Arm(self._watched)
        return arm

    def observe(self, name: str, sample: str, value: float, n: int, unit: str = "") -> None:
        """Add to a sample other than latency; remembered on the request's path and added up off it, as `note` does."""
        self._observed.append((name, sample, value, n, unit))
        if len(self._observed) > _PENDING:
            with self.lock:
                self.fold()

    def met(self, name: str, unit: bytes) -> None:
        """A unit met an arm. Mostly it is known, which takes no lock to see."""
        if unit not in self._units:
            with self.lock:
                self.meet(name, unit)

    def meet(self, name: str, unit: bytes, assigned: bytes | None = None) -> None:
        """A unit met an arm, which `assigned` was chosen by if it is somebody else (the lock is held). Known ones are not counted again."""
        if unit in self._units:
            return
        group = group_of(unit if assigned is None else assigned)
        self._units.add(unit, (name, group))
        arm = self.arm(name)
        arm.units += 1
        arm.grouped.column(UNITS)[group] += 1

    def track(self, event: str, unit: bytes, value: float) -> None:
        """Credit an event to the arm this unit met, if it met one: once to the share, every time to the sum."""
        with self.lock:
            met = self._units.get(unit)
            if met is not None:
                self.credit(met[0], event, unit, value)

    def credit(self, name: str, event: str, unit: bytes, value: float) -> None:
        """A unit of a known arm had an event (the lock is held)."""
        key, worth = (unit, event), exact(value)
        before = self._had.get(key)
        after = (before or 0) + worth
        self._had.add(key, after)
        arm, moments = self.arm(name), Moments(int(before is None), worth, after * after - (before or 0) ** 2)
        if arm.event(event, moments, wanted=event in self.wanted):
            arm.grouped.event(
                event,
                self._units[unit][1] if unit in self._units else group_of(unit),
                int(before is None),
                worth if event in self._watched.means else 0,
            )

    def window(self, readings: Mapping[str, float | None]) -> Window:
        """Everything so far as an immutable value, with one more reading of each gauge that has one."""
        with self.lock:
            self.fold()
            for name, reading in readings.items():
                worth = exact(reading or 0.0)
                self.gauges[name] = self.gauges.get(name, _NO).merge(_NO if reading is None else Moments(1, worth, worth * worth))
            return Window(self.flag, self.revision, {name: arm.totals() for name, arm in self.arms.items()}, dict(self.gauges))


_NO: Final = Moments()
