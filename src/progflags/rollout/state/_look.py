"""One look at a rollout: what came in since the last, what the judge says of it, and every step that follows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from progflags.canary import Decision, Verdict, Window, asked, bounded, judge, whole
from progflags.rollout.plan import fitting, prospect
from progflags.rollout.state._course import worth_bounding
from progflags.rollout.state._decide import Move, Sight, advance, decide
from progflags.rollout.state._gathered import added, looked, remembering
from progflags.rollout.state._pace import expecting, known, proven
from progflags.rollout.state._record import Record
from progflags.rollout.state._state import State

__all__ = ["blocked", "findings", "look", "rivals", "settle"]

_ENDLESS = 16  # no chain of small steps is that long; a table that made one would be wrong, and must not hang a tick


def look(record: Record, window: Window, step: float, sight: Sight) -> tuple[Record, Sight, Verdict | None]:
    """The record with the batch since its last window, which took `step` seconds, and the sight with the verdict on it."""
    batch = window if record.window is None else window.minus(record.window)
    sampled = record.sampled(batch.samples("control"), batch.samples("candidate"))
    before, passed = record.baked, record.verdict is not None and record.verdict["decision"] == Decision.PASS
    record = looked(added(record, window, batch, step))
    evidence = record.evidence
    if evidence is None:
        return record, replace(sight, sampled=sampled), None
    told_of = _told_of(record, fresh=sampled)
    bake: float = told_of["bake"]
    # What has passed and may not climb yet, for the calendar is closed, is asked at every look: it can only lose by that.
    if not (passed or asked(before, record.baked, bake)):
        told_of["asking"] = False
    verdict = judge(evidence, **told_of)
    # Told in brief while it holds, for the searches behind an interval cost ten times the judgement: `findings` does them when somebody
    # asks. A verdict that ends a stage is told whole, for the evidence goes on to other gates.
    # What the judge was asked stands beside what it said: with the evidence in the same document, that is all a replay needs.
    told = {**verdict.to_dict(brief=verdict.decision is Decision.HOLD), "asked": told_of}
    asks = told_of.get("asking", True) and record.baked >= bake
    fits = _fits(record) if asks and verdict.decision is Decision.HOLD else 0
    if record.recent[-1][0] <= step or not record.expects:  # every five minutes, and once it is known at all
        record = expecting(record)
    record = remembering(record, batch, sight.now, step)
    broken = ""
    if record.memory is not None and record.memory.broken and not verdict.integrity.get("rejected_failed"):
        told["findings"] += record.memory.findings()
        broken = next(iter(record.memory.broken.values()))
        told |= {"decision": str(Decision.ROLLBACK), "reason": broken}
    if record.drift is not None:
        drift = record.drift.look(evidence.totals)
        record = replace(record, drift=drift)
        told["findings"] += drift.findings()
    wanted = worth_bounding(told["findings"], (record.verdict or {}).get("findings", ()))
    course = record.course.add(sight.now, told["findings"], bounded(evidence, wanted))
    return (
        replace(record, verdict=told, course=course),
        replace(sight, sampled=sampled, verdict=verdict.decision, why=verdict.reason, fits=fits, broken=broken),
        verdict,
    )


def _told_of(record: Record, *, fresh: bool) -> dict[str, Any]:
    """What the judge is asked with, beside the evidence."""
    return {
        "baked": record.baked,
        "bake": 0.0 if record.waived else record.plan.bake(record.stage),
        "min_samples": record.plan.min_samples(record.stage),
        "fresh": fresh,
        "share": record.share / 1_000_000 if 0 < record.share < 1_000_000 else None,
    }


def _fits(record: Record) -> int:
    """The share at which this stage would have its answer sooner, by more than it has left where it is."""
    traffic = known(record)
    if traffic is None or record.stage >= record.plan.end or not record.plan.stages[record.stage].rungs:
        return 0
    shown = proven(record)
    share = fitting(record.plan, record.stage, traffic, shown, record.met)
    if share <= record.share:
        return 0
    here, there = (prospect(record.plan, record.stage, traffic, at, proven=shown) for at in (record.share, share))
    return share if there.lasts < here.lasts - record.baked else 0


def findings(record: Record) -> tuple[Mapping[str, Any], ...]:
    """The last verdict's findings, whole."""
    told = () if record.verdict is None else tuple(record.verdict.get("findings", ()))
    return told if record.evidence is None else whole(record.evidence, told)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a chain of small steps comes to rest, and the steps."""

    record: Record
    moves: tuple[Move, ...]


def settle(record: Record, sight: Sight, first: Move | None = None) -> Settled:
    """
    Follow `decide` until it has nothing more to say. `first` is a step somebody asked for.

    A step to another share ends what the sight is worth: evidence about 1 % says nothing about the bake at 10 %.
    """
    moves: list[Move] = []
    move = first or decide(record, sight)
    while move is not None and len(moves) < _ENDLESS:
        moves.append(move)
        after = advance(record, move, actor="", at=record.since)
        if (after.share, after.stage) != (record.share, record.stage):
            sight = replace(sight, verdict=None, sampled=False, braked="", broken="")
        record = after
        move = decide(record, sight)
    return Settled(record, tuple(moves))


def rivals(record: Record, others: Mapping[str, Record | None]) -> tuple[str, ...]:
    """The flags whose rollouts may not run beside `record`'s: one plan that says so is enough."""
    named = (flag for flag, other in others.items() if other is not None and record.flag in other.plan.conflicts)
    return tuple(dict.fromkeys((*record.plan.conflicts, *named)))


def blocked(record: Record, others: Mapping[str, Record | None], now: float) -> str:
    """
    Why `record` may not climb at wall time `now`, as far as the calendar and other rollouts have a say; empty when it may.

    `others` has None for a rollout that can't be read: nobody knows that it is done, nor that it serves nobody.
    """
    plan = record.plan
    if closed := plan.calendar.closed(now):
        return closed
    for flag in plan.needs:
        if (state := _state(flag, others)) != State.COMPLETED:
            return f"needs {flag} to be completed, which is {state}"
    for flag in rivals(record, others):
        other = others.get(flag)
        if flag in others and (other is None or other.serving):
            return f"conflicts with {flag}, which is {_state(flag, others)}"
    return ""


def _state(flag: str, others: Mapping[str, Record | None]) -> str:
    if flag not in others:
        return State.DRAFT
    other = others[flag]
    return "unreadable" if other is None else other.state
