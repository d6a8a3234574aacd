"""What a stage will see at its traffic, when, and which share fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from progflags.canary import Foreseen, Gate, Policy, foresee, next_asked
from progflags.rollout.plan._plan import FULL, Plan
from progflags.rollout.plan._traffic import Traffic

__all__ = ["Prospect", "climb", "expected", "fitting", "prospect"]

_PATIENCE: Final = 4  # bakes: what matters is to be seen within so many of them


@dataclass(frozen=True, slots=True)
class Prospect:
    """
    One stage at one share of some traffic.

    `seen`: what each bound asks to have seen, and when. `lasts`: seconds until the stage passes if all is well, infinity: it never
    does. `blind`: the bounds that will not have seen what matters by the time it passes, or ever.
    """

    share: int
    seen: tuple[Foreseen, ...]
    lasts: float
    blind: tuple[Foreseen, ...]
    people: float

    @property
    def sees(self) -> bool:
        return not self.blind


def prospect(
    plan: Plan, number: int, traffic: Traffic, share: int | None = None, *, gone: float = 0.0, proven: AbstractSet[str] = frozenset()
) -> Prospect:
    """
    What stage `number` will be like at `share` (ppm; None: the plan's), `gone` seconds of which earlier stages have served already.

    `proven`: the bounds of which the opposite has been ruled out, for which nobody waits any more.
    """
    stage = plan.stages[number]
    share = stage.share if share is None else share
    later = tuple(gate for other in plan.stages[number + 1 :] for gate in other.gates)
    seen = foresee(
        stage.gates,
        traffic.control,
        rps=traffic.rps,
        share=share,
        alpha=plan.alpha,
        batch=plan.batch_at(number),
        later=later,
        looks=plan.end if plan.look else 0,
        bake=stage.bake,
        worth=traffic.worth,
    )
    seen = tuple(replace(one, seconds=0.0, proof=0.0) if one.gate in proven else one for one in seen)
    fewest = min(share, FULL - share) / FULL * traffic.rps
    lasts = max(stage.bake, stage.min_samples / fewest if fewest else math.inf)
    for one in seen:
        if one.waits and one.seconds is not None:
            lasts = max(lasts, one.seconds - gone)
    lasts = next_asked(lasts, stage.bake)
    blind = tuple(one for one in seen if one.seconds is not None and one.seconds > (stage.deadline if one.waits else stage.bake))
    return Prospect(share, seen, lasts, blind, traffic.people * share / FULL * min(lasts, stage.deadline))


def climb(
    plan: Plan, stage: int, traffic: Traffic, proven: AbstractSet[str] = frozenset(), met: float = 0.0
) -> Iterator[tuple[Plan, Prospect]]:
    """
    `stage` and each after it, one after the other: the plan with the share that each will have, and what it will be like.

    `proven`: what has been ruled out before; `met`: how many people the candidate has met before.
    """
    gone, before = 0.0, None
    for number in range(max(stage, 0), plan.end):
        if number > stage:
            plan = plan.fit(number, fitting(plan, number, traffic, proven, met))
        if before is not None:  # at the same share nothing is served anew: counting goes on
            gone = gone + before.lasts if plan.share(number) == before.share else 0.0
        before = prospect(plan, number, traffic, gone=gone, proven=proven)
        yield plan, before
        # What passes by time may be anything, so nothing is taken for ruled out that nobody has waited for.
        proven = proven | {one.gate for one in before.seen if one.waits and one.proof - gone <= before.lasts < math.inf}
        met += before.people


def expected(
    plan: Plan, stage: int, traffic: Traffic | None, proven: AbstractSet[str] = frozenset(), met: float = 0.0
) -> tuple[float, ...]:
    """Seconds that `stage` and each after it will take if all is well, infinity: for ever. Empty where nobody knows the traffic."""
    return () if traffic is None else tuple(at.warm_up + one.lasts for at, one in climb(plan, stage, traffic, proven, met))


def fitting(plan: Plan, number: int, traffic: Traffic | None, proven: AbstractSet[str] = frozenset(), met: float = 0.0) -> int:
    """
    The share (ppm) that stage `number` begins with: its own, or for one that fits the traffic the smallest rung at which what
    matters is seen within four bakes (where the gates don't wait for that: by the end of the bake).

    If there is none, the one that sees it soonest, so it does before the deadline; where nothing ever will, and where nobody knows
    the traffic, the smallest. Never one that would expose more people than the plan's budget has left after the `met` of the stages
    before, whom it counts anew in each though many are the same.
    """
    stage, before = plan.stages[number], plan.share(number - 1)
    if not stage.rungs:
        return stage.share
    rungs = [rung for rung in stage.rungs if rung >= before] or [max(stage.rungs[-1], before)]
    if traffic is None:
        return rungs[0]
    left = math.inf if plan.max_units is None else max(0.0, plan.max_units - met)
    patience = stage.bake * (_PATIENCE if _waits(stage.gates) else 1)
    found = []
    for rung in rungs:
        one = prospect(plan, number, traffic, rung, proven=proven)
        if one.people <= left and one.sees and one.lasts <= patience:
            return one.share
        found.append(one)
    allowed = [one for one in found if one.people <= left]
    if not allowed:
        return _affordable(found[0], before, left)
    seeing = [one for one in allowed if one.sees and one.lasts < math.inf]
    return min(seeing, key=lambda one: one.lasts).share if seeing else allowed[0].share


def _waits(gates: tuple[Gate, ...]) -> bool:
    return any(gate.policy in {Policy.DETECTABLE, Policy.PROVEN} for gate in gates)


def _affordable(smallest: Prospect, before: int, left: float) -> int:
    """Less than the smallest rung, where already that exposes more people than there is a budget for; the share before it stays."""
    return max(int(smallest.share * left / smallest.people), before, 1)
