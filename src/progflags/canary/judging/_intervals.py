"""
Intervals of findings: each end is a test of the gate turned round, one-sided, at the level at which that test decides.

The end towards the bound is where the alarm's test no longer refutes, at the claim's part of alpha; the other one where the proof's
does not, at alpha. What a bound tolerates is nested: who is worse than +20 % is worse than +10 %. So what was refuted once, at any look,
stays outside for good, and the bound lies outside exactly where the gate was broken:

    the alarm was raised  <=>  the bound lies before the interval

Where the judge keeps silent (one user is most of the candidate) the end towards the bound is open. Of a quantile compared the ends come
from a second test, of both arms' histograms, for the first one knows no thresholds but its own; they are moved to agree with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import Sample
from progflags.canary.sequential import (
    BAD,
    FIRST,
    GOOD,
    Claim,
    Evidence,
    Ledger,
    Worth,
    against,
    bounded,
    counted,
    quantile_bounds,
    ratio_interval,
    said,
    z_of_look,
)

__all__ = ["interval", "inverted", "reconciled", "stretched"]

Ends = tuple[float, float]

_EMPTY: Final = Sample()
_WIDEST: Final = 1e4
_STEPS: Final = 24


def _broken(evidence: Evidence, claim: Claim) -> bool:
    """Whether the alarm was ever raised."""
    track, look = evidence.track(claim), evidence.crossed(claim)
    return (track is not None and track.best >= -math.log(evidence.alpha_of(claim))) or (look is not None and look[0] > look[1])


def interval(evidence: Evidence, claim: Claim) -> Ends | None:
    """
    Bounds that hold at every look: of the effect (candidate over control minus 1), of an absolute gate of the candidate's own value.

    None where there is nothing to bound: readings belong to no arm, and a comparison needs a control.
    """
    if claim.kind == Kind.GAUGE or (claim.gate.metric in evidence.totals.gauges and not claim.relative):
        return None
    ends = _compared(evidence, claim) if claim.relative else _own(evidence, claim)
    if ends is None:
        return None
    if evidence.silent(claim):
        ends = (-1.0, ends[1]) if claim.up else (ends[0], math.inf)
    bound = (claim.limit if claim.up else -claim.limit) if claim.relative else claim.limit
    return reconciled(ends, bound, up=claim.up, broken=_broken(evidence, claim))


def reconciled(ends: Ends, bound: float, *, up: bool, broken: bool) -> Ends:
    """The ends with the bound before them if it was refuted, and among them if it was not."""
    low, high = ends
    if up:
        low = max(low, math.nextafter(bound, math.inf)) if broken else min(low, bound)
        return low, max(low, high)
    high = min(high, math.nextafter(bound, -math.inf)) if broken else max(high, bound)
    return min(low, high), high


def _levels(evidence: Evidence, claim: Claim) -> Ends:
    """Of the lower and the upper end."""
    alarm = evidence.alpha_of(claim)
    return (alarm, evidence.alpha) if claim.up else (evidence.alpha, alarm)


def _own(evidence: Evidence, claim: Claim) -> Ends | None:
    """Of the candidate's own value."""
    levels = _levels(evidence, claim)
    if claim.kind == Kind.QUANTILE:
        sample, worth = evidence.totals.candidate.samples.get(claim.gate.sample), evidence.worth.get(claim.name) or Worth()
        if sample is None or not sample.n:
            return None
        return quantile_bounds(sample, claim.gate.quantile or 0.5, levels, worth.effect)
    if claim.kind == Kind.MEAN:
        means, worth = evidence.means.get(claim.name), evidence.worth.get(claim.name) or Worth()
        if means is None or not means.ready(relative=False):
            return None

        def beyond(bar: float, up: bool, alpha: float) -> bool:
            effect = worth.effect if up == claim.up else worth.strict
            return means.evidence(bar, up, False, alpha, effect) >= -math.log(alpha)

        return inverted(beyond, levels, stretched, (-math.inf, math.inf))
    found = bounded(evidence, claim)
    if found is None or not found.candidate[1]:
        return None
    stake = math.log(FIRST) if evidence.live else 0.0

    def more(bar: float, up: bool, alpha: float) -> bool:
        return against(claim, bar, up, found.candidate) + (stake if up == claim.up else 0.0) >= -math.log(alpha)

    if claim.kind == Kind.COUNT:
        return inverted(more, levels, lambda t: math.exp(23 * t), (0.0, math.inf))
    return inverted(more, levels, lambda t: 1 / (1 + math.exp(-23 * t)), (0.0, 1.0))


