"""Whether a regressed candidate would look regressed: what keeps it out where a gate waits neither for an alarm nor for a proof."""

from __future__ import annotations

import math
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import OVERFLOW, Sample
from progflags.canary.judging._catching import Enough
from progflags.canary.sequential import Claim, Evidence, Worth, margin, rate_of, shift, stretched

__all__ = ["outside"]

_SURE: Final = 1.2815515655446004  # standard normal quantile of 90 %: at most one such candidate in ten is to get through
_EMPTY: Final = Sample()
_ALL: Final = Worth()


def outside(evidence: Evidence, claim: Claim, regression: float) -> Enough:
    """
    Whether the estimate of a candidate worse by `regression` (a fraction) lies outside its bound, nine times out of ten, with so many
    times the traffic seen so far.

    Never where `min_absolute` is what matters: half of the candidates that are worse by just that look better than that. Nor of means
    and readings, and of falls and absolute bounds, for which an alarm is the only answer.
    """
    far = _far(evidence, claim, regression)
    return lambda scale: far * math.sqrt(scale) > _SURE


def _far(evidence: Evidence, claim: Claim, regression: float) -> float:
    """How many standard errors such a candidate is expected outside the bound, by the traffic seen so far."""
    if not claim.relative or not claim.up or regression > claim.gate.detect(up=True):
        return 0.0
    control, candidate, least = evidence.totals.control, evidence.totals.candidate, claim.gate.min_absolute
    if claim.kind == Kind.RATE:
        (x, n_b), (_, n_c) = rate_of(claim.gate, control), rate_of(claim.gate, candidate)
        if not x or not n_c:
            return 0.0
        usual = x / n_b
        allowed = max(usual * claim.null, usual + least)
        worse, slope = min(1.0, usual * (1 + regression)), allowed / usual
    elif claim.kind == Kind.QUANTILE:
        b, c = (arm.samples.get(claim.gate.sample) or _EMPTY for arm in (control, candidate))
        n_b, n_c, q = b.n, c.n, claim.gate.quantile or 0.5
        if not n_b or not n_c or not 0 < b.quantile(q) < math.inf:
            return 0.0
        there = b.snapped(b.place_of(q) + max(margin(claim), shift(1 + least / b.quantile(q))), up=True)
        beyond = stretched(b, there, -shift(1 + regression)) if 0 < there < OVERFLOW else -1
        usual = allowed = 1 - q
        worse, slope = max(beyond, 0) / n_b, max(beyond, 0) / n_b / usual  # the control's quantile is as uncertain as its tail
    else:
        return 0.0
    noise = worse * (1 - worse) / n_c + slope**2 * usual * (1 - usual) / n_b
    return (worse - allowed) / math.sqrt(evidence.worth.get(claim.name, _ALL).effect * noise) if noise else 0.0
