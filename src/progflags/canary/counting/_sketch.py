"""
A sample in fixed memory: a log-scale histogram and exact sums, mergeable without loss.

Buckets are OpenTelemetry's base-2 exponential ones at scale 5: bucket i holds (2^(i/32), 2^((i+1)/32)], 2.2 % wide, so a
quantile read from one is within 1.1 % of the sample's. What matters more: the histogram's distribution function is
*exact* at every edge, so a test that counts observations beyond an edge has no sketch error at all.

Sums are integers in units of 2^-30. Integers add in any order to the same bits, so sixteen workers' windows merged are
equal, not merely close, to one worker that saw everything.

Source: OpenTelemetry data model, exponential histogram; Masson, Rim & Lee (VLDB 2019) for the error of log buckets.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from operator import add, gt, mul, sub
from typing import Any, Final

from progflags.canary._units import joined

__all__ = ["EDGES", "LARGEST", "UNIT", "Sample", "Tally", "around", "bucket_index", "edge", "position"]

SCALE: Final = 5
#: Fixed-point unit of exact sums: about a nanosecond, when the sample is in seconds.
UNIT: Final = float(1 << 30)
#: No quantity is larger. Beyond it the sums of squares would outgrow a float, and one absurd value would silence its metric for good.
LARGEST: Final = 1e100

_PER_OCTAVE: Final = 1 << SCALE
_LOW, _HIGH = -20, 44  # octaves: 0.95 µs … 203 days for seconds, 16 TiB for bytes

#: Upper edges of the buckets, ascending. Position p holds (EDGES[p-1], EDGES[p]]; position 0 is what is at or below the lowest edge.
EDGES: Final[tuple[float, ...]] = tuple(
    math.ldexp(2.0 ** (k % _PER_OCTAVE / _PER_OCTAVE), k // _PER_OCTAVE) for k in range(_LOW * _PER_OCTAVE, _HIGH * _PER_OCTAVE + 1)
)
OVERFLOW: Final = len(EDGES)


def position(value: float) -> int:
    """Where `value` is counted: an index into EDGES, 0 for the underflow, len(EDGES) for the overflow."""
    return bisect_left(EDGES, value)


def around(value: float) -> tuple[int, int]:
    """The positions of the edges next to `value`, below and above; one and the same where it is an edge."""
    above = min(max(position(value), 1), OVERFLOW - 1)
    return (above if EDGES[above] == value else max(above - 1, 1)), above


def bucket_index(value: float, scale: int = SCALE) -> int:
    """
    OpenTelemetry's index of a positive value at `scale`: buckets (base^i, base^(i+1)], base = 2^(2^-scale).

    Exact at powers of two, where a logarithm would round to either side.
    """
    fraction, exponent = math.frexp(value)  # value = fraction * 2^exponent, fraction in [1/2, 1)
    if fraction == 0.5:
        return ((exponent - 1) << scale) - 1 if scale >= 0 else ((exponent - 2) >> -scale)
    if scale <= 0:
        return (exponent - 1) >> -scale
    return math.ceil(math.log2(value) * (1 << scale)) - 1


def edge(index: int, scale: int = SCALE) -> float:
    """The lower edge of OpenTelemetry's bucket `index` at `scale`."""
    return float(2.0 ** (index / (1 << scale)))