def _compared(evidence: Evidence, claim: Claim) -> Ends | None:
    """Of the effect."""
    totals, levels = evidence.totals, _levels(evidence, claim)
    if claim.kind == Kind.QUANTILE:
        c, b = (arm.samples.get(claim.gate.sample) or _EMPTY for arm in (totals.candidate, totals.control))
        worth = evidence.worth.get(claim.name) or Worth()
        bounds = ratio_interval(c, b, claim.gate.quantile or 0.5, levels, worth.strict)
        return None if bounds is None else (bounds[0] - 1, bounds[1] - 1)
    if claim.kind == Kind.MEAN:
        refuted = _mean_refuted(evidence, claim)
        return None if refuted is None else inverted(refuted, levels, stretched, (-math.inf, math.inf))
    refuted = _rate_refuted(evidence, claim)
    return None if refuted is None else inverted(refuted, levels, lambda t: math.expm1(math.log(_WIDEST) * t), (-1.0, math.inf))


Refuted = Callable[[float, bool, float], bool]


def _rate_refuted(evidence: Evidence, claim: Claim) -> Refuted | None:
    """Whether "the effect is no more (`up`: at most) than this" is refuted."""
    counts, ledger = counted(evidence, claim), evidence.ledgers.get(claim.name) or Ledger()
    worth = evidence.worth.get(claim.name)
    if counts is None or worth is None or not sum(counts[1]) or not sum(counts[3]):
        return None
    whole, _ = ledger.now(counts)

    def refuted(effect: float, up: bool, alpha: float) -> bool:
        test = BAD if up == claim.up else GOOD
        stake = math.log(FIRST) if evidence.live and test == BAD else 0.0
        by = worth.effect if test == BAD and up else worth.strict
        return said(whole, 1 + effect, by, up=up) + stake >= -math.log(alpha) or _by_look(evidence, claim, test, (1 + effect,))

    return refuted


def _mean_refuted(evidence: Evidence, claim: Claim) -> Refuted | None:
    """Likewise of a mean, of either sign: c > b + e |b| is c > (1 + e) b and c > (1 - e) b, where e is below 0 one of the two."""
    means, worth = evidence.means.get(claim.name), evidence.worth.get(claim.name)
    if means is None or worth is None or not means.ready(relative=True):
        return None

    def refuted(effect: float, up: bool, alpha: float) -> bool:
        test = BAD if up == claim.up else GOOD
        by = worth.effect if test == BAD and up else worth.strict
        both = {1 + effect, 1 - effect}
        found = [means.evidence(bar, up, True, alpha, by) for bar in both]
        sure = min(found) if (effect >= 0) == up or not effect else max(found)
        return sure >= -math.log(alpha) or ((effect >= 0) == up and _by_look(evidence, claim, test, tuple(both)))

    return refuted


def _by_look(evidence: Evidence, claim: Claim, test: str, nulls: tuple[float, ...]) -> bool:
    """Whether the planned look that found most refutes these as well: as long as its counts are the present ones."""
    look = evidence.crossed(claim, test)
    if look is None or z_of_look(evidence, claim, test) != look[0]:
        return False
    z = z_of_look(evidence, claim, test, nulls)
    return z is not None and z > look[1]


def stretched(t: float) -> float:
    """From -1 to 1 to all numbers a mean may be, evenly by their size."""
    return math.copysign(math.expm1(30 * abs(t)) * 1e-6, t)


def inverted(refuted: Refuted, levels: Ends, scale: Callable[[float], float], open: Ends) -> Ends:
    """What is refuted neither as too low nor as too high, along a scale from -1 to 1; `open`: the ends where nothing is refuted."""
    low, high = (_edge(lambda t: refuted(scale(t), up, alpha), up) for up, alpha in zip((True, False), levels, strict=True))  # noqa: B023
    return open[0] if low is None else scale(low), open[1] if high is None else scale(high)


def _edge(refuted: Callable[[float], bool], up: bool) -> float | None:
    """Where on the scale from -1 (up) or 1 (down) it ceases to be refuted; None where it is not even there."""
    low, high = -1.0, 1.0
    if not refuted(low if up else high):
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) == up else (low, middle)
    return low if up else high
