"""
The same labels as Spinnaker's judge gives, so that teams can move over and compare.

Per metric a Mann-Whitney confidence interval of the shift is held against a quarter of the estimated shift: High, Low, Pass
or Nodata. Groups are scored by the share of metrics that pass, weighted, and the sum is held against two thresholds. For
one look at a complete window; looked at often, or on sparse counts, it is blind or wrong (see the explanation page).

Source: the documented behaviour and the published test cases of kayenta-judge; the interval is R's wilcox.test.

One file, though long: somebody else's rules, to be held against their description from the first to the last.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from progflags.canary._gate import Gate
from progflags.canary._units import unit_of
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision, Kind, Severity
from progflags.canary.judging import change, moved, quantity
from progflags.canary.report import CanaryReport
from progflags.canary.samples import Series, series_for

__all__ = [
    "Label",
    "Labelled",
    "classify",
    "cles",
    "cohens_d",
    "iqr_kept",
    "kayenta",
    "percentile",
    "score",
    "shift_interval",
    "sigma_kept",
]

CONFIDENCE: Final = 0.98
TOLERANCE: Final = 0.25
PASS: Final = 95.0
MARGINAL: Final = 75.0

_Z: Final = {0.98: 2.3263478740408408, 0.95: 1.959963984540054, 0.99: 2.5758293035489004, 0.90: 1.6448536269514722}


class Label(StrEnum):
    """How one metric came out."""

    PASS = "Pass"  # noqa: S105 - a label, not a password
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One metric's label; `critical`: on its own it fails the canary."""

    label: Label
    critical: bool = False
    ratio: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    shift: float = math.nan


# -- the interval -----------------------------------------------------------------------------------------------------------


