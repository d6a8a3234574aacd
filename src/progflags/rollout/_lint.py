"""What careful people would ask about a plan before it begins. Advice, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from progflags._printed import printable
from progflags.canary import Gate, Kind
from progflags.errors import DefinitionError, Problem
from progflags.flags import Snapshot, circles, circular, suggest
from progflags.rollout._chosen import entries, plan_of
from progflags.rollout._forecast import span
from progflags.rollout.plan import PROFILES, Plan, PlanError, risk
from progflags.rollout.state import Record, watched_by

__all__ = ["Advice", "lint", "lint_snapshot", "unstartable"]

_SHORTEST: Final = 15 * 60.0  # a bake below it misses slow leaks, cache warm-up and most alert windows
_BUSINESS: Final = 60 * 60.0  # a tracked event follows its exposure by minutes to hours
_MEASURES: Final = ("error_rate", "cpu", "memory", "event_loop_lag", "mean_latency")
_NEARLY: Final = 0.8  # of difflib's measure: one letter missing, doubled or swapped; "exception_rate" is another metric
_KNOWN: Final = frozenset({"error_rate", "cpu", "memory", "*"})


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to reconsider: the rule's name, the place in the rollout table, and why."""

    rule: str
    key: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return printable(f"{'.'.join(map(str, self.key))}: {self.message} [{self.rule}]")


def lint(plan: Plan) -> tuple[Advice, ...]:
    """Every piece of advice about `plan`, in the order of the table."""
    return tuple(_advice(plan))


def _advice(plan: Plan) -> Iterator[Advice]:
    stakes = risk(plan.profile)
    for number, stage in enumerate(plan.stages):
        place = ("stages", number)
        if stage.bake < _SHORTEST and stakes != "emergency":
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
        yield from _metrics(stage.gates, place)
        earlier = plan.stages[number - 1].share if number else None
        if earlier is not None and stage.share > 25 * earlier:
            yield Advice("steep", (*place, "percent"), f"{stage.share / earlier:.0f} times the share of the stage before: add one between")
    yield from _metrics(plan.watch_gates, ())
    if stakes == "high" and plan.dark_launch is None:
        yield Advice("no-dark-launch", ("dark_launch",), "a high risk is shadowed first: nobody is served what was never run")
    for metric, by in unwatched(plan).items():
        yield Advice("unwatched", ("watch",), f"{metric} is watched by {by} after 100 %: keep a holdback, or bound it with max or min")
    if plan.watch <= 0:
        yield Advice("no-watch", ("watch",), "nobody looks after 100 %, where most of the users are")
    if plan.brake is None:
        yield Advice("no-brake", ("brake",), "a process goes on serving a candidate that fails every call until the next look")


def _metrics(gates: Sequence[Gate], place: tuple[str | int, ...]) -> Iterator[Advice]:
    """Names that are nearly a measure of ours: as the event they would be, nobody may ever track them, and the gate sees nothing."""
    for number, gate in enumerate(gates):
        name, known = (gate.sample, ("latency",)) if gate.kind is Kind.QUANTILE else (gate.metric, _MEASURES)
        near = [] if name in known else get_close_matches(name, known, 1, _NEARLY)
        if near:
            key = (*place, "gates", number, "metric") if place else ("watch_gates", number, "metric")
            yield Advice("metric", key, f"nothing measures {name!r} by itself, you would have to: did you mean {near[0]!r}?")


def unwatched(plan: Plan) -> dict[str, str]:
    """The critical metrics that nothing will watch once everybody has it, where there is a watch."""
    if plan.watch <= 0 or not plan.remember:
        return {}
    critical = {gate.metric for gate in (*plan.all_gates, *plan.gates(plan.end)) if gate.critical}
    return {metric: by for metric, by in watched_by(Record("", plan)).items() if by == "nothing" and metric in critical}


def lint_snapshot(snapshot: Snapshot) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """The rollouts of a whole file: what cannot be carried out, and what to reconsider, each with file, line and key."""
    plans, wrong = _plans(snapshot)
    advice: list[Problem] = []
    for key, plan in plans.items():
        rollout = snapshot.flags[key].rollout
        assert rollout is not None
        told = (*lint(plan), *_others(plan, snapshot))
        advice += [rollout.problem(one.key, one.message, one.rule) for one in told]
    return wrong, tuple(advice)


def unstartable(snapshot: Snapshot | None) -> tuple[Problem, ...]:
    """
    The rollouts of a whole file that could never start, each with file, line and key: `start` would refuse them, or wait for ever.

    Their flags are good and go on being served with the share they have, for that is live state and may have to be taken back.
    """
    return () if snapshot is None else _plans(snapshot)[1]


def _plans(snapshot: Snapshot) -> tuple[Mapping[str, Plan], tuple[Problem, ...]]:
    wrong: list[Problem] = []
    plans: dict[str, Plan] = {}
    for model in snapshot.flags.values():
        if model.rollout is not None:
            try:
                plans[model.key] = plan_of(model, snapshot.profiles)
            except DefinitionError as error:
                wrong += error.problems
    return plans, (*_profiles(snapshot), *wrong, *_circles(plans, snapshot))


def _profiles(snapshot: Snapshot) -> Iterator[Problem]:
    """What is wrong with the file's own profiles, whether a rollout comes from one or not."""
    rules = entries(snapshot.profiles)
    for name, spec in snapshot.profiles.items():
        if isinstance(spec, str) or spec.broken:
            continue
        if name.partition("@")[0] in PROFILES:
            bare = name.partition("@")[0]
            yield spec.problem((), f"{bare!r} is built in", f'give yours another name, and write extends = "{bare}"')
            continue
        try:
            Plan.of({"profile": name}, rules=rules)
        except PlanError as error:
            path = tuple(int(part) if part.isdecimal() else part for part in error.key.split(".") if part)
            place = ("extends",) if path[:1] == ("profile",) else path if path and path[0] in spec.data else ()
            yield spec.problem(place, error.message)


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
        message = f"rollouts that need each other: {circular(circle)}; none of them would ever begin"
        yield rollout.problem("needs", message, "take one of them out")
