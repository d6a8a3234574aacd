"""What careful people would ask about a plan before it begins. Advice, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from progflags.canary import Kind
from progflags.errors import DefinitionError, Problem
from progflags.flags import Snapshot, circles, suggest
from progflags.rollout._chosen import plan_of
from progflags.rollout._forecast import span
from progflags.rollout._plan import Plan

__all__ = ["Advice", "lint", "lint_snapshot"]

_SHORTEST: Final = 15 * 60.0  # a bake below it misses slow leaks, cache warm-up and most alert windows
_BUSINESS: Final = 60 * 60.0  # a tracked event follows its exposure by minutes to hours
_KNOWN: Final = frozenset({"error_rate", "cpu", "memory", "*"})


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to reconsider: the rule's name, the place in the rollout table, and why."""

    rule: str
    key: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.key))}: {self.message} [{self.rule}]"


def lint(plan: Plan) -> tuple[Advice, ...]:
    """Every piece of advice about `plan`, in the order of the table."""
    return tuple(_advice(plan))


def _advice(plan: Plan) -> Iterator[Advice]:
    risk = plan.profile.partition("@")[0]
    for number, stage in enumerate(plan.stages):
        place = ("stages", number)
        if stage.bake < _SHORTEST and risk != "emergency":
            yield Advice("short-bake", (*place, "bake"), f"{span(stage.bake)} is less than 15m, in which slow failures do not show")
        if not stage.gates:
            yield Advice("no-gate", place, "nothing is judged here: the stage passes by time alone")
        business = [
            gate.metric
            for gate in stage.gates
            if gate.kind is Kind.RATE and gate.metric not in _KNOWN and not gate.metric.endswith("_rate")
        ]
        if business and stage.bake < _BUSINESS:
            yield Advice("short-business", (*place, "bake"), f"{business[0]} follows its exposure late: bake for an hour at least")
        earlier = plan.stages[number - 1].share if number else None
        if earlier is not None and stage.share > 25 * earlier:
            yield Advice("steep", (*place, "percent"), f"{stage.share / earlier:.0f} times the share of the stage before: add one between")
    if risk == "high" and plan.dark_launch is None:
        yield Advice("no-dark-launch", ("dark_launch",), "a high risk is shadowed first: nobody is served what was never run")
    if plan.watch <= 0:
        yield Advice("no-watch", ("watch",), "nobody looks after 100 %, where most of the users are")
    if plan.brake is None:
        yield Advice("no-brake", ("brake",), "a process goes on serving a candidate that fails every call until the next look")


def lint_snapshot(snapshot: Snapshot) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """The rollouts of a whole file: what cannot be carried out, and what to reconsider, each with file, line and key."""
    wrong: list[Problem] = []
    advice: list[Problem] = []
    plans: dict[str, Plan] = {}
    for model in snapshot.flags.values():
        if model.rollout is None:
            continue
        try:
            plan = plan_of(model, snapshot.profiles)
        except DefinitionError as error:
            wrong += error.problems
        else:
            plans[model.key] = plan
            told = (*lint(plan), *_others(plan, snapshot))
            advice += [model.rollout.problem(one.key, one.message, one.rule) for one in told]
    return (*wrong, *_circles(plans, snapshot)), tuple(advice)


def _others(plan: Plan, snapshot: Snapshot) -> Iterator[Advice]:
    """Flags that a plan names and this file says nothing useful about. Another application's file may, on the same store."""
    for word, flags in (("needs", plan.needs), ("conflicts", plan.conflicts)):
        for number, flag in enumerate(flags):
            model = snapshot.flags.get(flag)
            if flag in snapshot.broken or (model is not None and model.rollout is not None):
                continue
            what = f"there is no flag {flag!r} in this file" if model is None else f"{flag!r} has no rollout"
            hint = suggest(flag, [key for key, other in snapshot.flags.items() if other.rollout is not None])
            meant = f" ({hint})" if hint.startswith("did you mean") else ""
            then = "this one waits for ever" if word == "needs" else "nothing is excluded"
            yield Advice(f"unknown-{word}", (word, number), f"{what}{meant}: unless another file on the same store rolls it out, {then}")


def _circles(plans: Mapping[str, Plan], snapshot: Snapshot) -> Iterator[Problem]:
    """Rollouts that wait for each other: none of them would ever begin."""
    for circle in circles({key: plan.needs for key, plan in plans.items() if plan.needs}):
        rollout = snapshot.flags[circle[0]].rollout
        assert rollout is not None
        message = f"rollouts that need each other: {' → '.join(circle)}; none of them would ever begin"
        yield rollout.problem("needs", message, "take one of them out")
