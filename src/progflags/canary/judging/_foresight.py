"""Foresight: when a stage's gates will have seen what matters, at the traffic there is, by the judge's own tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from progflags.canary._gate import ANY, Gate
from progflags.canary._words import Kind, Policy
from progflags.canary.counting import CANDIDATE, CONTROL, OVERFLOW, Sample, Totals, Window
from progflags.canary.judging._estimates import caught, estimate
from progflags.canary.judging._policy import needed, wanted
from progflags.canary.sequential import (
    LEVEL,
    Claim,
    Counts,
    Evidence,
    claims,
    fresh,
    level,
    log_mean,
    mixture,
    rate_of,
    shift,
    standard,
    stretched,
)

__all__ = ["Foreseen", "foresee"]

_FULL: Final = 1_000_000
_NEVER: Final = 1e4  # times the traffic handed in: beyond it the answer is "never"
_EMPTY: Final = Sample()


@dataclass(frozen=True, slots=True)
class Foreseen:
    """
    What one bound of one gate asks to have seen, and the seconds until it will have; infinity: never, None: nothing is known of it yet.

    `asked`: the regression that matters in words ("a rise to ×2", "a rise of 0.1 points"). `waits`: whether the gate's policy waits for it.
    """

    metric: str
    gate: str
    asked: str
    seconds: float | None
    waits: bool


def foresee(
    gates: Sequence[Gate],
    control: Totals,
    *,
    rps: float,
    share: int,
    alpha: float,
    batch: float = 10.0,
    later: Iterable[Gate] = (),
    looks: int = 0,
) -> tuple[Foreseen, ...]:
    """
    When `gates` will have seen what matters at `share` (ppm) of `rps` requests a second that are like `control`.

    A bound that asks for nothing (an anomaly's, a reading's) is left out.
    """
    evidence, seconds = _rehearsed(gates, control, rps, share, alpha, batch, later, looks)
    found = []
    for claim in (claim for gate in gates if gate.metric != ANY for claim in claims(gate)):
        if claim.kind == Kind.GAUGE or claim.gate.anomaly is not None:
            continue
        seen = estimate(evidence, claim)
        known = seconds is not None and seen.canary is not None
        waits = claim.gate.policy in {Policy.DETECTABLE, Policy.PROVEN}
        when = _first(_asks(evidence, claim)) if known else None
        told = None if when is None or seconds is None else when * seconds
        found.append(Foreseen(claim.gate.metric, claim.label, wanted(claim, seen) if known else "", told, waits))
    return tuple(found)


def _rehearsed(  # noqa: PLR0917 - as foresee
    gates: Sequence[Gate], control: Totals, rps: float, share: int, alpha: float, batch: float, later: Iterable[Gate], looks: int
) -> tuple[Evidence, float | None]:
    """Evidence of a healthy candidate with its share of that traffic, whole numbers of it, and the seconds it stands for."""
    if not control.size or rps <= 0:
        return Evidence.start(gates, alpha), None
    whole = math.gcd(share, _FULL)
    plain = replace(control, shards=(), cells={})  # the same calls a thousand times over would look like clusters of a thousand
    arms = {CONTROL: _times(plain, (_FULL - share) // whole), CANDIDATE: _times(plain, share // whole)}
    seconds = control.size * (_FULL // whole) / rps
    evidence = Evidence.start(gates, alpha, later=later, looks=looks)
    # As it will be at the end of the bake: every planned look taken.
    return replace(evidence, totals=Window("", 0, arms), batches=max(1, round(seconds / batch)), look_at=evidence.steps), seconds


def _times(totals: Totals, n: int) -> Totals:
    """`n` times the same, by doubling."""
    result, power = Totals(), totals
    while n:
        if n & 1:
            result = result.merge(power)
        n >>= 1
        if n:
            power = power.merge(power)
    return result


def _asks(evidence: Evidence, claim: Claim) -> Callable[[float], bool]:
    """What the policy of a claim's gate waits for, as a question about that many times the traffic."""
    provable = claim.relative and claim.kind != Kind.MEAN
    if claim.gate.policy == Policy.PROVEN and provable:
        return lambda scale: _proved(evidence, claim, scale)
    regression = needed(claim, estimate(evidence, claim))
    # What is proven needs no visibility: of errors that never occur a proof comes first where the arms are equal.
    return lambda scale: caught(evidence, claim, regression, scale) or (provable and _proved(evidence, claim, scale))


def _proved(evidence: Evidence, claim: Claim, scale: float) -> bool:
    """Whether a candidate just like the control would be proven not to be worse by what matters."""
    totals, gate = evidence.totals, claim.gate
    bar: float = -math.log(evidence.alpha)
    if claim.kind == Kind.QUANTILE:
        c, b = (arm.samples.get(gate.sample) or _EMPTY for arm in (totals.candidate, totals.control))
        place = b.place_of(gate.quantile or 0.5)
        if not 0 < place < OVERFLOW:
            return False
        beyond = stretched(c, place, shift(claim.worst_at(b.quantile(gate.quantile or 0.5))))
        counted = (beyond * scale, c.n * scale, b.above(place) * scale, b.n * scale)
        return beyond >= 0 and _refuted(evidence, claim, counted, 1.0, bar)
    (x_c, n_c), (x_b, n_b) = (rate_of(gate, arm) for arm in (totals.candidate, totals.control))
    counts = (x_c * scale, n_c * scale, x_b * scale, n_b * scale)
    little = claim.up and 0 < gate.min_absolute < 1
    bar = bar + math.log(2) if little else bar
    if _refuted(evidence, claim, counts, claim.worst_at(x_b / n_b if n_b else 0.0), bar):
        return True
    return little and log_mean(level(fresh(LEVEL), gate.min_absolute, False, *counts[:2])) >= bar


def _refuted(evidence: Evidence, claim: Claim, counts: Counts, worst: float, bar: float) -> bool:
    """Whether such counts rule out that the candidate is `worst` times the control, or beyond."""
    x_c, n_c, x_b, n_b = counts
    if not n_c or not n_b:
        return False
    kappa = worst * n_c / n_b
    split = (x_b, x_c, 1 / kappa) if claim.up else (x_c, x_b, kappa)
    bounds = evidence.bounds_of(claim, proof=True)
    return mixture([split]) >= bar or (bool(bounds) and standard([split]) >= bounds[-1])


def _first(enough: Callable[[float], bool]) -> float:
    """The smallest multiple of the traffic that is enough, to two percent; infinity beyond all of it."""
    low, high = 1e-7, 1.0
    while not enough(high):
        low, high = high, high * 8
        if high > _NEVER:
            return math.inf
    if low < 1.0:  # not even the first was too little
        while enough(high / 64) and high > low:
            high /= 64
        low = max(low, high / 64)
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
