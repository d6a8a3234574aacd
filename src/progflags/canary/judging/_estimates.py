"""Estimates behind a finding: both arms' values, always-valid intervals, and what would have been seen by now."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import EDGES, OVERFLOW, Moments, Sample, Totals, position
from progflags.canary.sequential import (
    FIRST,
    FIRST_READINGS,
    LEVEL,
    RATIO,
    Claim,
    Counts,
    Evidence,
    Means,
    Worth,
    counted,
    fresh,
    level,
    log_mean,
    margin,
    mixture,
    moments_of,
    radius,
    rate_of,
    ratio,
    ratio_interval,
    shift,
    standard,
    stretched,
    tuning,
)

__all__ = ["Estimate", "caught", "change", "estimate", "interval", "scale_to_catch", "smallest_caught"]

_POWER: Final = 0.8416212335729143  # standard normal quantile of 80 %
_LARGEST: Final = 49.0  # ×50: what such a regression does, nobody needs statistics for
_EMPTY: Final = Sample()
_ALL: Final = Worth()  # each request a witness of its own


@dataclass(frozen=True, slots=True)
class Estimate:
    """Both arms' values and sizes; `inside`: whether the candidate's is within the bound; None values: no data."""

    baseline: float | None
    canary: float | None
    n_baseline: int
    n_canary: int
    inside: bool
    refused: str = ""

    @property
    def effect(self) -> float | None:
        return change(self.baseline, self.canary)


def change(baseline: float | None, canary: float | None) -> float | None:
    """How much more the candidate has, as a part of the control's size: below 0 for a fall, whatever the sign of both. None: no data."""
    if baseline is None or canary is None:
        return None
    if baseline == canary:
        return 0.0
    if baseline == 0:
        return math.copysign(math.inf, canary)
    return (canary - baseline) / -baseline if baseline < 0 else canary / baseline - 1


def estimate(evidence: Evidence, claim: Claim) -> Estimate:
    """What both arms look like at the present revision, by the claim's own measure."""
    totals = evidence.totals
    if claim.kind == Kind.GAUGE or (claim.gate.metric in totals.gauges and not claim.relative):
        reading = totals.gauges.get(claim.gate.metric)
        value = None if reading is None or not reading.n else reading.mean
        if claim.relative:
            batches, n, total = evidence.places.get(claim.name, (0, 0, 0))
            first = Moments(n, total).mean if batches >= FIRST_READINGS else None
            return _within(claim, first, value, n, 0 if reading is None else reading.n)
        inside = value is not None and (value <= claim.limit if claim.up else value >= claim.limit)
        return Estimate(None, value, 0, 0 if reading is None else reading.n, inside)
    if claim.kind == Kind.QUANTILE:
        return _quantile(claim, totals.control, totals.candidate)
    if claim.kind == Kind.MEAN:
        c, b = moments_of(claim.gate, totals.candidate), moments_of(claim.gate, totals.control)
        return _within(claim, b.mean if b.n else None, c.mean if c.n else None, b.n, c.n)
    x_c, n_c = rate_of(claim.gate, totals.candidate)
    x_b, n_b = rate_of(claim.gate, totals.control)
    return _within(claim, x_b / n_b if n_b else None, x_c / n_c if n_c else None, int(n_b), int(n_c))


def _within(claim: Claim, baseline: float | None, canary: float | None, n_b: int, n_c: int) -> Estimate:
    if canary is None or (claim.relative and baseline is None):
        return Estimate(baseline, canary, n_b, n_c, inside=False)
    bar = claim.limit if not claim.relative else _null(claim, baseline or 0.0) * (baseline or 0.0)
    if claim.relative:  # the larger of what is tolerated and what is too small to matter
        least = claim.gate.min_absolute
        bar = max(bar, (baseline or 0.0) + least) if claim.up else min(bar, (baseline or 0.0) - least)
    inside = canary <= bar + 1e-12 if claim.up else canary >= bar - 1e-12
    return Estimate(baseline, canary, n_b, n_c, inside)


def _null(claim: Claim, baseline: float) -> float:
    return claim.null_at(baseline) if claim.kind == Kind.MEAN else claim.null


def _quantile(claim: Claim, control: Totals, candidate: Totals) -> Estimate:
    q = claim.gate.quantile or 0.5
    c, b = candidate.samples.get(claim.gate.sample) or _EMPTY, control.samples.get(claim.gate.sample) or _EMPTY
    values = [sample.quantile(q) if sample.n else None for sample in (b, c)]
    place_c, place_b = c.place_of(q), b.place_of(q)
    if not claim.relative:
        over, allowed = c.more_than(claim.limit, few=not claim.up), (1 - q) * c.n
        return Estimate(values[0], values[1], b.n, c.n, bool(c.n) and (over <= allowed + 1e-9 if claim.up else over >= allowed - 1e-9))
    refused = ""
    if b.n and c.n and (place_b in {0, OVERFLOW} or place_c in {0, OVERFLOW}):
        refused = f"p{100 * q:g} of {claim.gate.sample} lies outside what the histogram resolves ({EDGES[0]:.2g} to {EDGES[-1]:.2g})"
    moved = place_c - place_b
    inside = bool(c.n and b.n) and (moved <= margin(claim) if claim.up else moved >= margin(claim))
    if not inside and claim.gate.min_absolute and values[0] is not None and values[1] is not None:
        inside = (values[1] - values[0]) * (1 if claim.up else -1) <= claim.gate.min_absolute
    return Estimate(values[0], values[1], b.n, c.n, inside, refused)


