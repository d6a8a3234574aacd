"""
What to do next: `decide` proposes one small step, `advance` takes it. Both are pure; `decide` is total.

They look at a Record and a Sight (everything a controller has found out, as values) and read no clock, no store and no
environment. Time, verdicts and calendars come in as arguments, so a decision can be replayed from what was stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from progflags.canary import Decision
from progflags.canary.judging import duration
from progflags.errors import TransitionRefused
from progflags.rollout.plan import Plan
from progflags.rollout.state._course import Course
from progflags.rollout.state._enter import enter
from progflags.rollout.state._record import NO_SAMPLES, Record
from progflags.rollout.state._state import SERVING, TRANSITIONS, Act, State, legal
from progflags.rollout.state._watched import watched

__all__ = ["Move", "Sight", "advance", "climb", "decide"]


@dataclass(frozen=True, slots=True)
class Sight:
    """
    What a controller sees in one look.

    `verdict`: of the evidence gathered so far, None when nothing new was judged; `why` is its reason. `sampled`: the last
    batch had samples on every arm. `closed`: why nothing may be promoted now, empty when it may. `braked`: why a process
    stopped serving it by itself. `defined`: the flag still has a rollout. `cooled`: the cool-down is over.
    `gone`: why it is not `defined`, where there is more to say. `landed`: the new definition is in the flag's file by now.
    `fits`: the share (ppm) at which this stage would see what matters sooner, 0: there is none.
    `broken`: what is worse than the remembered control explains, empty where nothing is. `now`: wall time, for the time of day.
    """

    verdict: Decision | None = None
    why: str = ""
    sampled: bool = False
    closed: str = ""
    braked: str = ""
    defined: bool = True
    cooled: bool = False
    gone: str = ""
    landed: bool = False
    fits: int = 0
    broken: str = ""
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Move:
    """One step: by `act` to `target`, serving `stage` from then on."""

    act: Act
    target: State
    stage: int
    reason: str = ""


def decide(record: Record, sight: Sight) -> Move | None:
    """
    The next step for `record`, or None when it stays where it is. Never raises; every state and every sight has an answer.

    The order is the promise: a rollback comes before everything, then what is gone, and only then the climb.
    """
    if record.state is State.ROLLING_BACK:
        return Move(Act.DONE, State.ROLLED_BACK, -1, record.reason)
    if record.state in SERVING or record.state is State.SCHEDULED:
        if sight.braked and record.stage >= 0:
            return Move(Act.BRAKED, State.ROLLING_BACK, -1, sight.braked)
        if sight.broken and record.stage >= 0:
            return Move(Act.FAILED, State.ROLLING_BACK, -1, sight.broken)
        if sight.verdict is Decision.ROLLBACK and record.stage >= 0:
            return Move(Act.FAILED, State.ROLLING_BACK, -1, sight.why)
        if not sight.defined:
            return Move(Act.GONE, State.SUPERSEDED, -1, sight.gone or _gone(record))
    step = _STEPS.get(record.state)
    return None if step is None else step(record, sight)


def _scheduled(record: Record, sight: Sight) -> Move | None:
    if sight.closed:
        return None
    return climb(record.plan, record.approved, Act.OPENED, 0, "nothing stands in the way")


def _ramping(record: Record, sight: Sight) -> Move | None:
    if sight.sampled:
        return Move(
            Act.SAMPLED, State.BAKING, record.stage, "samples arrive on both arms" if record.share < 1_000_000 else "samples arrive"
        )
    return _late(record)


def _baking(record: Record, sight: Sight) -> Move | None:
    del sight
    if record.bake_left <= 1e-9:
        return Move(Act.BAKED, State.JUDGING, record.stage, f"baked for {duration(record.baked)}")
    return _late(record)


def _judging(record: Record, sight: Sight) -> Move | None:
    if sight.verdict is Decision.PASS and record.enough:
        if sight.closed:
            return None  # passed, and nowhere to go today: no deadline is missed by that
        return climb(record.plan, record.approved, Act.PASSED, record.stage + 1, sight.why)
    if sight.fits > record.share and not sight.closed:
        fits = f"{sight.fits / 10_000:g} % see sooner what matters, at the traffic there is"
        return Move(Act.FITTED, State.RAMPING, record.stage, fits)
    return None if record.state is State.HELD else _late(record)


def _watching(record: Record, sight: Sight) -> Move | None:
    if sight.landed:  # nothing here can take it back any more
        return Move(Act.DONE, State.COMPLETED, record.stage, "the flag's file has the new definition now")
    if record.bake_left <= 1e-9:
        return Move(Act.DONE, State.COMPLETED, record.stage, f"watched for {duration(record.baked)}")
    return None


def _cooling(record: Record, sight: Sight) -> Move | None:
    if not sight.defined:
        return Move(Act.GONE, State.SUPERSEDED, -1, sight.gone or _gone(record))
    return Move(Act.DONE, State.SCHEDULED, -1, "the cool-down is over") if sight.cooled else None


def _gone(record: Record) -> str:
    return f"the flag's file no longer has this rollout{f' of {record.plan.variant!r}' if record.plan.variant else ''}"


def _late(record: Record) -> Move | None:
    """Past the deadline without a verdict: what the plan says."""
    stage = record.plan.stages[record.stage] if 0 <= record.stage < record.plan.end else None
    if stage is None or record.waited < stage.deadline:
        return None
    reason = f"no verdict within {duration(stage.deadline)}"
    if stage.on_insufficient == "rollback":
        return Move(Act.FAILED, State.ROLLING_BACK, -1, reason)
    return Move(Act.STALLED, State.HELD, record.stage, reason)


_STEPS: Final = {
    State.SCHEDULED: _scheduled,
    State.RAMPING: _ramping,
    State.BAKING: _baking,
    State.JUDGING: _judging,
    State.HELD: _judging,
    State.WATCHING: _watching,
    State.COOLING_DOWN: _cooling,
}


def climb(plan: Plan, approved: tuple[int, ...], act: Act, stage: int, reason: str) -> Move:
    """The step up to `stage`: to its share, to the approval it asks for, or to the end where there is no watch."""
    stage = min(stage, plan.end)
    if plan.asks(stage) and stage not in approved:
        return Move(act, State.AWAITING_APPROVAL, stage - 1, reason)
    if stage < plan.end:
        return Move(act, State.RAMPING, stage, reason)
    return Move(act, State.WATCHING if plan.watch > 0 else State.COMPLETED, stage, reason)


def advance(record: Record, move: Move, *, actor: str, at: float, began: float | None = None) -> Record:
    """
    The record after `move`, taken by `actor` at wall time `at`, which was `began` by the store's time.

    Raises:
        TransitionRefused: the move is not in the table; nothing in the house proposes one.
    """
    if move.target not in TRANSITIONS[record.state].get(move.act, ()):
        raise TransitionRefused(
            f"no step from {record.state} by {move.act} to {move.target}", state=record.state, legal=legal(record.state)
        )
    moved = record if move.stage == record.stage and move.act is not Act.FITTED else enter(record, move.stage)
    if move.target is State.SCHEDULED and move.act in (Act.START, Act.RETRY, Act.DONE):
        # A retry that waited for the end of the cool-down is the doing of whoever asked for it, not of the clock.
        moved = _anew(moved, record.moved_by if move.act is Act.DONE else actor, fresh=record.state is State.COMPLETED)
    if move.act is Act.APPROVE:
        moved = replace(moved, approved=(*record.approved, record.stage + 1))
    if move.act in (Act.RESUME, Act.RETRY) and record.state is State.HELD:
        moved = replace(moved, waited=0.0)  # another deadline, on the evidence there is
    if move.act is Act.SKIP:
        moved = replace(moved, waived=True)
    # A retry asked for during the cool-down does not prolong it: the clock still runs from the rollback.
    since, began = (record.since, record.began) if move.target is State.COOLING_DOWN else (at, began)
    watch = "" if moved is record else watched(moved)
    return replace(
        moved,
        state=move.target,
        resumes=record.state if move.target is State.PAUSED else None,
        strikes=moved.strikes + (move.target is State.ROLLING_BACK),
        since=since,
        began=began,
        last=move.act,
        moved_by=actor,
        reason=f"{move.reason}; {watch}" if watch else move.reason,
        reach=max(moved.reach, moved.plan.final) if move.target is State.COMPLETED else moved.reach,
    )


def _anew(record: Record, actor: str, *, fresh: bool) -> Record:
    """Another run of the plan, from the beginning. A completed run wipes the slate of strikes."""
    return replace(
        record,
        run=record.run + 1,
        stage=-1,
        baked=0.0,
        waited=0.0,
        waived=False,
        samples=NO_SAMPLES,
        approved=(),
        reach=0,
        strikes=0 if fresh else record.strikes,
        started_by=actor,
        verdict=None,
        evidence=None,
        window=None,
        drift=None,
        memory=None,
        recent=(),
        expects=(),
        results=(),
        course=Course(),
        met=0,
    )