@dataclass(frozen=True, slots=True)
class Sample:
    """
    Many observations of one quantity: how many, how they are spread, what they add up to.

    `counts` begins at position `base` of EDGES. `total` and `squares` are exact sums in UNIT and UNIT². `over` holds, for
    each threshold that some gate asked for, exactly how many observations were above it. `edges` are the only positions at
    which a coarser producer's counts are exact; empty: all are. `unit` is UCUM's, empty where nobody said.
    Immutable; `merge` and `minus` are exact and do not care for order.
    """

    n: int = 0
    total: int = 0
    squares: int = 0
    base: int = 0
    counts: tuple[int, ...] = ()
    over: Mapping[float, int] = field(default_factory=dict)
    edges: tuple[int, ...] = ()
    unit: str = ""

    @classmethod
    def of(cls, values: Iterable[float], thresholds: Iterable[float] = ()) -> Sample:
        """The sample of finite, non-negative values."""
        tally = Tally(thresholds)
        tally.extend(list(values))
        return tally.sample()

    @property
    def mean(self) -> float:
        return self.total / self.n / UNIT if self.n else math.nan

    @property
    def variance(self) -> float:
        """Of the population, in the quantity's unit squared. Exact until the last division."""
        return (self.n * self.squares - self.total * self.total) / (self.n * self.n) / UNIT / UNIT if self.n else math.nan

    def above(self, place: int) -> int:
        """How many observations were above EDGES[place]: exact."""
        first = place + 1 - self.base
        return sum(self.counts[first:]) if first > 0 else self.n

    def place_of(self, quantile: float) -> int:
        """The position of the bucket that holds the `quantile`; -1 for an empty sample."""
        return self.places_of((quantile,))[0]

    def places_of(self, quantiles: Sequence[float]) -> tuple[int, ...]:
        """Likewise for several at once."""
        if not self.n:
            return (-1,) * len(quantiles)
        running = list(accumulate(self.counts))
        return tuple(self.base + bisect_left(running, max(1, math.ceil(q * self.n - 1e-9))) for q in quantiles)

    def quantile(self, quantile: float) -> float:
        """
        An estimate within 1.1 % of the sample's quantile: the geometric middle of its bucket.

        NaN for an empty sample; the lowest edge for what lies below it, infinity for what lies above the highest.
        """
        place = self.place_of(quantile)
        if place < 0:
            return math.nan
        if place == 0:
            return EDGES[0]
        return math.inf if place >= OVERFLOW else math.sqrt(EDGES[place - 1] * EDGES[place])

    def more_than(self, threshold: float, *, few: bool = True) -> int:
        """
        How many were above `threshold`: exact where a gate asked for it before.

        Else at the next edge up, which may be too `few`; or down, too many: whichever is no help to the test that asks.
        """
        exact = self.over.get(threshold)
        if exact is not None:
            return exact
        place = min(position(threshold), OVERFLOW - 1)
        if not few and EDGES[place] > threshold:
            place -= 1
        if place < 0 or (not few and self.edges and place < self.edges[0]):
            return self.n
        place = self.snapped(place, up=few)
        return self.above(place) if place < OVERFLOW else 0

    def merge(self, other: Sample) -> Sample:
        """Both samples as one. Exact, in any order; merging an empty one changes nothing."""
        return self._with(other, add)

    def times(self, n: int) -> Sample:
        """`n` times the same."""
        counts, over = tuple([n * count for count in self.counts]), {t: n * count for t, count in self.over.items()}
        return Sample(n * self.n, n * self.total, n * self.squares, self.base, counts, over, self.edges, self.unit)

    def minus(self, earlier: Sample) -> Sample:
        """What came after `earlier`, which must be a part of this sample."""
        return self._with(earlier, sub)

    def _with(self, other: Sample, op: Any) -> Sample:
        if not other.n and not other.over:
            return self
        low = min((s.base for s in (self, other) if s.counts), default=0)
        high = max((s.base + len(s.counts) for s in (self, other) if s.counts), default=0)
        base, counts = _trim(low, list(map(op, _spread(self, low, high), _spread(other, low, high))))
        # Exact only where both were asked: a zero for the one that was not would call all of its own fast enough.
        asked = [t for t in {**self.over, **other.over} if all(t in s.over or not s.n for s in (self, other))]
        over = {t: op(self.over.get(t, 0), other.over.get(t, 0)) for t in asked}
        edges = _common(self, other)
        unit = joined(self.unit, other.unit)
        return Sample(op(self.n, other.n), op(self.total, other.total), op(self.squares, other.squares), base, counts, over, edges, unit)

    def snapped(self, place: int, *, up: bool = True) -> int:
        """The first position from `place` on, up or down, at which counts are exact: a threshold is moved, never interpolated."""
        if not self.edges:
            return place
        if not up:
            return self.edges[at - 1] if (at := bisect_right(self.edges, place)) else 0
        at = bisect_left(self.edges, place)
        return self.edges[at] if at < len(self.edges) else OVERFLOW

    @property
    def sound(self) -> bool:
        """False when a subtraction went below zero: the earlier sample was no part of the later one."""
        return self.n >= 0 and self.squares >= 0 and min(self.counts, default=0) >= 0 and min(self.over.values(), default=0) >= 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; sums as hexadecimal text, for they outgrow 64 bits."""
        body: dict[str, Any] = {"n": self.n, "s": f"{self.total:x}", "q": f"{self.squares:x}", "b": [self.base, *self.counts]}
        if self.over:
            body["o"] = [[t, count] for t, count in sorted(self.over.items())]
        if self.edges:
            body["e"] = list(self.edges)
        if self.unit:
            body["u"] = self.unit
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Sample:
        base, *counts = body["b"]
        over = {float(t): int(count) for t, count in body.get("o", ())}
        sums = int(body["n"]), int(body["s"], 16), int(body["q"], 16)
        return cls(*sums, int(base), tuple(map(int, counts)), over, tuple(body.get("e", ())), str(body.get("u", "")))


def _common(one: Sample, other: Sample) -> tuple[int, ...]:
    """Where both samples are exact; an empty one is exact everywhere."""
    if not one.edges or not other.edges or one.edges == other.edges:
        return one.edges or other.edges
    return tuple(sorted({*one.edges} & {*other.edges})) or (OVERFLOW,)


def _spread(sample: Sample, low: int, high: int) -> list[int]:
    if not sample.counts:
        return [0] * (high - low)
    return [0] * (sample.base - low) + list(sample.counts) + [0] * (high - sample.base - len(sample.counts))


def _trim(low: int, counts: list[int]) -> tuple[int, tuple[int, ...]]:
    first, last = 0, len(counts)
    while first < last and not counts[first]:
        first += 1
    while last > first and not counts[last - 1]:
        last -= 1
    return (low + first if first < last else 0), tuple(counts[first:last])


class Tally:
    """
    A Sample in the making: one array that grows to the buckets it meets, and no further than 16 KiB.

    Not thread-safe: its owner holds the lock. Values must be finite and not negative; the owner has looked.
    """

    __slots__ = ("base", "counts", "n", "over", "squares", "total", "unit")

    def __init__(self, thresholds: Iterable[float] = ()) -> None:
        self.n = 0
        self.total = 0
        self.squares = 0
        self.base = 0
        self.counts: array[int] = array("q")
        self.over: dict[float, int] = dict.fromkeys(thresholds, 0)
        self.unit = ""

    def add(self, value: float, n: int = 1) -> None:
        """Count `n` observations of `value`."""
        exact, place = int(value * UNIT), bisect_left(EDGES, value)
        self.n += n
        self.total += n * exact
        self.squares += n * exact * exact
        self._count(place, n)
        for threshold in self.over:
            self.over[threshold] += n * (value > threshold)

    def extend(self, values: Sequence[float], n: int = 1) -> Sequence[int]:
        """Count `n` observations of each of `values`, and return these in UNIT."""
        exact = list(map(int, map(mul, values, repeat(UNIT))))
        self.n += n * len(values)
        self.total += n * sum(exact)
        self.squares += n * sum(map(mul, exact, exact))
        self._spread(sorted(values), n)
        for threshold in self.over:
            self.over[threshold] += n * sum(map(gt, values, repeat(threshold)))
        return exact

    def _spread(self, ascending: Sequence[float], n: int) -> None:
        """Count into buckets, one bucket at a time: two searches for each that is met, not one for each value."""
        at, last = 0, len(ascending)
        while at < last:
            place = bisect_left(EDGES, ascending[at])
            end = last if place >= OVERFLOW else bisect_right(ascending, EDGES[place], at)
            self._count(place, n * (end - at))
            at = end

    def _count(self, place: int, n: int) -> None:
        if not self.base <= place < self.base + len(self.counts):
            self._grow(place)
        self.counts[place - self.base] += n

    def _grow(self, place: int) -> None:
        """Make room for `place`, half an octave at a time so that a new array is rare."""
        if not self.counts:
            self.base, self.counts = max(0, place - 16), array("q", bytes(8 * 33))
        elif place < self.base:
            more = min(self.base, self.base - place + 16)
            self.base, self.counts = self.base - more, array("q", bytes(8 * more)) + self.counts
        else:
            self.counts.extend(array("q", bytes(8 * (place - self.base - len(self.counts) + 17))))

    def sample(self) -> Sample:
        """What was counted so far."""
        base, counts = _trim(self.base, self.counts.tolist())
        return Sample(self.n, self.total, self.squares, base, counts, dict(self.over), unit=self.unit)