# -- intervals --------------------------------------------------------------------------------------------------------


def interval(evidence: Evidence, claim: Claim) -> tuple[float, float] | None:
    """
    Bounds of the effect (candidate over control minus 1) that hold at every look, at 1 - alpha; None where there is no control.

    Rates: the ratios that the ratio test does not refute, by inversion on the revision's totals, on what they are worth.
    """
    totals, alpha, below = evidence.totals, evidence.alpha, False
    effect = evidence.worth.get(claim.name, _ALL).strict
    if claim.kind == Kind.GAUGE:
        return None
    if claim.kind == Kind.QUANTILE:
        c, b = (arm.samples.get(claim.gate.sample) or _EMPTY for arm in (totals.candidate, totals.control))
        bounds = ratio_interval(c, b, claim.gate.quantile or 0.5, alpha, effect)
        return None if bounds is None else (bounds[0] - 1, bounds[1] - 1)
    if claim.kind == Kind.MEAN:
        compared = Claim(claim.name, claim.gate, "max_increase", up=True, limit=0.0)
        groups = counted(evidence, compared)
        if groups is None or not (means := Means().see(compared, totals, groups)).ready(relative=True):
            return None

        below = (means.control or 0.0) < 0  # the quotient of two means below 0 is that of their sizes, and falls as the mean rises

        def says(r: float, up: bool) -> float:
            return means.evidence(r, up != below, True, alpha / 2, effect)

    else:
        counts = (*rate_of(claim.gate, totals.candidate), *rate_of(claim.gate, totals.control))
        if not counts[1] or not counts[3]:
            return None

        def says(r: float, up: bool) -> float:
            return log_mean(ratio(fresh(RATIO), r, up, counts[0] / effect, counts[1], counts[2] / effect, counts[3]))

    bar = math.log(2 / alpha)
    low, high = _invert(lambda r: says(r, True), bar, up=True) - 1, _invert(lambda r: says(r, False), bar, up=False) - 1
    return (-high, -low) if below else (low, high)


def _invert(says: Callable[[float], float], bar: float, *, up: bool) -> float:
    """The ratio at which the evidence crosses the bar, between 1e-4 and 1e4; 0 or infinity beyond."""
    low, high = math.log(1e-4), math.log(1e4)
    if says(math.exp(low if up else high)) < bar:
        return 0.0 if up else math.inf
    for _ in range(16):  # to a third of a permille, which no interval of a rate is worth
        middle = (low + high) / 2
        # Going up the evidence for "more than r" falls; for "less than r" it rises.
        if (says(math.exp(middle)) >= bar) == up:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


# -- what would have been caught ----------------------------------------------------------------------------------------


def caught(evidence: Evidence, claim: Claim, regression: float, scale: float = 1.0) -> bool:
    """
    Whether a regression of that size (a fraction) would have raised the alarm by now, four times out of five.

    By the claim's own test, on the counts a regressed candidate would unluckily have shown at the 20th percentile, with
    `scale` times the traffic seen so far.
    """
    bar = -math.log(evidence.alpha_of(claim)) - (math.log(FIRST) if evidence.restarts and claim.kind != Kind.MEAN else 0.0)
    totals = evidence.totals
    if claim.kind == Kind.GAUGE or (claim.gate.metric in totals.gauges and not claim.relative):
        return True
    if claim.kind == Kind.MEAN:
        return _mean_caught(evidence, claim, regression, scale)
    if claim.kind == Kind.QUANTILE:
        return _quantile_caught(evidence, claim, regression, scale, bar)
    _, n_c = rate_of(claim.gate, totals.candidate)
    n_c *= scale
    if not claim.relative:
        if claim.limit in {0.0, 1.0}:
            return n_c > 0
        p = min(claim.limit * (1 + regression), 1.0) if claim.up else claim.limit * (1 - regression)
        return log_mean(level(fresh(LEVEL), claim.limit, claim.up, _unlucky(n_c, p, claim.up), n_c)) >= bar
    x_b, n_b = rate_of(claim.gate, totals.control)
    if not n_c or not n_b:
        return False
    rate = (x_b or 0.5) / n_b  # what half an event would be, of which more traffic without one would be less
    x_b, n_b = x_b * scale or 0.5, n_b * scale
    p = min(1.0, rate * (1 + regression)) if claim.up else max(0.0, rate * (1 - regression))
    return _alarmed(evidence, claim, claim.null, (n_c * p, n_c, x_b, n_b), bar, later=scale > 1)


