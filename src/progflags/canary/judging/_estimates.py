"""Estimates behind a finding: both arms' values, and what would have been seen by now."""

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
    Claim,
    Counts,
    Evidence,
    Worth,
    against,
    margin,
    mixture,
    moments_of,
    radius,
    rate_of,
    shift,
    standard,
    stretched,
    tuning,
)

__all__ = ["Estimate", "caught", "change", "estimate", "smallest_caught", "times"]

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


# -- what would have been caught ----------------------------------------------------------------------------------------


def caught(evidence: Evidence, claim: Claim, regression: float, scale: float = 1.0) -> bool:
    """
    Whether a regression of that size (a fraction) would have raised the alarm by now, four times out of five.

    By the claim's own test, on the counts a regressed candidate would unluckily have shown at the 20th percentile, with
    `scale` times the traffic seen so far.
    """
    bar = -math.log(evidence.alpha_of(claim)) - (math.log(FIRST) if evidence.restarts and claim.kind != Kind.MEAN else 0.0)
    totals, worth = evidence.totals, evidence.worth.get(claim.name, _ALL)
    if claim.kind == Kind.GAUGE or (claim.gate.metric in totals.gauges and not claim.relative):
        return True
    if claim.kind == Kind.MEAN:
        return _mean_caught(evidence, claim, regression, scale)
    if claim.kind == Kind.QUANTILE:
        return _quantile_caught(evidence, claim, regression, scale, bar)
    _, n_c = rate_of(claim.gate, totals.candidate)
    n_c *= scale
    if not claim.relative:
        return _beyond_bound_caught(claim, regression, n_c / worth.effect, bar)
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


def _beyond_bound_caught(claim: Claim, regression: float, n: float, bar: float) -> bool:
    """Whether a rate that far beyond an absolute bound would have been caught in `n` trials."""
    share = claim.kind == Kind.RATE
    if claim.limit == 0 or (share and claim.limit == 1):
        return n > 0
    p = claim.limit * (1 + regression if claim.up else 1 - regression)
    return against(claim, claim.limit, claim.up, (_unlucky(n, min(p, 1.0) if share else p, claim.up), n)) >= bar


def _unlucky(n: float, p: float, up: bool) -> float:
    """The 20th (80th, going down) percentile of a binomial count, or of one per exposure where that is no share; near enough."""
    mean = n * p
    spread = _POWER * math.sqrt(mean * (1 - p) if p <= 1 else mean)
    return max(0.0, mean - spread) if up else mean + spread if p > 1 else min(n, mean + spread)


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
        n = c.n * scale / evidence.worth.get(claim.name, _ALL).effect
        return against(claim, claim.limit, claim.up, (_unlucky(n, p, claim.up), n)) >= bar
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


def times(enough: Callable[[float], bool]) -> float | None:
    """How many times the present traffic is enough; None beyond a thousandfold."""
    low, high = 1.0, 2.0
    while not enough(high):
        low, high = high, high * 2
        if high > 1024:
            return None
    for _ in range(5):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
