"""What a rollout tells people: Transition (one line of its history) and RolloutStatus (where it stands)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from progflags.canary import Decision
from progflags.rollout._look import findings
from progflags.rollout._record import Record
from progflags.rollout._state import State

__all__ = ["RolloutStatus", "Transition"]


@dataclass(frozen=True, slots=True)
class Transition:
    """
    One step, as the history keeps it. `revision` numbers a flag's steps 1, 2, 3 … without gaps.

    `percent` is the share after it; `actor` a person's name or `controller`; `evidence` the digest of the verdict it rests
    on, empty where none was needed; `at` wall time, for reading.
    """

    flag: str
    revision: int
    source: State
    target: State
    percent: float
    actor: str
    reason: str
    evidence: str
    at: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; source and target are spelled `from` and `to`."""
        fields = asdict(self)
        return {
            "flag": fields.pop("flag"),
            "revision": fields.pop("revision"),
            "from": fields.pop("source"),
            "to": fields.pop("target"),
            **fields,
        }

    @classmethod
    def of(cls, flag: str, body: Mapping[str, Any]) -> Transition:
        """From the body of an entry in the store."""
        return cls(
            flag,
            int(body["number"]),
            State(body["from"]),
            State(body["to"]),
            float(body["percent"]),
            str(body["actor"]),
            str(body["reason"]),
            str(body["evidence"]),
            float(body["at"]),
        )


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """
    Where a rollout stands.

    `stage` counts from 0; None before the start, during the watch and after the end. `percent` is the share in the store.
    `since`: wall time of the last step. `bake`, `baked`, `bake_left`: seconds. `samples`: calls per arm in this stage.
    `verdict`: PASS, HOLD or ROLLBACK of the last judgement, `findings` one dict per metric, `why` its sentence, `notes` what
    the checks of the data advise. `waiting`:
    why it may not climb just now (a window, a freeze, a rollout it needs), empty otherwise. `cool_down`: seconds until a
    retry is possible without force. `pending`: a rollback this process knows of and the store does not yet. `changed`: the
    file's plan is no longer the one this run was started with. `killed`: the safe variant serves, whatever the share.
    """

    flag: str
    state: State
    stage: int | None
    stages: int
    percent: float
    since: float
    bake: float
    baked: float
    bake_left: float
    samples: Mapping[str, int]
    min_samples: int
    verdict: Decision | None
    why: str
    findings: tuple[Mapping[str, Any], ...]
    reason: str
    actor: str
    run: int
    profile: str
    reach: float
    waiting: str = ""
    cool_down: float = 0.0
    pending: bool = False
    changed: bool = False
    killed: bool = False
    history: tuple[Transition, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        record: Record,
        *,
        wanted: str | None,
        waiting: str,
        cool_down: float,
        changed: bool,
        notes: tuple[str, ...] = (),
        killed: bool,
        history: tuple[Transition, ...],
    ) -> RolloutStatus:
        """Of a record as it is stored; `wanted` is why this process wants it rolled back, None where it does not."""
        plan, verdict = record.plan, record.verdict or {}
        word = verdict.get("decision")
        return cls(
            flag=record.flag,
            state=State.ROLLING_BACK if wanted is not None else record.state,
            stage=None if record.stage < 0 or record.stage >= plan.end else record.stage,
            stages=plan.end,
            percent=record.share / 10_000,
            since=record.since,
            bake=plan.bake(record.stage),
            baked=record.baked,
            bake_left=record.bake_left,
            samples=record.samples,
            min_samples=plan.min_samples(record.stage),
            verdict=None if word is None else Decision(word),
            why=str(verdict.get("reason", "")),
            findings=findings(record),
            notes=(*notes, *map(str, verdict.get("notes", ()))),
            reason=record.reason if wanted is None else wanted,
            actor=record.moved_by,
            run=record.run,
            profile=plan.profile,
            reach=record.reach / 10_000,
            waiting=waiting,
            cool_down=cool_down,
            pending=wanted is not None,
            changed=changed,
            killed=killed,
            history=history,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {
            **plain,
            "samples": dict(self.samples),
            "findings": [dict(finding) for finding in self.findings],
            "notes": list(self.notes),
            "history": [step.to_dict() for step in self.history],
        }

    def __str__(self) -> str:
        """One line: flag, state, share, and what it waits for."""
        where = "" if self.stage is None else f" stage {self.stage + 1}/{self.stages}"
        bake = f", {self.bake_left:.0f} s to bake" if self.bake_left and self.stage is not None else ""
        judged = self.verdict is not None and self.stage is not None  # once it has ended, the last step's reason says more
        why = self.waiting or (self.why if judged else self.reason)
        return f"{self.flag}: {self.state}{where} at {self.percent:g} %{bake}{f' ({why})' if why else ''}"