def shift_interval(experiment: Sequence[float], control: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """
    (lower, upper, estimate) of how much higher the experiment is: R's asymptotic Mann-Whitney interval.

    With continuity correction for the interval and without for the estimate, ties corrected, roots of the step function to
    the last bit where R stops at 1e-4.

    Source: R's wilcox.test.default (conf.int=TRUE, exact=FALSE), Bauer (1972).
    """
    x, y = sorted(experiment), sorted(control)
    low, high = x[0] - y[-1], x[-1] - y[0]
    if low == high:
        return low, low, low
    z = _quantile((1 + confidence) / 2)
    return _root(x, y, z, low, high), _root(x, y, -z, low, high), _root(x, y, 0.0, low, high, correct=False)


def _root(x: list[float], y: list[float], z: float, low: float, high: float, *, correct: bool = True) -> float:
    def excess(shift: float) -> float:
        return _standardised(x, y, shift, correct=correct) - z

    if excess(low) <= 0:
        return low
    if excess(high) >= 0:
        return high
    # A step function may be zero over an interval: its middle is the root (for the estimate, the median difference).
    first = _crossing(lambda shift: excess(shift) > 0, low, high)
    flat = not excess(first + 1e-9 * (high - low))
    root = (first + _crossing(lambda shift: excess(shift) >= 0, low, high)) / 2 if flat else first
    return root if abs(root) > 1e-9 * (high - low) else 0.0  # bisection ends a hair beside a jump at 0, and a hair is no shift


def _crossing(before: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if before(middle) else (low, middle)
    return (low + high) / 2


def _standardised(x: list[float], y: list[float], shift: float, *, correct: bool) -> float:
    """The rank-sum statistic of x - shift against y in standard deviations, ties corrected; 0 where everything is tied."""
    m, n = len(x), len(y)
    moved = [value - shift for value in x]
    above = sum((bisect_left(y, value) + bisect_right(y, value)) / 2 for value in moved)
    merged = sorted([*moved, *y])
    ties, start = 0.0, 0
    for i in range(1, m + n + 1):
        if i == m + n or merged[i] != merged[start]:
            size = i - start
            ties += size**3 - size
            start = i
    variance = m * n / 12 * ((m + n + 1) - ties / ((m + n) * (m + n - 1)))
    centred = above - m * n / 2
    if correct:
        centred -= math.copysign(0.5, centred) if centred else 0.0
    return centred / math.sqrt(variance) if variance > 0 else 0.0


def _quantile(p: float) -> float:
    known = _Z.get(round(2 * p - 1, 10))
    if known is not None:
        return known
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)


# -- labels -----------------------------------------------------------------------------------------------------------------


def classify(
    experiment: Sequence[float],
    control: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
    direction: str = "either",
    critical: bool = False,
    allowed: float = 1.0,
    critical_increase: float = 1.0,
) -> Labelled:
    """
    The label of one metric. `direction`: "increase", "decrease" or "either".

    `allowed` is a mean ratio up to which High is still Pass; at `critical_increase` or above, a critical High is critical.
    """
    if not experiment or not control:
        return Labelled(Label.NODATA, critical)
    if sorted(experiment) == sorted(control):
        return Labelled(Label.PASS, ratio=1.0, interval=(0.0, 0.0), shift=0.0)
    lower, upper, shift = shift_interval(experiment, control, confidence)
    mean = math.fsum(control) / len(control)
    ratio = math.fsum(experiment) / len(experiment) / mean if mean else math.nan
    band = abs(tolerance * shift)
    high = direction != "decrease" and lower > band and not ratio < allowed
    low = direction != "increase" and upper < -band and not ratio > 1 / allowed
    if not (high or low):
        return Labelled(Label.PASS, ratio=ratio, interval=(lower, upper), shift=shift)
    grave = critical and (math.isnan(ratio) or (ratio >= critical_increase if high else ratio <= 1 / critical_increase))
    return Labelled(Label.HIGH if high else Label.LOW, grave, ratio, (lower, upper), shift)


def score(groups: Iterable[tuple[float | None, Sequence[Labelled]]]) -> tuple[float, str]:
    """
    (score of 0 to 100, why) of groups of labelled metrics with weights; None: what the weighted groups leave of 100, evenly.

    A critical metric that is not Pass makes it 0; so does it when half or more of all metrics have no data. Metrics
    without data are left out of their group, and groups without any data are left out.
    """
    rows = [(weight, list(labelled)) for weight, labelled in groups]
    every = [one for _, labelled in rows for one in labelled]
    failed = next((one for one in every if one.critical and one.label != Label.PASS), None)
    if failed is not None:
        return 0.0, f"a critical metric is {failed.label}"
    silent = sum(one.label == Label.NODATA for one in every)
    # One silent group beside a passing one is left out; a single group half silent, or everything silent, is blindness.
    if silent == len(every) or (len(rows) == 1 and 2 * silent >= len(every)):
        return 0.0, "half of the metrics or more have no data"
    spare = max(0.0, 100 - sum(weight for weight, _ in rows if weight is not None))
    unweighted = sum(weight is None for weight, _ in rows)
    total, whole = 0.0, 0.0
    for weight, labelled in rows:
        told = [one for one in labelled if one.label != Label.NODATA]
        if told:
            share = spare / unweighted if weight is None else weight
            total += share * 100 * sum(one.label == Label.PASS for one in told) / len(told)
            whole += share
    return (total / whole if whole else 0.0), ""


# -- effect sizes, percentiles, outliers ----------------------------------------------------------------------------------------


def cohens_d(experiment: Sequence[float], control: Sequence[float]) -> float:
    """The difference of means in pooled standard deviations. Source: Cohen (1988)."""
    m, n = len(experiment), len(control)
    a, b = math.fsum(experiment) / m, math.fsum(control) / n
    pooled = (math.fsum((v - a) ** 2 for v in experiment) + math.fsum((v - b) ** 2 for v in control)) / (m + n - 2)
    return abs(a - b) / math.sqrt(pooled) if pooled else math.nan


def cles(experiment: Sequence[float], control: Sequence[float]) -> float:
    """The probability that one of the experiment is below one of the control, ties counted half. Source: McGraw & Wong (1992)."""
    other = sorted(control)
    below = sum(len(other) - (bisect_left(other, v) + bisect_right(other, v)) / 2 for v in experiment)
    return below / (len(experiment) * len(other))


def percentile(values: Sequence[float], percent: float) -> float:
    """The R-7 percentile: linear between order statistics. NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    at = (len(ordered) - 1) * percent / 100
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def iqr_kept(values: Sequence[float], factor: float = 1.5) -> list[float]:
    """What lies within `factor` interquartile ranges of the quartiles."""
    low, high = percentile(values, 25), percentile(values, 75)
    reach = factor * (high - low)
    return [value for value in values if low - reach <= value <= high + reach]


def sigma_kept(values: Sequence[float], factor: float = 3.0) -> list[float]:
    """What lies within `factor` standard deviations of the mean."""
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0
    return [value for value in values if abs(value - mean) <= factor * spread]


# -- the judge ------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    gate: Gate
    labelled: Labelled
    b: Series | None
    c: Series | None
    values: tuple[float | None, float | None] = field(default=(None, None))


def kayenta(gates: Sequence[Gate], baseline: Mapping[str, Any], canary: Mapping[str, Any]) -> CanaryReport:
    """
    A report with Kayenta's labels. Each gate is a group of its own with its weight; lists of rates are judged as per-batch values.

    A score of 95 passes, below 75 rolls back, between the two holds. A critical gate counts as a critical metric.
    """
    rows = [_row(gate, series_for(gate, baseline), series_for(gate, canary)) for gate in gates]
    whole = sum(gate.weight for gate in gates)
    points, why = score([(100 * row.gate.weight / whole, [row.labelled]) for row in rows])
    if all(row.labelled.label == Label.NODATA for row in rows):
        decision, reason = Decision.HOLD, "no metric has data on both sides"
    elif points >= PASS:
        decision, reason = Decision.PASS, f"score {points:.0f}, where {PASS:.0f} passes"
    else:
        blind = any(row.labelled.label == Label.NODATA and row.gate.critical for row in rows)
        bad = any(row.labelled.label in {Label.HIGH, Label.LOW} for row in rows)
        low = points < MARGINAL and (bad or not blind)
        decision = Decision.ROLLBACK if low else Decision.HOLD
        reason = f"score {points:.0f}, where {PASS:.0f} passes and {MARGINAL:.0f} is marginal" + (f": {why}" if why else "")
    findings = tuple(_finding(row) for row in rows)
    return CanaryReport.of(
        Verdict(decision, reason, findings),
        method="kayenta",
        alpha=1 - CONFIDENCE,
        extra={"score": points, "labels": {str(row.gate): str(row.labelled.label) for row in rows}},
    )


def _row(gate: Gate, b: Series | None, c: Series | None) -> _Row:
    sides = [_points(series) for series in (b, c)]
    direction = "increase" if gate.max_increase is not None or gate.max is not None else "decrease"
    if (gate.max_increase is not None and gate.max_decrease is not None) or gate.anomaly is not None:
        direction = "either"
    labelled = classify(sides[1], sides[0], direction=direction, critical=gate.critical)
    means = tuple(math.fsum(side) / len(side) if side else None for side in sides)
    return _Row(gate, labelled, b, c, (means[0], means[1]))


def _points(series: Series | None) -> list[float]:
    if series is None or (len(series.rates) == 1 and series.whole):  # one number is no series
        return []
    return [rate.value for rate in series.rates if not math.isnan(rate.value)] if series.rates else series.flat


_DECIDED: Final[Mapping[Label, Callable[[Gate], Decision]]] = {
    Label.PASS: lambda _: Decision.PASS,
    Label.NODATA: lambda _: Decision.HOLD,
    Label.HIGH: lambda gate: Decision.ROLLBACK if gate.critical else Decision.HOLD,
    Label.LOW: lambda gate: Decision.ROLLBACK if gate.critical else Decision.HOLD,
}


def _finding(row: _Row) -> MetricResult:
    gate, labelled = row.gate, row.labelled
    decision = _DECIDED[labelled.label](gate)
    n_b, n_c = (0 if series is None else int(series.n) for series in (row.b, row.c))
    base, mean = row.values
    bounds = None if not base or math.isnan(labelled.interval[0]) else (labelled.interval[0] / abs(base), labelled.interval[1] / abs(base))
    return MetricResult(
        metric=gate.metric,
        kind=Kind(gate.kind or Kind.RATE),
        passed=decision == Decision.PASS,
        decision=decision,
        severity=Severity(gate.severity),
        baseline=row.values[0],
        canary=row.values[1],
        effect=change(base, mean),
        p_value=None,
        evidence=None,
        evidence_max=None,
        threshold=None,
        n=n_b + n_c,
        batches=1,
        reason=f"{gate.metric} {_averages(gate, base, mean)}{labelled.label}",
        gate=str(gate),
        unit="" if gate.kind == Kind.RATE else unit_of(gate.sample),
        n_baseline=n_b,
        n_canary=n_c,
        _interval=lambda: bounds,
    )


def _averages(gate: Gate, base: float | None, mean: float | None) -> str:
    if base is None or mean is None:
        return "is "
    how = moved(change(base, mean), base)
    control, candidate = (quantity(Kind(gate.kind or Kind.RATE), value, unit_of(gate.sample)) for value in (base, mean))
    return f"averages {candidate} against {control}{f' ({how})' if how else ''}: "
