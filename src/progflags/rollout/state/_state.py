"""
Where a rollout can stand, and every step there is between two such places.

The table below is the whole law. `decide` (what a controller finds) and `verb` (what a person asks) only ever propose a
step; `advance` refuses one that is not a row here, the table in the documentation is printed from it, and a property
test walks it at random. Five ideas explain all the rows:

*Small steps, one commit.* A look at the evidence may take several steps at once (baking → judging → ramping); they are
told apart in the history, and land together with the share they mean. So no step is ever half done, and each is one
that a person can follow in that table.

*Down is always open.* Every state in which somebody may be served the candidate has the same three ways down:
`rollback` (asked), `failed` (the evidence says so), `braked` (a process saw it blow up). No bake, no sample size, no
approval, pause, window or freeze stands before them. `rolling_back` has one way out. A rollback that cannot reach the
store yet is in `rolling_back` in the process that knows of it, which serves nobody the candidate meanwhile.

*Up needs somebody.* After a rollback or an abort the share rises only by a person's `retry` or `start`. `cooling_down` is
such a retry, asked for before its time: it begins by itself when the cool-down is over.

*A pause stops the climb, not the watching.* Paused, held, or waiting for approval, evidence is still gathered and judged,
for an approval asked on Friday must not blind us until Monday. Only in a pause the
bake stands still: what is held may still bake, and pass.

*100 % is no stage.* With everybody on the candidate there is no control arm, and a comparison could never pass. Passing
the last stage therefore sets the share to full and starts the watch, which ends by time, or by a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["ACTIVE", "COOLING", "SERVING", "TRANSITIONS", "VERBS", "Act", "State", "legal", "steps"]


class State(StrEnum):
    """
    Where a rollout stands.

        from progflags.rollout import State

        if flags.rollouts.status("new-checkout").state is State.RAMPING:
            flags.rollouts.pause("new-checkout", by="ann")
    """

    DRAFT = "draft"  #: written down, never started
    SCHEDULED = "scheduled"  #: started, and waiting for a window, a freeze's end, a rollout it needs, a dark launch
    RAMPING = "ramping"  #: the stage's share is set; no sample of it yet
    BAKING = "baking"  #: samples arrive on both arms; the clock of the stage runs
    JUDGING = "judging"  #: baked; the gates have not let it pass yet
    AWAITING_APPROVAL = "awaiting_approval"  #: passed; a person must agree to what comes next
    HELD = "held"  #: no verdict before the deadline; stays here until there is one, or somebody decides
    PAUSED = "paused"  #: a person stopped the climb
    WATCHING = "watching"  #: everybody has it; the absolute gates are still armed
    COMPLETED = "completed"  #: done: the candidate is the product
    ROLLING_BACK = "rolling_back"  #: going back to the control, not yet stored
    ROLLED_BACK = "rolled_back"  #: everybody has the control again
    COOLING_DOWN = "cooling_down"  #: rolled back, and a retry is asked for once the cool-down is over
    ABORTED = "aborted"  #: given up by a person
    SUPERSEDED = "superseded"  #: its definition is gone, or another took its place


class Act(StrEnum):
    """Why a rollout moves: first the verbs of people, then what a controller finds."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    SKIP = "skip"
    RETRY = "retry"
    ROLLBACK = "rollback"
    ABORT = "abort"

    OPENED = "opened"  #: nothing stands in the way of the start any more
    SAMPLED = "sampled"  #: the first batch with samples on both arms
    BAKED = "baked"
    PASSED = "passed"
    FITTED = "fitted"  #: another share of the same stage fits the traffic better
    STALLED = "stalled"  #: the deadline passed without a verdict
    FAILED = "failed"  #: the verdict is ROLLBACK, or stalled where the plan says to roll back then
    BRAKED = "braked"
    DONE = "done"  #: what had to be waited for, or written, is
    GONE = "gone"  #: the flag's file no longer has this rollout


VERBS: Final = (Act.START, Act.PAUSE, Act.RESUME, Act.APPROVE, Act.PROMOTE, Act.SKIP, Act.RETRY, Act.ROLLBACK, Act.ABORT)

_S, _A = State, Act
_UP: Final = (_S.RAMPING, _S.AWAITING_APPROVAL, _S.WATCHING, _S.COMPLETED)  # which of them is the plan's to say
_DOWN: Final[dict[Act, tuple[State, ...]]] = {
    _A.ROLLBACK: (_S.ROLLING_BACK,),
    _A.FAILED: (_S.ROLLING_BACK,),
    _A.BRAKED: (_S.ROLLING_BACK,),
    _A.ABORT: (_S.ABORTED,),
    _A.GONE: (_S.SUPERSEDED,),
}
_PAUSE: Final[dict[Act, tuple[State, ...]]] = {_A.PAUSE: (_S.PAUSED,)}

