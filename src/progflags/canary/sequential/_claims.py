"""What a gate claims: each of its bounds as a statement about two arms that data can refute."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from progflags.canary._gate import ANY, Gate
from progflags.canary._units import unit_of
from progflags.canary._words import LATENCY, Kind, Severity
from progflags.canary.counting import OVERFLOW, Moments, Sample, Totals, Window

__all__ = [
    "Claim",
    "Counts",
    "claims",
    "margin",
    "moments_of",
    "rate_of",
    "seen",
    "shift",
    "stretched",
    "usual",
]

Counts = tuple[float, float, float, float]  # x_c, n_c, x_b, n_b

_SHARE_KEPT: Final = 1e-9

#: What an anomaly gate tolerates: the noise of ordinary pools. Of a reading that has no arms, up to a doubling (or half).
_ANOMALY: Final = {Kind.RATE: 0.25, Kind.QUANTILE: 0.10, Kind.MEAN: 0.05, Kind.GAUGE: 1.0}
_OF_THE_PROCESS: Final = frozenset({"cpu", "memory", "event_loop_lag"})  # they follow the traffic: bounds are for them, not anomalies


@dataclass(frozen=True, slots=True)
class Claim:
    """
    One bound of one gate: "`metric` is not beyond it". `up`: beyond is above.

    `name` is unique and lasting: the same claim in the next stage goes on where it was, a changed bound starts anew. `unit` is
    what its values are measured in, as far as anybody said.
    """

    name: str
    gate: Gate
    bound: str
    up: bool
    limit: float
    unit: str = ""

    @property
    def label(self) -> str:
        """What a finding calls it."""
        return f"{self.gate.metric} {self.bound}" + (f" {self.limit:g}" if self.gate.anomaly is None else "")

    def measured(self, totals: Totals) -> Claim:
        """With the unit that its values were recorded in on the candidate's side."""
        sample = totals.samples.get(self.gate.sample)
        unit = self.unit if sample is None else unit_of(self.gate.sample, sample.unit)
        return self if unit == self.unit else replace(self, unit=unit)

    @property
    def relative(self) -> bool:
        return self.bound not in {"max", "min"}

    @property
    def kind(self) -> Kind:
        kind = self.gate.kind
        return kind if isinstance(kind, Kind) else Kind(kind or Kind.RATE)  # a lookup by value is dear, and this is asked all the time

    @property
    def null(self) -> float:
        """The candidate's rate over the control's at the edge of what is tolerated."""
        if self.kind == Kind.GAUGE:
            return 1 + self.limit if self.up else 1 / (1 + self.limit)
        return 1 + self.limit if self.up else 1 - self.limit

    @property
    def nulls(self) -> tuple[float, ...]:
        """
        Of a mean, the factors beyond all of which it is beyond the bound, whatever the sign of the control's mean.

        c > b + l |b| is c > (1 + l) b and c > (1 - l) b; likewise below. Of a mean above 0 the second says nothing new.
        """
        return (1 + self.limit, 1 - self.limit) if self.limit else (1.0,)

    def null_at(self, base: float) -> float:
        """`null` where the control is at `base`: a margin is a part of its size, also below 0."""
        return self.null if base >= 0 else 2 - self.null

    @property
    def worst(self) -> float:
        """The same at the edge of what must be ruled out for `proven`: never stricter than what is tolerated."""
        return self.worst_at(0.0)

    def worst_at(self, base: float) -> float:
        """`worst` where the control is at `base`: the larger of `must_detect` and `min_absolute` is what must be ruled out."""
        detect = max(self.gate.detect(up=self.up), self.limit, self.gate.min_absolute / abs(base) if base else 0.0)
        if base < 0:
            return 1 - detect if self.up else 1 + detect
        return 1 + detect if self.up else max(1 - detect, _SHARE_KEPT)

    def matters(self, base: float) -> float:
        """
        The smallest regression, as a fraction of `base`, that matters: the larger of `must_detect` and `min_absolute`.

        `base`: the control's value (for an event nobody had yet, that of half an event), or the bound itself.
        """
        detect = self.gate.detect(up=self.up)
        least = self.gate.min_absolute / abs(base) if base else 0.0
        return max(detect, least) if self.up else min(max(detect, least), 1 - _SHARE_KEPT)


