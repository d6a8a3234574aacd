"""What a rollout tells people: Transition (one line of its history) and RolloutStatus (where it stands)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from progflags._printed import printable
from progflags.canary import Decision
from progflags.flags import Live
from progflags.rollout._version import Version
from progflags.rollout.state import Record, State, eta, findings, watched_by

__all__ = ["Circumstances", "RolloutStatus", "Transition", "unreadable"]


@dataclass(frozen=True, slots=True)
class Transition:
    """
    One step, as the history keeps it. `revision` numbers a flag's steps 1, 2, 3 … without gaps.

    `percent` is the share after it; `actor` a person's name or `controller`; `evidence` the digest of the verdict it rests
    on, empty where none was needed; `at` wall time, for reading.

        for step in flags.rollouts.history("new-checkout"):
            print(step.revision, step.source, step.target, step.percent, step.actor, step.reason)
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
class Circumstances:
    """
    What is so around a rollout and stands in no record of it: see RolloutStatus.

    `wanted` is why this process wants it rolled back, None where it does not.
    """

    wanted: str | None
    waiting: str
    cool_down: float
    changed: bool
    notes: tuple[str, ...]
    killed: bool
    killed_by: str
    panic: str


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
    file's plan is no longer the one this run was started with. `killed`: the safe variant serves, whatever the share; `panic`:
    so does that of every flag, and this says who wanted it and why, empty while nobody does; `killed_by` says so of a kill; `standing`
    and `stopped` are how all printings say these. `eta`:
    seconds until everybody has it if all is well, people agree at once and the calendar is open, in the watch until that ends; None
    where nobody knows the traffic yet, where what matters will never be seen, and where nothing moves. `design_effect`: by metric,
    how many of its requests one independent request is worth.
    `watched_by`: by metric what it is held against after 100 %: `control` (a holdback), `remembered` (the control as it was), `bound`,
    or `nothing`. `change`: what is delivered is another definition, called so by its digest; empty: a variant of the file's. `version`:
    what a verb's `seen=` takes, to be refused where it is another by then.

        status = flags.rollouts.status("new-checkout")
        print(status)                                           # all there is to know, for people
        status.state, status.stage, status.percent, status.eta
        status.verdict, status.why, status.waiting              # why it does not climb
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
    panic: str = ""
    eta: float | None = None
    killed_by: str = ""
    watched_by: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Transition, ...] = ()
    notes: tuple[str, ...] = ()
    design_effect: Mapping[str, float] = field(default_factory=dict)
    version: str = ""
    change: str = ""

    @classmethod
    def of(cls, record: Record, here: Circumstances, history: tuple[Transition, ...], *, whole: bool = True) -> RolloutStatus:
        """Of a record as it is stored, in the circumstances of this process. `whole`: with what takes the judge a while to say."""
        stored, wanted = _stored(record), here.wanted
        if whole:
            worth = {} if record.evidence is None else record.evidence.design_effects
            stored = replace(stored, findings=findings(record), design_effect=worth, watched_by=watched_by(record))
        if wanted is not None:
            stored = replace(stored, state=State.ROLLING_BACK, reason=wanted, eta=None, pending=True)
        return replace(
            stored,
            waiting=here.waiting,
            cool_down=here.cool_down,
            changed=here.changed,
            killed=here.killed,
            killed_by=here.killed_by,
            panic=here.panic,
            notes=(*here.notes, *stored.notes),
            history=history,
            version=str(Version(record.run, record.number, here.killed)),
        )

    @property
    def stopped(self) -> str:
        """Who has the safe variant served whatever the state, and why: `panic by …`, `killed by …`; empty where nobody does."""
        panic = [f"panic by {self.panic}"] if self.panic else []
        return "; ".join([*panic, *([f"killed by {self.killed_by or 'somebody'}"] if self.killed else [])])

    @property
    def standing(self) -> str:
        """What every printing calls it: `panic` or `killed`, and only where neither is so the state alone: "killed, ramping"."""
        switch = "panic" if self.panic else "killed" if self.killed else ""
        return f"{switch}, {self.state}" if switch else str(self.state)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `standing` and `stopped` among them."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {
            **plain,
            "standing": self.standing,
            "stopped": self.stopped,
            "samples": dict(self.samples),
            "design_effect": dict(self.design_effect),
            "watched_by": dict(self.watched_by),
            "findings": [dict(finding) for finding in self.findings],
            "notes": list(self.notes),
            "history": [step.to_dict() for step in self.history],
        }

    def __str__(self) -> str:
        """One line: flag, state, share, and what it waits for."""
        where = "" if self.stage is None else f" stage {self.stage + 1}/{self.stages}"
        bake = f", {self.bake_left:.0f} s to bake" if self.bake_left and self.stage is not None else ""
        judged = self.verdict is not None and self.stage is not None  # once it has ended, the last step's reason says more
        said = [self.stopped, *([f"new definition {self.change}"] if self.change else [])]
        said += ["not stored yet"] if self.pending else []
        said += ["the file's plan is another by now"] if self.changed else []
        said += [self.waiting or (self.why if judged else self.reason)]
        why = "; ".join(one for one in said if one)
        return printable(f"{printable(self.flag, 240)}: {self.standing}{where} at {self.percent:g} %{bake}{f' ({why})' if why else ''}")


def _stored(record: Record) -> RolloutStatus:
    """What the record alone says, at once."""
    plan, verdict = record.plan, record.verdict or {}
    word = verdict.get("decision")
    return RolloutStatus(
        flag=record.flag,
        state=record.state,
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
        findings=(),
        notes=tuple(map(str, verdict.get("notes", ()))),
        reason=record.reason,
        actor=record.moved_by,
        run=record.run,
        profile=plan.profile,
        reach=record.reach / 10_000,
        eta=eta(record),
        change="" if record.edit is None else record.edit.name,
    )


def unreadable(flag: str, live: Live, why: str, *, killed_by: str, panic: str) -> RolloutStatus:
    """Of a rollout whose record can't be read here: held, at the share that is served; `waiting` says why, and what works."""
    return RolloutStatus(
        flag=flag,
        state=State.HELD,
        stage=None,
        stages=0,
        percent=(live.share or 0) / 10_000,
        since=0.0,
        bake=0.0,
        baked=0.0,
        bake_left=0.0,
        samples={},
        min_samples=0,
        verdict=None,
        why="",
        findings=(),
        reason=why,
        actor="",
        run=live.run,
        profile="",
        reach=(live.share or 0) / 10_000,
        waiting=f"{why}; a kill works all the same",
        killed=live.killed is not None,
        killed_by=killed_by,
        panic=panic,
        version=str(Version(live.run, 0, live.killed is not None)),
    )
