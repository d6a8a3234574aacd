"""How fast a rollout goes: the traffic it meets, and how long what is ahead of it will take at that."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from progflags.canary import ruled_out
from progflags.rollout.plan import Traffic, expected
from progflags.rollout.state._record import Record
from progflags.rollout.state._state import State

__all__ = ["eta", "expecting", "known", "meeting", "proven", "slotted"]

_SLOT: Final = 300.0  # seconds
_SLOTS: Final = 12
_SETTLED: Final = 60.0  # seconds after which the traffic seen is worth more than what was counted before the start
_SHAPED: Final = 100  # calls of the control after which it shows what they are like
_CLIMBING: Final = frozenset({State.RAMPING, State.BAKING, State.JUDGING, State.HELD})


def known(record: Record) -> Traffic | None:
    """The traffic as far as it is known: what this stage met over the last hour, else what was counted before the start."""
    seconds, calls = (sum(column) for column in zip(*record.recent, strict=True)) if record.recent else (0.0, 0)
    totals = None if record.evidence is None else record.evidence.totals
    if totals is None or seconds < _SETTLED or totals.control.size < _SHAPED:
        return record.traffic
    people = (totals.control.units + totals.candidate.units) / record.waited if record.waited > 0 else 0.0
    worth = {} if record.evidence is None else record.evidence.design_effects
    return Traffic(calls / seconds, totals.control, people or calls / seconds, worth)


def proven(record: Record) -> frozenset[str]:
    """The bounds of which the opposite has been ruled out, for this stage and all that follow."""
    return frozenset() if record.evidence is None else ruled_out(record.evidence)


def meeting(record: Record) -> int:
    """How many people the candidate has met at the present share; whom nobody told apart counts as one for each call."""
    return 0 if record.evidence is None or record.stage < 0 else record.evidence.totals.candidate.bases


def expecting(record: Record) -> Record:
    """With how long this stage and the later ones will take, at the traffic there is by now."""
    if not 0 <= record.stage < record.plan.end:
        return record
    return replace(record, expects=expected(record.plan, record.stage, known(record), proven(record), record.met))


def eta(record: Record) -> float | None:
    """Seconds until everybody has it, at the traffic there is; in the watch, until it ends. None: never, or nobody knows."""
    if record.state is State.WATCHING:
        return record.bake_left
    if record.state not in _CLIMBING or not record.expects:
        return None
    held = None if record.verdict is None else record.verdict.get("eta")
    here = max(record.expects[0] - record.baked, record.bake_left)
    if held is not None and record.bake_left <= 0:
        here = max(float(held), 0.0)  # the judge saw what there really is
    whole = here + sum(record.expects[1:])
    return whole if whole < math.inf else None


def slotted(recent: tuple[tuple[float, int], ...], step: float, calls: int) -> tuple[tuple[float, int], ...]:
    """The last hour in slots of five minutes, the newest last."""
    if recent and recent[-1][0] < _SLOT:
        (seconds, before), recent = recent[-1], recent[:-1]
        step, calls = seconds + step, before + calls
    return (*recent, (step, calls))[-_SLOTS:]