@lru_cache(maxsize=1024)
def claims(gate: Gate) -> tuple[Claim, ...]:
    """The claims of one gate with a metric of its own, in the order of its bounds; of several quantiles those of each."""
    each = gate.each
    if len(each) > 1:
        return tuple(claim for one in each for claim in claims(one))
    found = []
    for bound, up in (("max", True), ("min", False), ("max_increase", True), ("max_decrease", False)):
        limit = getattr(gate, bound)
        if limit is not None:
            found.append(Claim(f"{_subject(gate)} {bound}={limit:g}", gate, bound, up, limit, unit_of(gate.sample)))
    if gate.anomaly is not None:
        limit = _ANOMALY.get(Kind(gate.kind or Kind.RATE), 0.25)
        for bound, up in (("anomaly_up", True), ("anomaly_down", False)):
            if not (up and gate.direction == "higher_is_better") and not (not up and gate.direction == "lower_is_better"):
                found.append(Claim(f"{_subject(gate)} {bound}", gate, bound, up, limit, unit_of(gate.sample)))
    return tuple(found)


def _subject(gate: Gate) -> str:
    level = "" if gate.quantile is None else f"@{gate.quantile:g}"
    return f"{gate.metric}{level}[{gate.kind}]"


def seen(window: Window) -> tuple[Gate, ...]:
    """
    What an anomaly gate watches in `window`: errors, the median and the tail of latency, every event and sample, by name.

    And every external source, against its own first readings: as a warning, for a reading belongs to no arm.
    """
    names: dict[str, Gate] = {}
    for totals in window.arms.values():
        if totals.trials:
            names["error_rate"] = Gate("error_rate", anomaly=False, direction="lower_is_better")
        for name in filter(None, totals.samples):
            for level in ("p50", "p99"):
                names[f"{level}_{name}"] = Gate(f"{level}_{name}", anomaly=False, direction="lower_is_better" if name == LATENCY else None)
        for name in _named((*totals.events, *totals.rates)):
            names.setdefault(name, Gate(name, anomaly=False, kind=Kind.RATE))
    for name in _named(name for name, gauge in window.gauges.items() if gauge.n):
        if name not in _OF_THE_PROCESS:
            names.setdefault(name, Gate(name, anomaly=False, kind=Kind.GAUGE, severity=Severity.WARNING))
    return tuple(names[name] for name in sorted(names))


def _named(names: Iterable[str]) -> Iterable[str]:
    """Those that a gate can be on: whoever tracks an event may call it anything."""
    return (name for name in names if name not in {"", ANY})


# -- what a window says about a claim ---------------------------------------------------------------------------------


def rate_of(gate: Gate, totals: Totals, before: Totals | None = None) -> tuple[float, float]:
    """
    (events, trials) of an arm. For a tracked event the trials are the units still able to have it for the first time.

    `before`: the arm's totals before this batch. A unit exposed an hour ago may convert only now, so a batch is compared by
    all units at risk in it, not by those that happened to arrive in it; both arms age alike, for both began to count
    when the share last changed.
    """
    count = totals.rates.get(gate.metric)
    if count is not None:
        return count
    if gate.metric == "error_rate":
        return totals.errors, totals.trials
    moments = totals.events.get(gate.metric) or totals.events.get(gate.metric.removesuffix("_rate")) or _NONE
    if before is None or not (before.units or totals.units):
        return moments.n, totals.bases
    had = before.events.get(gate.metric) or before.events.get(gate.metric.removesuffix("_rate")) or _NONE
    return moments.n, max(before.units - had.n + totals.units, moments.n)


def usual(gate: Gate, control: Totals) -> float:
    """The control's rate so far; 0 where nothing has been seen, or where events have no trials but an exposure."""
    events, trials = rate_of(gate, control)
    return events / trials if 0 < events <= trials else 0.0


def moments_of(gate: Gate, totals: Totals) -> Moments:
    """Mean gates: the arm's values. A sample's own observations, or an event's value per exposed unit."""
    sample = totals.samples.get(gate.sample)
    if sample is not None:
        return Moments(sample.n, sample.total, sample.squares)
    moments = totals.events.get(gate.metric) or totals.events.get(gate.sample)
    return _NONE if moments is None else Moments(max(totals.bases, moments.n), moments.total, moments.squares)


_BUCKET: Final = math.log(2) / 32


def shift(stretch: float) -> int:
    """How many buckets a stretch by `stretch` moves an observation: a tolerance is rounded away from the null."""
    return math.ceil(math.log(stretch) / _BUCKET - 1e-9) if stretch > 1 else math.floor(math.log(stretch) / _BUCKET + 1e-9)


def margin(claim: Claim) -> int:
    """The claim's tolerance in buckets."""
    return shift(claim.null)


def stretched(sample: Sample, place: int, buckets: int = 0, *, few: bool = True) -> int:
    """
    How many observations are above EDGES[place + buckets]; -1 where that is beyond the histogram's range.

    Where a coarser producer's counts are not exact there, the nearest edge at which they are decides: the next one up if too
    `few` are harmless to the test that asks, else the next one down.
    """
    there = sample.snapped(place + buckets, up=few)
    return sample.above(there) if 0 < there < OVERFLOW else -1


_NONE: Final = Moments()
