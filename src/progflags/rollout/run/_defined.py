"""Defined: whether the served file still asks for what a rollout delivers."""

from __future__ import annotations

from typing import Final, NamedTuple

from progflags.flags import Client
from progflags.rollout.state import Record, State

__all__ = ["Defined", "defined"]

_OTHER: Final = "the flag's file has another definition by now than the one this change was made of, and that serves"
_HAS_IT: Final = "the flag's file has the new definition now, and serves it to everybody"


class Defined(NamedTuple):
    """`still`: it does; else `why` not, empty where the rollout itself was taken out. `landed`: the file has the new definition by now."""

    still: bool = True
    why: str = ""
    landed: bool = False


def defined(record: Record, client: Client) -> Defined:
    """
    Whether the file still gives this flag the rollout that was started: of the variant, or the change of definition, that the evidence
    is about.

    A file that is broken or not read yet says nothing, nor does one that does not know the flag: two applications with
    files of their own may share a store. Gone is a flag whose rollout was taken out, or that the file calls retired.
    """
    flag, snapshot = record.flag, client.definitions
    if snapshot is None or flag in snapshot.broken:
        return Defined()
    model = snapshot.flags.get(flag)
    if model is None:
        return Defined(flag not in snapshot.retired)
    if record.edit is None:
        return Defined(model.rollout is not None and record.plan.variant in ("", model.candidate))
    mark = client.edits.imprint(model)
    if mark == record.edit.base:
        return Defined()
    if mark != record.edit.new:
        return Defined(False, _OTHER)
    return Defined(record.state is State.WATCHING, _HAS_IT, landed=True)
