"""When a candidate that is as good as it looks will be proven to be no worse than what matters."""

from __future__ import annotations

import math
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import OVERFLOW, Sample
from progflags.canary.judging._catching import Enough
from progflags.canary.sequential import (
    LEVEL,
    Claim,
    Counts,
    Evidence,
    Worth,
    fresh,
    level,
    log_mean,
    rate_of,
    reaches,
    shift,
    standard,
    stretched,
)

__all__ = ["provable", "proving"]

_EMPTY: Final = Sample()
_ALL: Final = Worth()


def provable(claim: Claim) -> bool:
    """Whether a proof of it can be foreseen."""
    return claim.relative and claim.kind not in {Kind.MEAN, Kind.GAUGE} and claim.gate.anomaly is None


def proving(evidence: Evidence, claim: Claim, *, last: float = 0.0) -> Enough:
    """
    Whether so many times the traffic seen so far, each arm as it is, would prove that the candidate is not worse by what matters.

    The last planned look is taken at `last` times the traffic, or at the end if that comes first; 0: there is none to come.
    """
    totals, gate = evidence.totals, claim.gate
    bar: float = -math.log(evidence.alpha)
    worth = evidence.worth.get(claim.name, _ALL).strict
    if claim.kind == Kind.QUANTILE:
        c, b = (arm.samples.get(gate.sample) or _EMPTY for arm in (totals.candidate, totals.control))
        place = b.place_of(gate.quantile or 0.5)
        beyond = stretched(c, place, shift(claim.worst_at(b.quantile(gate.quantile or 0.5)))) if 0 < place < OVERFLOW else -1
        counts: Counts = (beyond / worth, c.n / worth, b.above(place) / worth, b.n / worth)
        return _refuting(evidence, claim, counts, (1.0, bar, last)) if beyond >= 0 else lambda _: False
    (x_c, n_c), (x_b, n_b) = (rate_of(gate, arm) for arm in (totals.candidate, totals.control))
    x, n = x_c / worth, n_c / worth
    little = claim.up and 0 < gate.min_absolute < 1
    bar = bar + math.log(2) if little else bar
    worse = _refuting(evidence, claim, (x, n, x_b / worth, n_b / worth), (claim.worst_at(x_b / n_b if n_b else 0.0), bar, last))
    if not little:
        return worse
    return lambda scale: worse(scale) or log_mean(level(fresh(LEVEL), gate.min_absolute, False, scale * x, scale * n)) >= bar


def _refuting(evidence: Evidence, claim: Claim, counts: Counts, asked: tuple[float, float, float]) -> Enough:
    """Whether so many times such counts rule out that the candidate is `worst` times the control, or beyond. `asked`: worst, bar, last."""
    (x_c, n_c, x_b, n_b), (worst, bar, last) = counts, asked
    if not n_c or not n_b:
        return lambda _: False
    kappa = worst * n_c / n_b
    y, other, ratio = (x_b, x_c, 1 / kappa) if claim.up else (x_c, x_b, kappa)
    bounds = evidence.bounds_of(claim, proof=True)

    def refuted(scale: float) -> bool:
        if reaches([(scale * y, scale * other, ratio)], bar):
            return True
        there = min(scale, last)
        return bool(bounds) and there > 0 and standard([(there * y, there * other, ratio)]) >= bounds[-1]

    return refuted
