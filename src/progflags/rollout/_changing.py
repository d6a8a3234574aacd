"""Changing: the rollout of another definition where there is a rollout already, or was one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from progflags.errors import TransitionRefused
from progflags.flags import Edit
from progflags.rollout._parts import Parts
from progflags.rollout._proposal import Proposal
from progflags.rollout.run import Page
from progflags.rollout.state import ACTIVE, COOLING, Act, Record, State, legal

__all__ = ["anew", "changing", "verb_of"]

_OVER: Final = frozenset({State.ROLLED_BACK, State.ABORTED, State.SUPERSEDED, State.COMPLETED})


def changing(page: Page, proposal: Proposal) -> Record:
    """
    The record that a start makes a run of this change of.

    Raises:
        TransitionRefused: another rollout of the flag is under way, or another change serves and is not in the file.
    """
    record = page.record
    if record is None:
        return Record(page.flag, proposal.plan, edit=proposal.of(page.live, 1))
    if record.state in ACTIVE and record.state not in COOLING:
        hint = "wait until it is over, or end it with rollback or abort"
        raise _refused(record, f"{page.flag} is {record.state}, so its definition can't be changed now: {hint}")
    edit = record.edit
    if edit is not None and record.state is State.COMPLETED and edit.base == proposal.edit.base and edit.landed is None:
        why = "the last change of its definition serves everybody and is not in the file"
        raise _refused(record, f"{page.flag} is not changed: {why}: put it there first, or take it back with rollback")
    return replace(record, plan=proposal.plan, edit=proposal.of(page.live, record.run + 1))


def verb_of(verb: Act, record: Record | None) -> Act:
    """What a start is called after something of another kind was rolled back: the table knows it as a retry."""
    return Act.RETRY if verb is Act.START and record is not None and record.state in COOLING else verb


def anew(record: Record, edit: Edit, verb: Act, parts: Parts) -> Record:
    """
    The record for a start or a retry after a change of the definition: a start is of the flag's own rollout, a retry of the change.

    Raises:
        TransitionRefused: the change serves everybody and the file does not have it; or it can't be made again of what the file has.
    """
    snapshot = parts.client.definitions
    model = None if snapshot is None else snapshot.flags.get(record.flag)
    base = model is not None and parts.client.edits.imprint(model) == edit.base
    if verb is Act.RETRY:
        if not base and record.state is not State.HELD:
            why = "the file has another definition than the one this change was made of"
            raise _refused(record, f"{record.flag}: {why}: make the change anew, or start the flag's own rollout")
        return record
    plan = parts.plans.of(record.flag)
    if record.state is State.COMPLETED and base and edit.landed is None:
        why = "the change of its definition serves everybody and is not in the file"
        raise _refused(record, f"{record.flag} is not started: {why}: put it there first, or take it back with rollback")
    return replace(record, plan=plan, edit=None) if record.state in _OVER else record


def _refused(record: Record, message: str) -> TransitionRefused:
    return TransitionRefused(message, state=record.state, legal=map(str, legal(record.state)))
