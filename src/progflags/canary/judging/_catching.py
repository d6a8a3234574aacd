"""What would have been caught by now: the alarm's own tests, on counts that a regressed candidate would unluckily have shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import EDGES, OVERFLOW, Sample, position
from progflags.canary.sequential import (
    FIRST,
    Claim,
    Counts,
    Evidence,
    Worth,
    against,
    margin,
    moments_of,
    radius,
    rate_of,
    reaches,
    shift,
    standard,
    stretched,
    tuning,
)

__all__ = ["Enough", "catching", "smallest_caught", "times"]

#: Whether so many times the traffic seen so far is enough.
Enough = Callable[[float], bool]

_POWER: Final = 0.8416212335729143  # standard normal quantile of 80 %
_LARGEST: Final = 49.0  # ×50: what such a regression does, nobody needs statistics for
_EMPTY: Final = Sample()
_ALL: Final = Worth()  # each request a witness of its own


def catching(evidence: Evidence, claim: Claim, regression: float) -> Enough:
    """
    Whether a regression of that size (a fraction) would have raised the alarm by now, four times out of five, with so many times the
    traffic seen so far.

    By the claim's own test, on the counts a regressed candidate would unluckily have shown at the 20th percentile. What does not
    depend on the traffic is worked out once, for it is asked many times over.
    """
    totals, gate = evidence.totals, claim.gate
    if claim.kind == Kind.GAUGE or (gate.metric in totals.gauges and not claim.relative):
        return lambda _: True
    if claim.kind == Kind.MEAN:
        return lambda scale: _mean_caught(evidence, claim, regression, scale)
    if claim.kind == Kind.QUANTILE:
        return _quantile_catching(evidence, claim, regression)
    _, n_c = rate_of(gate, totals.candidate)
    if not claim.relative:
        effect, bar = evidence.worth.get(claim.name, _ALL).effect, _bar(evidence, claim)
        return lambda scale: _beyond_bound_caught(claim, regression, n_c * scale / effect, bar)
    x_b, n_b = rate_of(gate, totals.control)
    if not n_c or not n_b:
        return _never
    rate = (x_b or 0.5) / n_b  # what half an event would be, of which more traffic without one would be less
    p = min(1.0, rate * (1 + regression)) if claim.up else max(0.0, rate * (1 - regression))
    alarm = _Alarm.of(evidence, claim, claim.null)
    return lambda scale: alarm.raised((n_c * scale * p, n_c * scale, x_b * scale or 0.5, n_b * scale), later=scale > 1)


def _never(_: float) -> bool:
    return False


def _bar(evidence: Evidence, claim: Claim) -> float:
    return -math.log(evidence.alpha_of(claim)) - (math.log(FIRST) if evidence.restarts else 0.0)


@dataclass(frozen=True, slots=True)
class _Alarm:
    """A comparison's: beyond which evidence, or at which bounds of planned looks, `taken` of which lie behind."""

    up: bool
    null: float
    effect: float
    bar: float
    bounds: tuple[float, ...]
    taken: int

    @classmethod
    def of(cls, evidence: Evidence, claim: Claim, null: float) -> _Alarm:
        worth = evidence.worth.get(claim.name, _ALL)
        effect = worth.effect if claim.up else worth.strict
        return cls(claim.up, null, effect, _bar(evidence, claim), evidence.bounds_of(claim), evidence.look_at)

    def raised(self, counts: Counts, *, later: bool) -> bool:
        """
        Whether it would be, with such counts (the candidate's events being what is expected), four times in five.

        By the open evidence, or at the planned look that was taken last; `later`: at the last one of the bake.
        """
        expected, n_c, x_b, n_b = counts
        spread = _POWER * math.sqrt(self.effect * expected * max(0.0, 1 - expected / n_c))
        x_c = (max(0.0, expected - spread) if self.up else min(n_c, expected + spread)) / self.effect
        kappa = self.null * n_c / n_b
        split = (x_c, x_b / self.effect, kappa) if self.up else (x_b / self.effect, x_c, 1 / kappa)
        if reaches([split], self.bar):
            return True
        taken = len(self.bounds) if later else self.taken
        return bool(self.bounds) and taken > 0 and standard([split]) >= self.bounds[taken - 1]


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


def _quantile_catching(evidence: Evidence, claim: Claim, regression: float) -> Enough:
    control, candidate = evidence.totals.control, evidence.totals.candidate
    c, b = candidate.samples.get(claim.gate.sample) or _EMPTY, control.samples.get(claim.gate.sample) or _EMPTY
    q = claim.gate.quantile or 0.5
    if not c.n or (claim.relative and not b.n):
        return _never
    stretch = 1 + regression if claim.up else 1 - regression
    if not claim.relative:
        # The candidate as it is, stretched until its quantile lies that far beyond the bound.
        place = position(c.quantile(q) / stretch) if 0 < c.quantile(q) < math.inf else -1
        p = min(1.0, c.above(min(place, len(EDGES) - 1)) / c.n) if place > 0 else 0.0
        effect, bar = evidence.worth.get(claim.name, _ALL).effect, _bar(evidence, claim)

        def beyond_bound(scale: float) -> bool:
            n = c.n * scale / effect
            return against(claim, claim.limit, claim.up, (_unlucky(n, p, claim.up), n)) >= bar

        return beyond_bound
    place = b.place_of(q)
    there = b.snapped(place + margin(claim), up=claim.up)  # where the test would count the candidate
    beyond = stretched(b, there, -shift(stretch), few=claim.up) if 0 < there < OVERFLOW else -1
    p, above = max(beyond, 0) / b.n, b.above(place)
    alarm = _Alarm.of(evidence, claim, 1.0)
    return lambda scale: alarm.raised((c.n * scale * p, c.n * scale, above * scale, b.n * scale), later=scale > 1)


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
    if not catching(evidence, claim, high)(1.0):
        return None
    for _ in range(12):
        middle = math.expm1((math.log1p(low) + math.log1p(high)) / 2) if claim.up else (low + high) / 2
        low, high = (low, middle) if catching(evidence, claim, middle)(1.0) else (middle, high)
    return high


def times(enough: Enough) -> float | None:
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
