"""
The plan of a rollout: its stages, and everything a careful release engineer would have written down beforehand.

A plan is frozen into the rollout's document when it starts. `to_dict` therefore writes every setting out, defaults and
profile included, in the file's own shape: what a later release would default to cannot change a rollout under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from progflags._clock import seconds
from progflags._json import digest
from progflags.canary import Gate
from progflags.flags import Hours
from progflags.rollout.plan._calendar import Calendar, Freeze
from progflags.rollout.plan._memory import remembers
from progflags.rollout.plan._profiles import Entries, choose, over, profile, risk
from progflags.rollout.plan._stage import FULL, BrakeRule, Stage, brake_of, gate_dict, gates_of, stages_of
from progflags.rollout.plan._table import PlanError, duration, mapping, only, percents, placed, ppm, reading, spelled, truth, whole

__all__ = ["FULL", "BrakeRule", "Plan", "PlanError", "Stage"]


# Left whole, though long: a list of settings, and answers of a line or two about them.
@dataclass(frozen=True, slots=True)
class Plan:
    """
    The stages in order of rising share, the watch after them, and the conditions under which any of it may move.

    Durations are seconds, shares ppm. `dark_launch`: seconds of shadowing that must have been SAFE before anybody is served;
    None: not asked for. `holdback`: ppm of the traffic that stays with the control for good. `alpha` is spent once per
    rollout; with `look`, a fifth of it on watching and the rest on planned looks at the twelfths of each stage's bake;
    without, all of it on watching. `warm_up`: seconds after each change of share in which the arms are not yet compared and the
    bake does not run, for caches and pools to fill; absolute bounds, and the brake, hold all the same. `batch` and
    `max_gap` are the least and the most time that one look at the evidence accounts for. `variant`: whose rollout it is, the
    candidate's name; empty where the plan was made without its flag. `max_units`: how many people the stages that choose their own
    percent may expose at the traffic there is; None: no budget. `keep_holdback`: the holdback stays when the watch ends. `remember`:
    the watch is held against the control as it was, and gets absolute bounds from it.
    """

    stages: tuple[Stage, ...]
    watch: float = 86_400.0
    watch_gates: tuple[Gate, ...] = ()
    alpha: float = 0.05
    batch: float = 10.0
    max_gap: float = 60.0
    cool_down: float = 3_600.0
    look: bool = True
    warm_up: float = 0.0
    brake: BrakeRule | None = field(default_factory=BrakeRule)
    approval_full: bool = False
    holdback: int = 0
    dark_launch: float | None = None
    calendar: Calendar = field(default_factory=Calendar)
    needs: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    two_person: bool = False
    profile: str = ""
    variant: str = ""
    max_units: int | None = None
    keep_holdback: bool = True
    remember: bool = False

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        for earlier, later in pairwise(self.stages):
            if later.share < earlier.share or (later.share == earlier.share and not (earlier.rungs or later.rungs)):
                raise PlanError("stages", "each stage's percent is above the one before it")
        if not 0 < self.alpha < 1:
            raise PlanError("alpha", "the chance of a false rollback you accept is above 0 and below 1")
        if not 0 < self.batch <= self.max_gap:
            raise PlanError("batch", "it is above zero and at most max_gap")
        for number, stage in enumerate(self.stages):
            if stage.deadline < self.warm_up + stage.bake:
                needed = f"{self.warm_up:g} s of warm-up and {stage.bake:g} s of bake"
                raise PlanError("warm_up", f"stage {number}'s deadline passes before {needed} can end: lengthen it")
        if not 0 <= self.holdback < FULL:
            raise PlanError("holdback", "a percent from 0 to below 100")
        if shares and shares[-1] >= FULL - self.holdback:
            raise PlanError("holdback", f"the last stage's {shares[-1] / 10_000:g} % leaves less than the holdback outside")

    @property
    def full(self) -> int:
        """The share (ppm) after the last stage: everybody but the holdback."""
        return FULL - self.holdback

    @property
    def final(self) -> int:
        """The share (ppm) once the watch is over."""
        return self.full if self.keep_holdback else FULL

    @property
    def end(self) -> int:
        """The stage number of the watch: one beyond the last stage."""
        return len(self.stages)

    def share(self, stage: int) -> int:
        """The share (ppm) at a stage number: -1 is before the first, `end` after the last."""
        return 0 if stage < 0 else self.stages[stage].share if stage < self.end else self.full

    def bake(self, stage: int) -> float:
        """How long a stage (or the watch) has to bake, in seconds."""
        return 0.0 if stage < 0 else self.stages[stage].bake if stage < self.end else self.watch

    def batch_at(self, stage: int) -> float:
        """The least time between two looks at a stage: ten looks fit into the shortest bake."""
        bake = self.bake(stage)
        return min(self.batch, bake / 10) if bake > 0 else self.batch

    def min_samples(self, stage: int) -> int:
        return self.stages[stage].min_samples if 0 <= stage < self.end else 0

    def asks(self, stage: int) -> bool:
        """Whether a person must agree before `stage` begins."""
        return self.approval_full if stage >= self.end else self.stages[stage].approval

    def gates(self, stage: int) -> tuple[Gate, ...]:
        """The gates of a stage; for the watch its own, else what of the stages' can still be held against something."""
        if stage < 0:
            return ()
        if stage < self.end:
            return self.stages[stage].gates
        return self.watch_gates or _watchable(self.stages, compared=self.holdback > 0)

    @property
    def all_gates(self) -> tuple[Gate, ...]:
        """Every gate of the climb."""
        return tuple(gate for stage in self.stages for gate in stage.gates)

    @property
    def compared(self) -> tuple[Gate, ...]:
        """What the watch holds against the control as it was: its own gates, else the stages', one of each metric and direction."""
        asked = self.watch_gates or self.all_gates
        each = (one for gate in asked for one in gate.each)
        found = {(gate.metric, gate.max_increase is not None): gate for gate in each if remembers(gate)}
        return tuple(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Every setting in the file's own shape, JSON values only; `Plan.thaw` of it is this plan."""
        return {
            "profile": self.profile,
            "variant": self.variant or None,
            "stages": [stage.to_dict() for stage in self.stages],
            "watch": spelled(self.watch),
            "watch_gates": [gate_dict(gate) for gate in self.watch_gates],
            "alpha": self.alpha,
            "batch": spelled(self.batch),
            "max_gap": spelled(self.max_gap),
            "cool_down": spelled(self.cool_down),
            "look": self.look,
            "max_units": self.max_units,
            "keep_holdback": self.keep_holdback,
            "remember": self.remember,
            "warm_up": spelled(self.warm_up),
            "brake": asdict(self.brake) if self.brake else False,
            "approval": {"before": [100] if self.approval_full else [], "two_person": self.two_person},
            "holdback": self.holdback / 10_000,
            "dark_launch": False if self.dark_launch is None else spelled(self.dark_launch),
            "windows": [hours.to_dict() for hours in self.calendar.hours],
            "freeze": [freeze.to_dict() for freeze in self.calendar.freezes],
            "needs": list(self.needs),
            "conflicts": list(self.conflicts),
        }

    @property
    def digest(self) -> str:
        """What tells this plan from an edited one."""
        return digest(self.blank.to_dict())

    @property
    def blank(self) -> Plan:
        """As it was written, before the percents that fit the traffic were chosen."""
        return replace(self, stages=tuple(stage.blank for stage in self.stages))

    def fit(self, stage: int, share: int) -> Plan:
        """With `share` (ppm) chosen for a stage that fits the traffic, and no later one of them below it."""

        def at(number: int, one: Stage) -> Stage:
            if number == stage:
                return replace(one, share=share)
            return replace(one, share=max(one.share, share)) if number > stage and one.rungs else one

        return replace(self, stages=tuple(at(number, one) for number, one in enumerate(self.stages)))

    @classmethod
    def of(
        cls,
        data: Mapping[str, Any],
        *,
        tags: Sequence[str] = (),
        key: str = "",
        file: str = "",
        rules: Entries = MappingProxyType({}),
        owner: str = "",
    ) -> Plan:
        """
        A plan from a flag's `rollout` table; what the table leaves out comes from its profile (see `choose`). `rules` is the file's
        `[profiles]`: pattern → profile, or the name of one of its own → its table.

        Raises:
            PlanError: it cannot be carried out; `.key` is the place in the table.
        """
        only(data, _KEYS)
        with placed("profile"):
            name, base = profile(choose(data.get("profile"), tags, key, file, rules, owner=owner), rules)
        for word in ("needs", "conflicts"):
            if key and key in data.get(word, ()):
                raise PlanError(word, f"{key} can't wait for itself: it would never begin, or never go on")
        table = {"keep_holdback": False, "remember": True, **over(base, data), "profile": name}
        table.pop("own_stages", None)
        plan = cls.thaw(table)
        if plan.remember and plan.watch > 0 and not plan.watch_gates and not plan.holdback and not any(map(_watches, plan.all_gates)):
            # Nothing of what the stages judge can be watched without a control; what watches everybody is the profile's then.
            plan = replace(plan, watch_gates=_usual(base) or _usual(profile(risk(name))[1]))
        return plan

    @classmethod
    def thaw(cls, table: Mapping[str, Any]) -> Plan:
        """A plan from `to_dict`, or any table that leaves nothing to a profile: what was frozen at the start of a rollout."""
        with placed("approval"):
            approval = mapping(table.get("approval") or {})
            only(approval, ("before", "two_person"))
            asked = percents(approval.get("before", ()))
            two_person = reading(approval.get("two_person", False), truth, "two_person")
        stages, full = stages_of(table, asked)
        return cls(
            stages=stages,
            watch=duration(table, "watch", 86_400.0),
            watch_gates=gates_of(table.get("watch_gates", ()), "watch_gates"),
            alpha=reading(table.get("alpha", 0.05), float, "alpha"),
            batch=duration(table, "batch", 10.0),
            max_gap=duration(table, "max_gap", 60.0),
            cool_down=duration(table, "cool_down", 3_600.0),
            look=bool(table.get("look", True)),
            warm_up=duration(table, "warm_up", 0.0),
            brake=brake_of(table.get("brake", True)),
            approval_full=full or any(share > (stages[-1].share if stages else 0) for share in asked),
            holdback=reading(table.get("holdback", 0), ppm, "holdback"),
            dark_launch=_dark_launch(table.get("dark_launch")),
            calendar=_calendar(table),
            needs=tuple(table.get("needs", ())),
            conflicts=tuple(table.get("conflicts", ())),
            two_person=two_person,
            profile=str(table.get("profile", "")),
            variant=str(table.get("variant") or ""),
            keep_holdback=reading(table.get("keep_holdback", True), truth, "keep_holdback"),  # as it was before there was a choice
            remember=reading(table.get("remember", False), truth, "remember"),
            max_units=None if table.get("max_units") is None else reading(table["max_units"], whole, "max_units"),
        )


_KEYS: Final = [
    "profile",
    "variant",
    "stages",
    "gates",
    "min_samples",
    "watch",
    "watch_gates",
    "deadline",
    "on_insufficient",
    "alpha",
    "batch",
    "max_gap",
    "cool_down",
    "look",
    "max_units",
    "keep_holdback",
    "remember",
    "warm_up",
    "brake",
    "approval",
    "holdback",
    "dark_launch",
    "windows",
    "freeze",
    "needs",
    "conflicts",
]


def _watches(gate: Gate) -> bool:
    """Whether a gate still says something when no control is left."""
    return remembers(gate) or gate.max is not None or gate.min is not None


def _usual(base: Mapping[str, Any]) -> tuple[Gate, ...]:
    """What a profile compares, for a watch that would have nothing else to look at."""
    gates = gates_of(base["stages"][-1].get("gates", ()), "gates") if base["stages"] else ()
    return tuple(replace(gate, policy="no_alarm") for gate in gates if gate.anomaly is None)


def _watchable(stages: Sequence[Stage], *, compared: bool) -> tuple[Gate, ...]:
    """The stages' gates that still say something at full share: all of them beside a holdback, else their absolute bounds."""
    found: dict[tuple[str, float | None], Gate] = {}
    for gate in (gate for stage in stages for gate in stage.gates):
        kept = gate if compared else _absolute(gate)
        if kept is not None:
            found[gate.metric, gate.quantile] = kept
    return tuple(found.values())


def _absolute(gate: Gate) -> Gate | None:
    if gate.max is None and gate.min is None:
        return None
    return Gate.of({**gate_dict(gate), "max_increase": None, "max_decrease": None, "anomaly": None})


def _dark_launch(value: Any) -> float | None:
    if value is None or value is False:
        return None
    return 0.0 if value is True else float(reading(value, seconds, "dark_launch"))


def _calendar(table: Mapping[str, Any]) -> Calendar:
    with placed("windows"):
        hours = tuple(map(Hours.of, table.get("windows", ())))
    with placed("freeze"):
        return Calendar(hours, tuple(map(Freeze.of, table.get("freeze", ()))))