def _alarmed(evidence: Evidence, claim: Claim, null: float, counts: Counts, bar: float, *, later: bool) -> bool:
    """
    Whether a comparison with such counts (the candidate's events being what is expected) would raise the alarm four times in five.

    By the open evidence, or at the planned look that was taken last; `later`: at the last one of the bake.
    """
    worth = evidence.worth.get(claim.name, _ALL)
    effect = worth.effect if claim.up else worth.strict
    expected, n_c, x_b, n_b = counts
    spread = _POWER * math.sqrt(effect * expected * max(0.0, 1 - expected / n_c))
    x_c = max(0.0, expected - spread) / effect if claim.up else min(n_c, expected + spread) / effect
    kappa = null * n_c / n_b
    split = (x_c, x_b / effect, kappa) if claim.up else (x_b / effect, x_c, 1 / kappa)
    if mixture([split]) >= bar:
        return True
    bounds = evidence.bounds_of(claim)
    taken = len(bounds) if later else evidence.look_at
    return bool(bounds) and taken > 0 and standard([split]) >= bounds[taken - 1]


def _unlucky(n: float, p: float, up: bool) -> float:
    """The 20th (80th, going down) percentile of a binomial count, near enough."""
    mean = n * p
    spread = _POWER * math.sqrt(mean * (1 - p))
    return max(0.0, mean - spread) if up else min(n, mean + spread)


def _quantile_caught(evidence: Evidence, claim: Claim, regression: float, scale: float, bar: float) -> bool:
    control, candidate = evidence.totals.control, evidence.totals.candidate
    c, b = candidate.samples.get(claim.gate.sample) or _EMPTY, control.samples.get(claim.gate.sample) or _EMPTY
    q = claim.gate.quantile or 0.5
    if not c.n or (claim.relative and not b.n):
        return False
    stretch = 1 + regression if claim.up else 1 - regression
    if not claim.relative:
        # The candidate as it is, stretched until its quantile lies that far beyond the bound.
        place = position(c.quantile(q) / stretch) if 0 < c.quantile(q) < math.inf else -1
        p = min(1.0, c.above(min(place, len(EDGES) - 1)) / c.n) if place > 0 else 0.0
        return log_mean(level(fresh(LEVEL), 1 - q, claim.up, _unlucky(c.n * scale, p, claim.up), c.n * scale)) >= bar
    place = b.place_of(q)
    there = b.snapped(place + margin(claim), up=claim.up)  # where the test would count the candidate
    beyond = stretched(b, there, -shift(stretch), few=claim.up) if 0 < there < OVERFLOW else -1
    p = max(beyond, 0) / b.n
    return _alarmed(evidence, claim, 1.0, (c.n * scale * p, c.n * scale, b.above(place) * scale, b.n * scale), bar, later=scale > 1)


def _mean_caught(evidence: Evidence, claim: Claim, regression: float, scale: float) -> bool:
    means, worth = evidence.means.get(claim.name), evidence.worth.get(claim.name, _ALL)
    if means is None or not means.ready(relative=claim.relative):
        return False
    b = moments_of(claim.gate, evidence.totals.control)
    if claim.relative and not (b.n and b.total):  # a part of nothing is nothing: it can't be seen
        return False
    bar = claim.null_at(b.mean) if claim.relative else claim.limit
    _, variance, n = means.estimate(bar, relative=claim.relative)
    size = abs(b.mean) * abs(regression - claim.limit) if claim.relative else abs(claim.limit) * regression
    effect = worth.effect if claim.up else worth.strict
    alpha, variance, n = evidence.alpha_of(claim), variance * effect / scale, n * scale / effect
    if n > 0 and size - _POWER * math.sqrt(variance) >= radius(variance, n, alpha, tuning(alpha)):
        return True
    bounds = evidence.bounds_of(claim)
    taken = len(bounds) if scale > 1 else evidence.look_at
    return bool(bounds) and taken > 0 and size >= (_POWER + bounds[taken - 1]) * math.sqrt(variance)


def smallest_caught(evidence: Evidence, claim: Claim) -> float | None:
    """The smallest regression, as a fraction, that would have been caught; None where not even the largest would."""
    low, high = 0.0, (_LARGEST if claim.up else 0.999)
    if not caught(evidence, claim, high):
        return None
    for _ in range(12):
        middle = math.expm1((math.log1p(low) + math.log1p(high)) / 2) if claim.up else (low + high) / 2
        low, high = (low, middle) if caught(evidence, claim, middle) else (middle, high)
    return high


def scale_to_catch(evidence: Evidence, claim: Claim, regression: float) -> float | None:
    """How many times the present traffic it takes until that regression would be caught; None beyond a thousandfold."""
    low, high = 1.0, 2.0
    while not caught(evidence, claim, regression, high):
        low, high = high, high * 2
        if high > 1024:
            return None
    for _ in range(5):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if caught(evidence, claim, regression, middle) else (middle, high)
    return high
