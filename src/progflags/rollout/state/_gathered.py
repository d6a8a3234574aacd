"""A rollout with what one look gathered: its evidence and its counts, what it remembers of the control, how long it has baked."""

from __future__ import annotations

from dataclasses import replace

from progflags.canary import Window
from progflags.rollout.plan import Memory
from progflags.rollout.state._pace import slotted
from progflags.rollout.state._record import Record
from progflags.rollout.state._state import State

__all__ = ["added", "looked", "remembering"]


def added(record: Record, window: Window, batch: Window, step: float) -> Record:
    """With one batch of evidence, which took `step` seconds. The bake grows only while the rollout is climbing, and warm."""
    control, candidate = batch.samples("control"), batch.samples("candidate")
    counts = record.state is not State.PAUSED and not record.warming and record.sampled(control, candidate)
    return replace(
        record,
        window=window,
        evidence=None if record.evidence is None else record.evidence.add(batch, warming=record.warming, seconds=step, slice=record.slice),
        baked=record.baked + (step if counts else 0.0),
        waited=record.waited + (step if record.state is not State.PAUSED else 0.0),
        samples={
            "control": record.samples.get("control", 0) + control,
            "candidate": record.samples.get("candidate", 0) + candidate,
        },
        recent=slotted(record.recent, step, control + candidate),
    )


def looked(record: Record) -> Record:
    """With the planned look that is due: at each twelfth of the stage's bake. Looking again changes nothing."""
    bake = record.plan.bake(record.stage)
    if record.evidence is None or record.waived or record.warming or bake <= 0 or record.baked <= 0:
        return record
    return replace(record, evidence=record.evidence.look(record.baked / bake))


def remembering(record: Record, batch: Window, now: float, step: float) -> Record:
    """With what a batch says of the control, or in the watch of the candidate, against what is remembered."""
    if not record.plan.remember:
        return record
    memory = record.memory or Memory()
    if record.stage < record.plan.end:
        memory = memory.learn(record.plan.compared, batch.control, now) if not record.warming else memory
    elif not record.plan.holdback or record.share >= 1_000_000:
        memory = memory.look(record.plan.compared, batch.candidate, now, step)
    return replace(record, memory=memory)