TRANSITIONS: Final[Mapping[State, Mapping[Act, tuple[State, ...]]]] = MappingProxyType(
    {
        _S.DRAFT: {_A.START: (_S.SCHEDULED,)},
        _S.SCHEDULED: {**_DOWN, **_PAUSE, _A.OPENED: _UP, _A.PROMOTE: _UP},
        _S.RAMPING: {
            **_DOWN,
            **_PAUSE,
            _A.SAMPLED: (_S.BAKING,),
            _A.SKIP: (_S.JUDGING,),
            _A.PROMOTE: _UP,
            _A.STALLED: (_S.HELD,),
        },
        _S.BAKING: {
            **_DOWN,
            **_PAUSE,
            _A.BAKED: (_S.JUDGING,),
            _A.SKIP: (_S.JUDGING,),
            _A.PROMOTE: _UP,
            _A.STALLED: (_S.HELD,),
        },
        _S.JUDGING: {**_DOWN, **_PAUSE, _A.PASSED: _UP, _A.FITTED: (_S.RAMPING,), _A.PROMOTE: _UP, _A.STALLED: (_S.HELD,)},
        # Approved while the calendar is closed: back to where the next look finds it passed, and open.
        _S.AWAITING_APPROVAL: {**_DOWN, **_PAUSE, _A.APPROVE: (_S.RAMPING, _S.WATCHING, _S.COMPLETED, _S.JUDGING, _S.SCHEDULED)},
        _S.HELD: {
            **_DOWN,
            **_PAUSE,
            _A.PASSED: _UP,
            _A.FITTED: (_S.RAMPING,),
            _A.PROMOTE: _UP,
            _A.SKIP: (_S.JUDGING,),
            _A.RESUME: (_S.BAKING,),
            _A.RETRY: (_S.BAKING,),
        },
        _S.PAUSED: {
            **_DOWN,
            _A.RESUME: (_S.SCHEDULED, _S.RAMPING, _S.BAKING, _S.JUDGING, _S.AWAITING_APPROVAL, _S.HELD, _S.WATCHING),
        },
        _S.WATCHING: {**_DOWN, **_PAUSE, _A.DONE: (_S.COMPLETED,), _A.PROMOTE: (_S.COMPLETED,)},
        _S.COMPLETED: {_A.START: (_S.SCHEDULED,), _A.ROLLBACK: (_S.ROLLING_BACK,)},
        _S.ROLLING_BACK: {_A.DONE: (_S.ROLLED_BACK,)},
        _S.ROLLED_BACK: {_A.RETRY: (_S.SCHEDULED, _S.COOLING_DOWN)},
        _S.COOLING_DOWN: {
            _A.DONE: (_S.SCHEDULED,),
            _A.RETRY: (_S.SCHEDULED,),
            _A.ROLLBACK: (_S.ROLLED_BACK,),
            _A.ABORT: (_S.ABORTED,),
            _A.GONE: (_S.SUPERSEDED,),
        },
        _S.ABORTED: {_A.START: (_S.SCHEDULED,), _A.RETRY: (_S.SCHEDULED,)},
        _S.SUPERSEDED: {_A.START: (_S.SCHEDULED,), _A.RETRY: (_S.SCHEDULED,)},
    }
)

SERVING: Final = frozenset({_S.RAMPING, _S.BAKING, _S.JUDGING, _S.AWAITING_APPROVAL, _S.HELD, _S.PAUSED, _S.WATCHING})
"""States in which somebody may be served the candidate and evidence is gathered."""

ACTIVE: Final = SERVING | {_S.SCHEDULED, _S.ROLLING_BACK, _S.COOLING_DOWN}
"""States a controller has something to do in."""

COOLING: Final = frozenset({_S.ROLLED_BACK, _S.COOLING_DOWN})
"""The cool-down runs: from the rollback on, whether or not somebody has asked to try again."""


def legal(state: State) -> tuple[Act, ...]:
    """The verbs that are accepted in `state`."""
    return tuple(act for act in VERBS if act in TRANSITIONS[state])


def steps() -> str:
    """The table in Markdown, a row for each way out of a state: verbs of people in capitals, what a controller finds in small letters."""
    rows = ["| from | by | to |", "| --- | --- | --- |"]
    for source, acts in TRANSITIONS.items():
        ways: dict[tuple[State, ...], list[str]] = {}
        for act, targets in acts.items():
            ways.setdefault(targets, []).append(act.upper() if act in VERBS else act)
        for number, (targets, by) in enumerate(ways.items()):
            state = f"`{source}`" if number == 0 else ""
            rows.append(f"| {state} | {', '.join(by)} | {', '.join(f'`{target}`' for target in targets)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":  # pragma: no cover - how the reference page is written
    import sys

    sys.stdout.write(steps())
