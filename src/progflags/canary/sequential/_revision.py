"""What happens to evidence between batches: a revision ends, a planned look is due, thresholds are settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from progflags.canary._words import Kind
from progflags.canary.counting import OVERFLOW, Sample
from progflags.canary.sequential._claims import Claim, margin, shift, usual
from progflags.canary.sequential._comparison import Ledger, splits
from progflags.canary.sequential._counted import counted, exact
from progflags.canary.sequential._learned import BAD, GOOD, Learned
from progflags.canary.sequential._planned import standard

__all__ = ["closing", "looking", "placed", "z_of_look"]

E = TypeVar("E", bound=Learned)


def closing(evidence: E, *, stage: bool) -> E:
    """The evidence with the present revision behind it: another share, or (`stage`) another stage as well, makes another stratum."""
    if not evidence.open:
        return evidence
    ledgers = dict(evidence.ledgers)
    for claim in {claim.name: claim for claim in evidence.claims}.values():
        for name, proof in ((claim.name, False), (f"{claim.name}/{GOOD}", True)):
            if name in ledgers:
                counts, known = counted(evidence, claim, proof=proof), exact(evidence, claim, proof=proof)
                ledgers[name] = ledgers[name].close(counts, known, stage=stage)
    kept = {claim.name for claim in evidence.claims}
    for name, ledger in ledgers.items():  # of gates that are not asked about now: nothing new, but their stage is over too
        if stage and name.removesuffix(f"/{GOOD}") not in kept:
            ledgers[name] = ledger.close(None, stage=True)
    means = {name: one.close() for name, one in evidence.means.items()}
    return replace(evidence, ledgers=ledgers, means=means, since={}, restarts={}, open=False, age=0.0)


def looking(evidence: E, due: int) -> E:
    """The evidence with the planned look number `due` taken at every comparison, for an alarm and for a proof."""
    looked = dict(evidence.looked)
    for claim in {claim.name: claim for claim in evidence.claims}.values():
        if not evidence.planned(claim):
            continue
        for test in (BAD, GOOD):
            z = z_of_look(evidence, claim, test)
            if z is None:
                continue
            name, bound = f"{claim.name}/{test}", evidence.bounds_of(claim, proof=test == GOOD)[due - 1]
            before = looked.get(name)
            if before is None or z - bound > before[0] - before[1]:
                looked[name] = (z, bound)
    return replace(evidence, looked=looked)


def z_of_look(evidence: Learned, claim: Claim, test: str, bars: Sequence[float] = ()) -> float | None:
    """
    How far the stage's counts are beyond what a test's null allows, or (`bars`) other nulls; None where they may not speak.

    Of several it is how far they are beyond all of them.
    """
    worth, up = evidence.worth.get(claim.name), claim.up if test == BAD else not claim.up
    if worth is None or (test == BAD and not evidence.independent(claim) and worth.silent(falls=not up or claim.kind == Kind.MEAN)):
        return None
    nulls = bars or _nulls_of(evidence, claim, test)
    if claim.kind == Kind.MEAN:
        effect = worth.effect if test == BAD and up else worth.strict
        found = [z for null in nulls if (z := evidence.means[claim.name].z(null, up, effect)) is not None]
        return min(found) if len(found) == len(nulls) else None
    proof = test == GOOD and claim.kind == Kind.QUANTILE
    name = f"{claim.name}/{GOOD}" if proof else claim.name
    counts, ledger = counted(evidence, claim, proof=proof), evidence.ledgers.get(name) or Ledger()
    if counts is None:
        return None
    _, stage = ledger.now(counts)
    strict = test == GOOD or not up
    effect = 1.0 if evidence.independent(claim) else stage.effect(strict=strict)
    return standard(splits(stage, nulls[0], effect, up=up))


def _nulls_of(evidence: Learned, claim: Claim, test: str) -> tuple[float, ...]:
    """The candidate's rate (or mean) over the control's at the edge of what a test refutes; of exceedances it is in their thresholds."""
    if claim.kind == Kind.QUANTILE:
        return (1.0,)
    if test == BAD:
        return claim.nulls if claim.kind == Kind.MEAN else (claim.null,)
    if claim.kind == Kind.MEAN:
        mean = evidence.means[claim.name].control
        return (claim.worst if mean is None else claim.worst_at(mean),)
    return (claim.worst_at(usual(claim.gate, evidence.totals.control)),)


def placed(evidence: Learned, *, anew: bool = False) -> dict[str, tuple[int, ...]]:
    """
    The thresholds of quantile comparisons, from the control so far, where they are not fixed yet; `anew`: all of them.

    Fixed before anything is held against them, on the edges of the histogram, where counts are exact. Both arms are held to the
    same, so that it need not be the control's quantile exactly.
    """
    places = dict(evidence.places)
    for claim in evidence.claims:
        if claim.kind != Kind.QUANTILE or not claim.relative or (claim.name in places and not anew):
            continue
        quantile = claim.gate.quantile or 0.5
        control = evidence.totals.control.samples.get(claim.gate.sample) or Sample()
        if control.n < evidence.warm:
            continue
        worst = shift(claim.worst_at(control.quantile(quantile)))
        base = control.snapped(control.place_of(quantile), up=not claim.up)
        there = [control.snapped(base + buckets, up=up) for buckets, up in ((margin(claim), claim.up), (worst, not claim.up))]
        if all(0 < place < OVERFLOW for place in (base, *there)):
            places[claim.name] = (base, *there)
    return places
