"""What one arm did: counts and exact sums, which add."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import add, sub
from typing import Any, Final, TypeVar

from progflags.canary.counting._groups import ANONYMOUS, GROUPS, NO_CELLS, Cells, added, from_text, sound, taken, to_text
from progflags.canary.counting._sketch import UNIT, Sample

__all__ = ["CLUSTERED", "ERRORS", "NOTHING", "SHARDS", "TRIALS", "Moments", "Totals", "dispersion", "exact", "shards"]

#: Units are hashed into this many shards, so that the control can be compared with itself: its own noise, measured.
SHARDS: Final = 8
TRIALS: Final = "n"  # the columns of an arm's requests with known success, and of the failed ones
ERRORS: Final = "x"
_UNKNOWN: Final = 0.1  # of the trials may have no unit, where anything is said about units
CLUSTERED: Final = 2.0  # dispersion above which errors are taken to come in clusters


def exact(value: float) -> int:
    """`value` in the fixed-point unit of exact sums."""
    return round(value * UNIT)


@dataclass(frozen=True, slots=True)
class Moments:
    """How many, their sum in UNIT, their sum of squares in UNIT². Of any sign, unlike a Sample."""

    n: int = 0
    total: int = 0
    squares: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.n / UNIT if self.n else math.nan

    def merge(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.squares + other.squares)

    def minus(self, earlier: Moments) -> Moments:
        return Moments(self.n - earlier.n, self.total - earlier.total, self.squares - earlier.squares)

    def times(self, n: int) -> Moments:
        """`n` times the same."""
        return Moments(n * self.n, n * self.total, n * self.squares)

    @property
    def sound(self) -> bool:
        # Sums of squares are no witness here: a unit's running total may fall again, and its square with it.
        return self.n >= 0

    def to_json(self) -> list[Any]:
        return [self.n, f"{self.total:x}", f"{self.squares:x}"]

    @classmethod
    def from_json(cls, body: list[Any]) -> Moments:
        return cls(int(body[0]), int(body[1], 16), int(body[2], 16))


#: (events, trials or exposure) of a rate that comes with its own denominator.
Count = tuple[float, float]

M = TypeVar("M", Moments, Sample)


@dataclass(frozen=True, slots=True)
class Totals:
    """
    One arm's totals since counting began.

    `requests` are observations of any kind, `trials` those whose success is known, `errors` the failed ones; `units` are
    distinct bucketing units exposed. `events` counts the units that had an event and sums their values; `samples` are
    distributions by name (`latency` in seconds). `cells` are the same counts by group of units (see `_groups`), `shards` older
    workers' (trials, errors) by hash of the unit. `rejected` were no finite numbers, or negative durations: counted here and
    nowhere else. `rates` are (events, trials) that came from outside with their own denominators. Adding two is exact and
    takes any order.
    """

    requests: int = 0
    trials: int = 0
    errors: int = 0
    units: int = 0
    rejected: int = 0
    events: Mapping[str, Moments] = field(default_factory=dict)
    samples: Mapping[str, Sample] = field(default_factory=dict)
    shards: tuple[tuple[int, int], ...] = ()
    rates: Mapping[str, Count] = field(default_factory=dict)
    cells: Cells = field(default_factory=lambda: NO_CELLS)

    @property
    def size(self) -> int:
        """How many observations stand behind it: requests, or units where nothing else was seen."""
        return max(self.requests, self.units)

    @property
    def bare(self) -> bool:
        """Whether nothing at all was observed."""
        events = any(moments.n or moments.total for moments in self.events.values())
        return not (self.size or events or any(map(any, self.rates.values())) or any(sample.n for sample in self.samples.values()))

    @property
    def bases(self) -> int:
        """What events are a share of: exposed units, or observations where units are not known."""
        return self.units or self.requests

    def merge(self, other: Totals) -> Totals:
        """Both as one."""
        return self._with(other, add, _merge, _merge)

    def minus(self, earlier: Totals) -> Totals:
        """What came after `earlier`."""
        return self._with(earlier, sub, _minus, _minus)

    def times(self, n: int) -> Totals:
        """`n` times the same, whosever it was: without groups of users."""
        return Totals(
            n * self.requests,
            n * self.trials,
            n * self.errors,
            n * self.units,
            n * self.rejected,
            {name: moments.times(n) for name, moments in self.events.items()},
            {name: sample.times(n) for name, sample in self.samples.items()},
            rates={name: (n * events, n * trials) for name, (events, trials) in self.rates.items()},
        )

    def _with(
        self,
        other: Totals,
        op: Callable[[Any, Any], Any],
        moments: Callable[[Moments, Moments], Moments],
        samples: Callable[[Sample, Sample], Sample],
    ) -> Totals:
        return Totals(
            op(self.requests, other.requests),
            op(self.trials, other.trials),
            op(self.errors, other.errors),
            op(self.units, other.units),
            op(self.rejected, other.rejected),
            {k: moments(self.events.get(k, _NO_MOMENTS), other.events.get(k, _NO_MOMENTS)) for k in {**self.events, **other.events}},
            {k: samples(self.samples.get(k, _NO_SAMPLE), other.samples.get(k, _NO_SAMPLE)) for k in {**self.samples, **other.samples}},
            _shards(self.shards, other.shards, op),
            {k: _pair(self.rates.get(k, _NO_COUNT), other.rates.get(k, _NO_COUNT), op) for k in {**self.rates, **other.rates}},
            added(self.cells, other.cells) if op is add else taken(self.cells, other.cells),
        )

    @property
    def sound(self) -> bool:
        """False when a subtraction went below zero somewhere."""
        counts = min(self.requests, self.trials, self.errors, self.units, self.rejected)
        cells = min((min(cell) for cell in (*self.shards, *self.rates.values())), default=0)
        parts = all(m.sound for m in self.events.values()) and all(s.sound for s in self.samples.values())
        return min(counts, cells) >= 0 and parts and sound(self.cells)

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"n": [self.requests, self.trials, self.errors, self.units, self.rejected]}
        if self.events:
            body["events"] = {name: moments.to_json() for name, moments in self.events.items()}
        if self.samples:
            body["samples"] = {name: sample.to_json() for name, sample in self.samples.items()}
        if self.shards:
            body["shards"] = [count for cell in self.shards for count in cell]
        if self.rates:
            body["rates"] = {name: list(count) for name, count in self.rates.items()}
        if self.cells:
            body["cells"] = {name: to_text(counts) for name, counts in self.cells.items()}
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Totals:
        requests, trials, errors, units, rejected = map(int, body["n"])
        flat = [int(count) for count in body.get("shards", ())]
        return cls(
            requests,
            trials,
            errors,
            units,
            rejected,
            {name: Moments.from_json(moments) for name, moments in body.get("events", {}).items()},
            {name: Sample.from_json(sample) for name, sample in body.get("samples", {}).items()},
            tuple(zip(flat[::2], flat[1::2], strict=True)),
            {name: (count[0], count[1]) for name, count in body.get("rates", {}).items()},
            {name: from_text(text) for name, text in body.get("cells", {}).items()},
        )


NOTHING: Final = Totals()
_NO_MOMENTS: Final = Moments()
_NO_SAMPLE: Final = Sample()
_NO_COUNT: Final[Count] = (0, 0)


def shards(totals: Totals) -> tuple[tuple[int, int], ...]:
    """(trials, errors) by shard of units: the groups folded, or what older workers counted; empty where most units are not known."""
    trials, errors = totals.cells.get(TRIALS), totals.cells.get(ERRORS)
    if trials is None or totals.shards:
        return totals.shards
    if sum(totals.cells.get(ANONYMOUS, ())) > _UNKNOWN * sum(trials):
        return ()
    both = (trials, errors or (0,) * GROUPS)
    return tuple((int(sum(both[0][s::SHARDS])), int(sum(both[1][s::SHARDS]))) for s in range(SHARDS))


def dispersion(control: Totals) -> float | None:
    """
    How much more the control's errors scatter over shards of users than independent ones would: Pearson's chi² per degree.

    About 1 for independent errors; above 2 they come in clusters (a hot client, a retry storm). None below five expected per shard.
    """
    cells = shards(control)
    trials, errors = sum(cell[0] for cell in cells), sum(cell[1] for cell in cells)
    if len(cells) < SHARDS or errors < 5 * SHARDS or errors >= trials:
        return None
    rate = errors / trials
    chi2 = sum((failed - n * rate) ** 2 / (n * rate * (1 - rate)) for n, failed in cells if n)
    return chi2 / (SHARDS - 1)


def _pair(one: Count, other: Count, op: Callable[[Any, Any], Any]) -> Count:
    return (op(one[0], other[0]), op(one[1], other[1]))


def _merge(one: M, other: M) -> M:
    return one.merge(other)


def _minus(one: M, other: M) -> M:
    return one.minus(other)


def _shards(
    one: tuple[tuple[int, int], ...], other: tuple[tuple[int, int], ...], op: Callable[[int, int], int]
) -> tuple[tuple[int, int], ...]:
    if not other:
        return one
    empty = ((0, 0),) * len(other)
    return tuple((op(a, c), op(b, d)) for (a, b), (c, d) in zip(one or empty, other, strict=True))
