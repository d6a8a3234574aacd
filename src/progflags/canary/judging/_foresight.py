"""Foresight: when a stage's gates will have seen what matters, at the traffic there is, by the judge's own tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from progflags.canary._gate import ANY, Gate
from progflags.canary._words import Kind, Policy
from progflags.canary.counting import CANDIDATE, CONTROL, Totals, Window
from progflags.canary.judging._catching import Enough, catching
from progflags.canary.judging._estimates import estimate
from progflags.canary.judging._outside import outside
from progflags.canary.judging._policy import needed, wanted
from progflags.canary.judging._proofs import provable, proving
from progflags.canary.sequential import Evidence, claims

__all__ = ["Foreseen", "foresee"]

_FULL: Final = 1_000_000
_NEVER: Final = 1e4  # times the traffic handed in: beyond it the answer is "never"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """
    What one bound of one gate asks to have seen, and the seconds until it will have; infinity: never, None: nothing is known of it yet.

    `asked`: the regression that matters in words ("a rise to ×2", "a rise of 0.1 points"). `waits`: whether the gate's policy waits for it.
    `proof`: the seconds until it would be ruled out for good, for this stage and all that follow; infinity: it never will.
    """

    metric: str
    gate: str
    asked: str
    seconds: float | None
    waits: bool
    proof: float = math.inf


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
    bake: float = math.inf,
    worth: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Foreseen, ...]:
    """
    When `gates` will have seen what matters at `share` (ppm) of `rps` requests a second that are like `control`.

    `bake`: seconds after which no look is planned any more. `worth`: by metric how many of its requests one independent one is worth.

    A bound that asks for nothing (an anomaly's, a reading's) is left out.
    """
    evidence, seconds = _rehearsed(gates, control, rps, share, alpha, batch, later, looks)
    found = []
    for claim in (claim for gate in gates if gate.metric != ANY for claim in claims(gate)):
        if claim.kind == Kind.GAUGE or claim.gate.anomaly is not None:
            continue
        seen = estimate(evidence, claim)
        waits = claim.gate.policy in {Policy.DETECTABLE, Policy.PROVEN}
        if seconds is None or seen.canary is None:
            found.append(Foreseen(claim.gate.metric, claim.label, "", None, waits))
            continue
        each = seconds * max(1.0, worth.get(claim.gate.metric, 1.0))  # what takes so many times the seconds takes so many times these
        proof = each * _first(proving(evidence, claim, last=bake / each)) if provable(claim) else math.inf
        # Who does not wait for a proof passes without one, so there only what would keep the candidate out is a sight of it.
        when = proof if waits else each * _first(outside(evidence, claim, needed(claim, seen)))
        if claim.gate.policy != Policy.PROVEN or not provable(claim):
            # What is proven needs no visibility: of errors that never occur a proof comes first where the arms are equal.
            when = min(when, each * _first(catching(evidence, claim, needed(claim, seen))))
        found.append(Foreseen(claim.gate.metric, claim.label, wanted(claim, seen), when, waits, proof))
    return tuple(found)


def _rehearsed(  # noqa: PLR0917 - as foresee
    gates: Sequence[Gate], control: Totals, rps: float, share: int, alpha: float, batch: float, later: Iterable[Gate], looks: int
) -> tuple[Evidence, float | None]:
    """Evidence of a healthy candidate with its share of that traffic, whole numbers of it, and the seconds it stands for."""
    if not control.size or rps <= 0:
        return Evidence.start(gates, alpha), None
    whole = math.gcd(share, _FULL)
    # Without their groups: the same calls a thousand times over would look like clusters of a thousand.
    arms = {CONTROL: control.times((_FULL - share) // whole), CANDIDATE: control.times(share // whole)}
    seconds = control.size * (_FULL // whole) / rps
    evidence = Evidence.start(gates, alpha, later=later, looks=looks)
    # As it will be at the end of the bake: every planned look taken.
    return replace(evidence, totals=Window("", 0, arms), batches=max(1, round(seconds / batch)), look_at=evidence.steps), seconds


def _first(enough: Enough) -> float:
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
