"""What the recorder adds to: one flag's counts at one revision, mutable, behind one lock."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Final, TypeVar

from progflags._names import sentence
from progflags.canary._gate import Gate
from progflags.canary._units import joined
from progflags.canary._words import LATENCY, Kind
from progflags.canary.counting._columns import UNITS
from progflags.canary.counting._grouped import Grouped, Watched
from progflags.canary.counting._groups import group_of
from progflags.canary.counting._sketch import LARGEST, Tally, around
from progflags.canary.counting._totals import Moments, Totals, exact
from progflags.canary.counting._window import CANDIDATE, CONTROL, Window

__all__ = ["LATENCY", "RING", "Arm", "Count", "summed_samples", "thresholds"]

RING: Final = 10  # seconds of recent history the brake looks at, in buckets of one

_UNITS: Final = 50_000  # units remembered per flag, so that events find their arm: about 10 MiB at worst
_PENDING: Final = 1024  # observations of a kind that may wait to be added up: a quarter of a millisecond of work
_NAMES: Final = 256  # events and samples by name: a program that makes names up must not fill the memory
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


_NOTHING: Final = Watched({}, frozenset())

K = TypeVar("K")
V = TypeVar("V")

#: (seconds it took, unit it happened to, when it ended on the monotonic clock)
Observation = tuple[float | None, bytes | None, float]


class Arm:
    """
    One arm's running totals, its last ten seconds, and what waits to be added up: by whether it failed, if that is known.

    An observation costs its caller one tuple at the end of one queue. Adding up is done for many at once, column by column, which
    the interpreter does in C: a quarter of what it takes one by one.
    """

    __slots__ = (
        "bad", "calls", "errors", "events", "failed", "good", "grouped", "rejected", "requests", "samples", "seconds", "trials", "units",
        "unknown", "watched",
    )  # fmt: skip

    def __init__(self, watched: Watched = _NOTHING) -> None:
        self.good: deque[Observation] = deque()
        self.bad: deque[Observation] = deque()
        self.unknown: deque[Observation] = deque()
        self.grouped = Grouped()
        self.watched = watched
        self.requests = 0
        self.trials = 0
        self.errors = 0
        self.units = 0
        self.rejected = 0
        self.events: dict[str, Moments] = {}
        self.samples: dict[str, Tally] = {}
        self.seconds = [-1] * RING
        self.calls = [0] * RING
        self.failed = [0] * RING

    def event(self, name: str, moments: Moments, *, wanted: bool = False) -> bool:
        """Add to an event's moments, unless there are too many names. `wanted`: a gate asks for it, so there is always room."""
        known = self.events.get(name)
        if known is None and not wanted and len(self.events) >= _NAMES:
            self.rejected += 1
            return False
        self.events[name] = moments if known is None else known.merge(moments)
        return True

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

    def fold(self, bounds: Sequence[float]) -> None:
        """Add up what waits (the lock is held). Appending goes on meanwhile: a deque loses nothing."""
        for failed, queue in ((False, self.good), (True, self.bad), (None, self.unknown)):
            if queue:
                take = queue.popleft
                durations, units, ends = zip(*[take() for _ in range(len(queue))], strict=True)
                self._ended(failed, ends)
                self.last(durations, 1, bounds, self.grouped.requests(failed, units, ends))

    def _ended(self, failed: bool | None, ends: Sequence[float]) -> None:
        # In the order they were remembered, which is the order of their clock but for threads that were interrupted in between.
        latest = int(ends[-1])
        if int(ends[0]) == latest:
            self.call(failed, len(ends), latest)
        else:
            for second, n in Counter(map(int, ends)).items():
                self.call(failed, n, second)

    def last(self, durations: Sequence[float | None], n: int, bounds: Sequence[float], groups: bytes) -> None:
        """Add how long calls lasted, `n` alike of each, and whose they were; None: not timed."""
        values, wrong = _sound(durations)
        self.rejected += n * wrong
        if not values:
            return
        tally = self.samples.get(LATENCY)
        if tally is None:
            tally = self.samples[LATENCY] = Tally(bounds)
        tally.extend(values, n)
        if not (self.watched.places or self.watched.means):
            return
        if len(values) < len(durations):
            groups = bytes(group for group, value in zip(groups, durations, strict=True) if _good(value))
        if n == 1:
            self.grouped.values(LATENCY, values, groups, self.watched)
        else:
            self.grouped.value(LATENCY, values[0], groups[0], n, self.watched)

    def recent(self, now: int) -> tuple[int, int]:
        """(calls, failures) of the last RING seconds."""
        alive = [i for i in range(RING) if now - self.seconds[i] < RING and self.seconds[i] >= 0]
        return sum(self.calls[i] for i in alive), sum(self.failed[i] for i in alive)

    def totals(self) -> Totals:
        return Totals(
            self.requests,
            self.trials,
            self.errors,
            self.units,
            self.rejected,
            dict(self.events),
            {name: tally.sample() for name, tally in self.samples.items()},
            cells=self.grouped.columns(),
        )


def _sound(durations: Sequence[float | None]) -> tuple[Sequence[float], int]:
    """The durations among them that can be added up, and how many are neither that nor None."""
    with suppress(TypeError, OverflowError):
        if min(durations) >= 0.0 and sum(durations) <= LARGEST:  # type: ignore[type-var, arg-type, operator] # None is suppressed
            return durations, 0  # type: ignore[return-value] # a NaN makes the sum one, wherever it stands
    values = [LARGEST if value == inf else value for value in durations if _good(value)]  # what never returned is the slowest
    return values, len(durations) - len(values) - durations.count(None)  # type: ignore[return-value] # None is no good one


def _good(value: float | None) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (0.0 <= value <= LARGEST or value == inf)


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
        self._observed: deque[tuple[str, str, float, int, str]] = deque()

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
        group = arm.grouped.many(failed, unit, n, now)
        arm.last((seconds,), n, self._thresholds.get(LATENCY, ()), bytes((group,)))

    def fold(self) -> None:
        """Add up what waits on every arm (the lock is held)."""
        bounds = self._thresholds.get(LATENCY, ())
        for arm in tuple(self.arms.values()):
            arm.fold(bounds)
        self._fold_observed()

    def _fold_observed(self) -> None:
        """Likewise for the other samples."""
        take, alike = self._observed.popleft, {}  # type: ignore[var-annotated] # as above
        for _ in range(len(self._observed)):
            name, sample, value, n, unit = take()
            alike.setdefault((name, sample, n, unit), []).append(value)
        for (name, sample, n, unit), values in alike.items():
            arm = self.arm(name)
            tally = arm.samples.get(sample)
            if tally is None:
                if len(arm.samples) >= _NAMES and sample not in self.wanted:
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
