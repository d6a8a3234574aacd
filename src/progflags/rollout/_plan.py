"""
The plan of a rollout: its stages, and everything a careful release engineer would have written down beforehand.

A plan is frozen into the rollout's document when it starts. `to_dict` therefore writes every setting out, defaults and
profile included, in the file's own shape: what a later release would default to cannot change a rollout under way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from progflags._clock import seconds
from progflags._json import digest
from progflags.canary import Gate
from progflags.rollout._calendar import Calendar, Freeze, Hours
from progflags.rollout._profiles import choose, profile
from progflags.rollout._table import PlanError, duration, mapping, only, percents, placed, ppm, reading, spelled, truth, whole

__all__ = ["FULL", "BrakeRule", "Plan", "PlanError", "Stage"]

FULL: Final = 1_000_000
"""Everybody, in parts per million."""


@dataclass(frozen=True, slots=True)
class Stage:
    """
    One step of the climb: `share` of the traffic (ppm, below 100 %) bakes for `bake` seconds and is judged at `gates`.

    `min_samples` calls are needed on each arm. Without a verdict `deadline` seconds after its share was set (counted only
    while some controller was alive), `on_insufficient` says what happens. `approval`: a person must agree before it begins.
    """

    share: int
    bake: float
    gates: tuple[Gate, ...] = ()
    min_samples: int = 100
    deadline: float = math.inf
    on_insufficient: str = "hold"
    approval: bool = False
    name: str = ""

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

    def to_dict(self) -> dict[str, Any]:
        return {
            "percent": self.percent,
            "bake": spelled(self.bake),
            "min_samples": self.min_samples,
            "deadline": spelled(self.deadline) if math.isfinite(self.deadline) else None,
            "on_insufficient": self.on_insufficient,
            "approval": self.approval,
            "name": self.name,
            "gates": [_gate_dict(gate) for gate in self.gates],
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


@dataclass(frozen=True, slots=True)
class Plan:
    """
    The stages in order of rising share, the watch after them, and the conditions under which any of it may move.

    Durations are seconds, shares ppm. `dark_launch`: seconds of shadowing that must have been SAFE before anybody is served;
    None: not asked for. `holdback`: ppm of the traffic that stays with the control for good. `alpha` is spent once per
    rollout; with `look`, a fifth of it on watching and the rest on one exact look at the end of each stage's bake, where
    a gate's events allow one. `warm_up`: seconds after each change of share in which the arms are not yet compared and the
    bake does not run, for caches and pools to fill; absolute bounds, and the brake, hold all the same. `batch` and
    `max_gap` are the least and the most time that one look at the evidence accounts for. `variant`: whose rollout it is, the
    candidate's name; empty where the plan was made without its flag.
    """

    stages: tuple[Stage, ...]
    watch: float = 86_400.0
    watch_gates: tuple[Gate, ...] = ()
    alpha: float = 0.05
    batch: float = 10.0
    max_gap: float = 60.0
    cool_down: float = 3_600.0
    look: bool = False
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

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        if any(later <= earlier for earlier, later in pairwise(shares)):
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

    def to_dict(self) -> dict[str, Any]:
        """Every setting in the file's own shape, JSON values only; `Plan.thaw` of it is this plan."""
        return {
            "profile": self.profile,
            "variant": self.variant or None,
            "stages": [stage.to_dict() for stage in self.stages],
            "watch": spelled(self.watch),
            "watch_gates": [_gate_dict(gate) for gate in self.watch_gates],
            "alpha": self.alpha,
            "batch": spelled(self.batch),
            "max_gap": spelled(self.max_gap),
            "cool_down": spelled(self.cool_down),
            "look": self.look,
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
        return digest(self.to_dict())

    @classmethod
    def of(
        cls,
        data: Mapping[str, Any],
        *,
        tags: Sequence[str] = (),
        key: str = "",
        file: str = "",
        rules: Mapping[str, str] = MappingProxyType({}),
    ) -> Plan:
        """
        A plan from a flag's `rollout` table; what the table leaves out comes from its profile (see `choose`).

        Raises:
            PlanError: it cannot be carried out; `.key` is the place in the table.
        """
        only(data, _KEYS)
        with placed("profile"):
            name, base = profile(choose(data.get("profile"), tags, key, file, rules))
        for word in ("needs", "conflicts"):
            if key and key in data.get(word, ()):
                raise PlanError(word, f"{key} can't wait for itself: it would never begin, or never go on")
        return cls.thaw({**base, **{k: v for k, v in data.items() if v is not None}, "profile": name})

    @classmethod
    def thaw(cls, table: Mapping[str, Any]) -> Plan:
        """A plan from `to_dict`, or any table that leaves nothing to a profile: what was frozen at the start of a rollout."""
        with placed("approval"):
            approval = mapping(table.get("approval") or {})
            only(approval, ("before", "two_person"))
            asked = percents(approval.get("before", ()))
            two_person = reading(approval.get("two_person", False), truth, "two_person")
        stages, full = _stages(table, asked)
        return cls(
            stages=stages,
            watch=duration(table, "watch", 86_400.0),
            watch_gates=_gates(table.get("watch_gates", ()), "watch_gates"),
            alpha=reading(table.get("alpha", 0.05), float, "alpha"),
            batch=duration(table, "batch", 10.0),
            max_gap=duration(table, "max_gap", 60.0),
            cool_down=duration(table, "cool_down", 3_600.0),
            look=bool(table.get("look", False)),
            warm_up=duration(table, "warm_up", 0.0),
            brake=_brake(table.get("brake", True)),
            approval_full=full or any(share > (stages[-1].share if stages else 0) for share in asked),
            holdback=reading(table.get("holdback", 0), ppm, "holdback"),
            dark_launch=_dark_launch(table.get("dark_launch")),
            calendar=_calendar(table),
            needs=tuple(table.get("needs", ())),
            conflicts=tuple(table.get("conflicts", ())),
            two_person=two_person,
            profile=str(table.get("profile", "")),
            variant=str(table.get("variant") or ""),
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
_STAGE_KEYS: Final = ["name", "percent", "bake", "min_samples", "deadline", "gates", "on_insufficient", "approval"]
_BAKE: Final = "15m"  # of a stage that does not say; under it, lint has something to say


def _stages(table: Mapping[str, Any], asked: tuple[int, ...]) -> tuple[tuple[Stage, ...], bool]:
    """The stages below 100 %, and whether a written stage of 100 % asks for approval (it means the watch)."""
    found: list[Stage] = []
    full = False
    always = _gates(table.get("gates", ()), "gates")  # the rollout's own gates stand at every stage
    for number, raw in enumerate(table.get("stages", ())):
        with placed(f"stages.{number}"):
            only(raw, _STAGE_KEYS)
            share = reading(raw.get("percent"), ppm, "percent")
            earlier = found[-1].share if found else 0
            # "approve before 10" means the first stage that reaches 10 %, whether or not one has exactly that share.
            approval = bool(raw.get("approval", False)) or any(earlier < at <= share for at in asked)
            if share == FULL and number == len(table["stages"]) - 1:
                full = approval
                continue
            merged = {"deadline": table.get("deadline"), "on_insufficient": table.get("on_insufficient", "hold"), "bake": _BAKE, **raw}
            found.append(
                Stage(
                    share=share,
                    bake=duration(merged, "bake", 0.0),
                    gates=(*_gates(merged.get("gates", ()), "gates"), *always),
                    min_samples=reading(merged.get("min_samples", table.get("min_samples", 100)), whole, "min_samples"),
                    deadline=duration(merged, "deadline", math.inf),
                    on_insufficient=str(merged["on_insufficient"]),
                    approval=approval,
                    name=str(raw.get("name", "")),
                )
            )
    return tuple(found), full


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
    return Gate.of({**_gate_dict(gate), "max_increase": None, "max_decrease": None, "anomaly": None})


def _gate_dict(gate: Gate) -> dict[str, Any]:
    return {name: value for name, value in asdict(gate).items() if value is not None}


def _gates(raw: Sequence[Mapping[str, Any]], key: str) -> tuple[Gate, ...]:
    found = []
    for number, gate in enumerate(raw):
        with placed(f"{key}.{number}"):
            found.append(Gate.of(gate))
    return tuple(found)


def _brake(value: Any) -> BrakeRule | None:
    if value is True or value is False:
        return BrakeRule() if value else None
    with placed("brake"):
        try:
            return BrakeRule(**value)
        except TypeError:
            raise ValueError("it is false, or a table of calls, failures and control") from None


def _dark_launch(value: Any) -> float | None:
    if value is None or value is False:
        return None
    return 0.0 if value is True else float(reading(value, seconds, "dark_launch"))


def _calendar(table: Mapping[str, Any]) -> Calendar:
    with placed("windows"):
        hours = tuple(map(Hours.of, table.get("windows", ())))
    with placed("freeze"):
        return Calendar(hours, tuple(map(Freeze.of, table.get("freeze", ()))))
