"""When a candidate that is as good as it looks will be proven to be no worse than what matters."""

from __future__ import annotations

import math
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import OVERFLOW, Sample
from progflags.canary.sequential import (
    LEVEL,
    Claim,
    Counts,
    Evidence,
    Worth,
    fresh,
    level,
    log_mean,
    mixture,
    rate_of,
    shift,
    standard,
    stretched,
)

__all__ = ["provable", "proved"]

_EMPTY: Final = Sample()
_ALL: Final = Worth()


def provable(claim: Claim) -> bool:
    """Whether a proof of it can be foreseen."""
    return claim.relative and claim.kind not in {Kind.MEAN, Kind.GAUGE} and claim.gate.anomaly is None


def proved(evidence: Evidence, claim: Claim, scale: float, *, last: float = 0.0) -> bool:
    """
    Whether `scale` times the traffic seen so far, each arm as it is, would prove that the candidate is not worse by what matters.

    The last planned look is taken at `last` times the traffic, or at the end if that comes first; 0: there is none to come.
    """
    totals, gate = evidence.totals, claim.gate
    bar: float = -math.log(evidence.alpha)
    worth = evidence.worth.get(claim.name, _ALL).strict
    if claim.kind == Kind.QUANTILE:
        c, b = (arm.samples.get(gate.sample) or _EMPTY for arm in (totals.candidate, totals.control))
        place = b.place_of(gate.quantile or 0.5)
        if not 0 < place < OVERFLOW:
            return False
        beyond = stretched(c, place, shift(claim.worst_at(b.quantile(gate.quantile or 0.5))))
        counts: Counts = (beyond / worth, c.n / worth, b.above(place) / worth, b.n / worth)
        return beyond >= 0 and _refuted(evidence, claim, counts, 1.0, bar, scale, last)
    (x_c, n_c), (x_b, n_b) = (rate_of(gate, arm) for arm in (totals.candidate, totals.control))
    counts = (x_c / worth, n_c / worth, x_b / worth, n_b / worth)
    little = claim.up and 0 < gate.min_absolute < 1
    bar = bar + math.log(2) if little else bar
    if _refuted(evidence, claim, counts, claim.worst_at(x_b / n_b if n_b else 0.0), bar, scale, last):
        return True
    return little and log_mean(level(fresh(LEVEL), gate.min_absolute, False, scale * counts[0], scale * counts[1])) >= bar


def _refuted(  # noqa: PLR0917 - as proved
    evidence: Evidence, claim: Claim, counts: Counts, worst: float, bar: float, scale: float, last: float
) -> bool:
    """Whether so many times such counts rule out that the candidate is `worst` times the control, or beyond."""
    x_c, n_c, x_b, n_b = counts
    if not n_c or not n_b:
        return False
    kappa = worst * n_c / n_b
    y, other, ratio = (x_b, x_c, 1 / kappa) if claim.up else (x_c, x_b, kappa)
    if mixture([(scale * y, scale * other, ratio)]) >= bar:
        return True
    bounds, there = evidence.bounds_of(claim, proof=True), min(scale, last)
    return bool(bounds) and there > 0 and standard([(there * y, there * other, ratio)]) >= bounds[-1]
