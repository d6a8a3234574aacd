"""What a stage will see at its traffic, when, and which share fits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from progflags.canary import Foreseen, Gate, Policy, foresee, next_asked
from progflags.rollout.plan._plan import FULL, Plan
from progflags.rollout.plan._traffic import Traffic

__all__ = ["Prospect", "expected", "fitting", "prospect"]

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


def prospect(plan: Plan, number: int, traffic: Traffic, share: int | None = None, *, gone: float = 0.0) -> Prospect:
    """What stage `number` will be like at `share` (ppm; None: the plan's), `gone` seconds of which earlier stages have served already."""
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
    )
    fewest = min(share, FULL - share) / FULL * traffic.rps
    lasts = max(stage.bake, stage.min_samples / fewest if fewest else math.inf)
    for one in seen:
        if one.waits and one.seconds is not None:
            lasts = max(lasts, one.seconds - gone)
    lasts = next_asked(lasts, stage.bake)
    blind = tuple(one for one in seen if one.seconds is not None and one.seconds > (stage.deadline if one.waits else stage.bake))
    return Prospect(share, seen, lasts, blind, traffic.people * share / FULL * min(lasts, stage.deadline))


def expected(plan: Plan, stage: int, traffic: Traffic | None) -> tuple[float, ...]:
    """Seconds that `stage` and each after it will take if all is well, infinity: for ever. Empty where nobody knows the traffic."""
    if traffic is None:
        return ()
    found: list[float] = []
    gone = 0.0
    for number in range(max(stage, 0), plan.end):
        if number > stage:
            plan = plan.fit(number, fitting(plan, number, traffic))
            gone = gone + found[-1] if plan.share(number) == plan.share(number - 1) else 0.0  # nothing is served anew: counting goes on
        found.append(plan.warm_up + prospect(plan, number, traffic, gone=gone).lasts)
    return tuple(found)


def fitting(plan: Plan, number: int, traffic: Traffic | None) -> int:
    """
    The share (ppm) that stage `number` begins with: its own, or for one that fits the traffic the smallest rung at which what
    matters is seen within four bakes (where the gates don't wait for that: by the end of the bake).

    If there is none, the one that sees it soonest, so it does before the deadline; where nothing ever will, and where nobody knows
    the traffic, the smallest. Never one that would expose more people than the plan has a budget for.
    """
    stage, before = plan.stages[number], plan.share(number - 1)
    if not stage.rungs:
        return stage.share
    rungs = [rung for rung in stage.rungs if rung >= before] or [max(stage.rungs[-1], before)]
    if traffic is None:
        return rungs[0]
    found = [prospect(plan, number, traffic, rung) for rung in rungs]
    allowed = [one for one in found if plan.max_units is None or one.people <= plan.max_units]
    if not allowed:
        return _affordable(plan, found[0], before)
    for one in allowed:
        if not one.blind and one.lasts <= max(stage.bake, _PATIENCE * stage.bake if _waits(stage.gates) else 0.0):
            return one.share
    seeing = [one for one in allowed if not one.blind and one.lasts < math.inf]
    return min(seeing, key=lambda one: one.lasts).share if seeing else allowed[0].share


def _waits(gates: tuple[Gate, ...]) -> bool:
    return any(gate.policy in {Policy.DETECTABLE, Policy.PROVEN} for gate in gates)


def _affordable(plan: Plan, smallest: Prospect, before: int) -> int:
    """Less than the smallest rung, where already that exposes more people than there is a budget for."""
    share = int(smallest.share * (plan.max_units or 0) / smallest.people)
    return max(share, before, 1)
