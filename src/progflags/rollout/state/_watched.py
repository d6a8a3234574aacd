"""What watches a rollout after 100 %: a control that is kept, the control as it was, or bounds that it has set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from progflags.canary import Gate, Kind
from progflags.rollout.plan import Plan, remembers
from progflags.rollout.state._record import Record
from progflags.rollout.state._state import State

__all__ = ["bounded", "judged", "watched", "watched_by"]

_RANKS: Final = ("control", "remembered", "bound", "nothing")


def watched(record: Record) -> str:
    """Which absolute bounds the control has set for the watch, in words; empty before it, and where there are none."""
    if record.stage < record.plan.end or record.evidence is None or (record.state is not State.WATCHING and record.baked):
        return ""
    own = {str(gate) for gate in record.plan.gates(record.stage)}
    bounds = [str(gate) for gate in record.evidence.gates if str(gate) not in own]
    return f"bounds from the control as it was: {'; '.join(bounds)}" if bounds else ""


def watched_by(record: Record) -> dict[str, str]:
    """By metric what watches it after 100 %: control, remembered, bound, nothing; before that, what will if the climb teaches it."""
    plan, found = record.plan, dict[str, str]()
    watching = record.stage >= plan.end and record.evidence is not None
    bounds = bounded(record.evidence.gates if watching and record.evidence is not None else plan.gates(plan.end))
    for gate in (*plan.gates(plan.end), *plan.all_gates):
        by = _by(record, gate, bounds, watching=watching)
        if _RANKS.index(by) < _RANKS.index(found.get(gate.metric, "nothing")) or gate.metric not in found:
            found[gate.metric] = by
    return found


def _by(record: Record, gate: Gate, bounds: set[str], *, watching: bool) -> str:
    plan, memory = record.plan, record.memory
    if plan.watch <= 0:
        return "nothing"
    if plan.holdback and gate.relative and gate.kind != Kind.GAUGE and record.state is not State.COMPLETED:
        return "control"
    known = plan.remember and all(one in plan.compared for one in gate.each)
    if known and (not watching or (memory is not None and all(map(memory.knows, gate.each)))):
        return "remembered"
    return "bound" if all(one.metric in bounds for one in gate.each) else "nothing"


def bounded(gates: Iterable[Gate]) -> set[str]:
    """The metrics that have an absolute bound."""
    return {one.metric for gate in gates if gate.max is not None or gate.min is not None for one in gate.each}


def judged(plan: Plan, stage: int) -> tuple[Gate, ...]:
    """The gates that evidence of both arms speaks about: in a watch without a control what compares is for the memory."""
    gates = plan.gates(stage)
    return gates if stage < plan.end or plan.holdback or not plan.remember else tuple(gate for gate in gates if not remembers(gate))
