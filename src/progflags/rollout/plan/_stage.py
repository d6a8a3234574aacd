"""The stages of a plan: one step of the climb each, at a percent of its own or at the one that fits the traffic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from progflags.canary import Gate
from progflags.rollout.plan._table import PlanError, duration, only, percents, placed, ppm, reading, spelled, whole

__all__ = ["AUTO", "FULL", "BrakeRule", "Stage", "brake_of", "gate_dict", "gates_of", "stages_of"]

FULL: Final = 1_000_000
"""Everybody, in parts per million."""


AUTO: Final = "auto"
"""What a stage says for a percent that fits the traffic."""

_LADDER: Final = tuple(percent * 10_000 for percent in (1, 2, 5, 10, 20, 50))


@dataclass(frozen=True, slots=True)
class Stage:
    """
    One step of the climb: `share` of the traffic (ppm, below 100 %) bakes for `bake` seconds and is judged at `gates`.

    `min_samples` calls are needed on each arm. Without a verdict `deadline` seconds after its share was set (counted only
    while some controller was alive), `on_insufficient` says what happens. `approval`: a person must agree before it begins.

    With `rungs` (ppm, rising) the percent fits the traffic: `share` is the first of them until the stage begins, and from then on
    the one chosen.
    """

    share: int
    bake: float
    gates: tuple[Gate, ...] = ()
    min_samples: int = 100
    deadline: float = math.inf
    on_insufficient: str = "hold"
    approval: bool = False
    name: str = ""
    rungs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.share < FULL:
            raise PlanError("percent", "a stage has a percent above 0 and below 100: at 100 no control arm is left to compare with")
        if self.min_samples < 0:
            raise PlanError("min_samples", "a count of calls is 0 or more")
        if self.on_insufficient not in ("hold", "rollback"):
            raise PlanError("on_insufficient", f'it is "hold" or "rollback", not {self.on_insufficient!r}')
        if self.deadline < self.bake:
            raise PlanError("deadline", f"it passes after {self.deadline:g} s, before the bake of {self.bake:g} s can end: lengthen it")

    @property
    def percent(self) -> float:
        return self.share / 10_000

    @property
    def blank(self) -> Stage:
        """As it was written, before a percent was chosen."""
        return replace(self, share=self.rungs[0]) if self.rungs else self

    def to_dict(self) -> dict[str, Any]:
        fits = {"percent": AUTO, "rungs": [rung / 10_000 for rung in self.rungs], "chosen": self.percent} if self.rungs else None
        return {
            **(fits or {"percent": self.percent}),
            "bake": spelled(self.bake),
            "min_samples": self.min_samples,
            "deadline": spelled(self.deadline) if math.isfinite(self.deadline) else None,
            "on_insufficient": self.on_insufficient,
            "approval": self.approval,
            "name": self.name,
            "gates": [gate_dict(gate) for gate in self.gates],
        }


@dataclass(frozen=True, slots=True)
class BrakeRule:
    """
    When one process stops serving a candidate by itself: it blew up, and it alone.

    At least `calls` candidate calls in the last ten seconds, at least the share `failures` of them failed, and the
    control's failure share below `control` times the candidate's (else the neighbourhood is on fire, not the candidate).
    """

    calls: int = 20
    failures: float = 0.5
    control: float = 0.25

    def __post_init__(self) -> None:
        if self.calls < 1 or not 0 < self.failures <= 1 or not 0 < self.control <= 1:
            raise PlanError("", "calls is at least 1, failures and control are shares above 0 and up to 1")

    def pulled(self, candidate: tuple[int, int], control: tuple[int, int]) -> bool:
        """Whether (calls, failures) of both arms mean: stop."""
        calls, failed = candidate
        if calls < self.calls or failed < self.failures * calls:
            return False
        return control[0] == 0 or control[1] / control[0] < self.control * failed / calls


_FITTING: Final = ("at_least", "rungs", "chosen")  # the last two as a plan is frozen, never in a file
_STAGE_KEYS: Final = ["name", "percent", "bake", "min_samples", "deadline", "gates", "on_insufficient", "approval", *_FITTING]
_BAKE: Final = "15m"  # of a stage that does not say; under it, lint has something to say


def stages_of(table: Mapping[str, Any], asked: tuple[int, ...]) -> tuple[tuple[Stage, ...], bool]:
    """The stages below 100 %, and whether a written stage of 100 % asks for approval (it means the watch)."""
    found: list[Stage] = []
    full = False
    always = gates_of(table.get("gates", ()), "gates")  # the rollout's own gates stand at every stage
    for number, raw in enumerate(table.get("stages", ())):
        with placed(f"stages.{number}"):
            only(raw, _STAGE_KEYS)
            earlier = found[-1].share if found else 0
            rungs = _rungs(raw, found)
            share = reading(raw["chosen"], ppm, "chosen") if "chosen" in raw else rungs[0] if rungs else _percent(raw)
            # "approve before 10" means the first stage that reaches 10 %, whether or not one has exactly that share.
            approval = bool(raw.get("approval", False)) or any(earlier < at <= (rungs[0] if rungs else share) for at in asked)
            if share == FULL and number == len(table["stages"]) - 1:
                full = approval
                continue
            merged = {"deadline": table.get("deadline"), "on_insufficient": table.get("on_insufficient", "hold"), "bake": _BAKE, **raw}
            found.append(
                Stage(
                    share=share,
                    bake=duration(merged, "bake", 0.0),
                    gates=(*gates_of(merged.get("gates", ()), "gates"), *always),
                    min_samples=reading(merged.get("min_samples", table.get("min_samples", 100)), whole, "min_samples"),
                    deadline=duration(merged, "deadline", math.inf),
                    on_insufficient=str(merged["on_insufficient"]),
                    approval=approval,
                    name=str(raw.get("name", "")),
                    rungs=rungs,
                )
            )
    return tuple(_bounded(found, asked)), full


def _percent(raw: Mapping[str, Any]) -> int:
    if "at_least" in raw:
        raise PlanError("at_least", f'it is for percent = "{AUTO}": a stage with a percent of its own has just that')
    return int(reading(raw.get("percent"), ppm, "percent"))


def _rungs(raw: Mapping[str, Any], before: Sequence[Stage]) -> tuple[int, ...]:
    """The shares that a stage of percent "auto" may choose from, from its `at_least` on; none for one with a percent of its own."""
    if raw.get("percent") != AUTO:
        return ()
    if "rungs" in raw:
        return percents(raw["rungs"])
    lowest = before[-1].share + 1 if before else 0
    least = reading(raw["at_least"], ppm, "at_least") if "at_least" in raw else lowest
    if least < lowest and "at_least" in raw:
        raise PlanError("at_least", "each stage begins above the one before it")
    found = tuple(sorted({*([least] if "at_least" in raw else ()), *(rung for rung in _LADDER if rung >= least)}))
    if not found or not 0 < found[0] < FULL:
        raise PlanError("percent", f'nothing is left of the ladder for "{AUTO}" above the stage before: give it at_least, or a percent')
    return found


def _bounded(stages: Sequence[Stage], asked: Sequence[int]) -> list[Stage]:
    """Without the rungs that would go beyond a later stage's own percent, or past an approval that is asked for before it."""
    found: list[Stage] = []
    for number, stage in enumerate(stages):
        if stage.rungs:
            later = stages[number + 1 :]
            most = min((other.share for other in later if not other.rungs), default=FULL)
            below = [*(other.rungs[0] if other.rungs else other.share for other in later if other.approval)]
            below += [at for at in asked if at > stage.rungs[0] and at < FULL]
            kept = tuple(rung for rung in stage.rungs if rung <= most and all(rung < at for at in below))
            stage = replace(stage, rungs=kept or stage.rungs[:1])  # noqa: PLW2901 - the same stage, bounded
        found.append(stage)
    return found


def gate_dict(gate: Gate) -> dict[str, Any]:
    return {name: value for name, value in asdict(gate).items() if value is not None}


def gates_of(raw: Sequence[Mapping[str, Any]], key: str) -> tuple[Gate, ...]:
    found = []
    for number, gate in enumerate(raw):
        with placed(f"{key}.{number}"):
            found.append(Gate.of(gate))
    return tuple(found)


def brake_of(value: Any) -> BrakeRule | None:
    if value is True or value is False:
        return BrakeRule() if value else None
    with placed("brake"):
        try:
            return BrakeRule(**value)
        except TypeError:
            raise ValueError("it is false, or a table of calls, failures and control") from None
