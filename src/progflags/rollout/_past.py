"""The past: what was live at a moment, by the histories of rollouts and switches that a store keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from progflags.errors import StoreError
from progflags.flags import EVERYTHING, Edit, Killed, Live
from progflags.rollout._timeline import backwards, lines_of
from progflags.rollout.run import ROLLOUT, subject
from progflags.rollout.state import SERVING, State
from progflags.store import Document, Store

__all__ = ["lives_at"]

_THROWN: Final = frozenset({"kill", "panic"})
_NOBODY: Final[Mapping[str, Any]] = {"percent": 0.0, "run": 0, "to": "draft"}


def lives_at(store: Store, flags: Iterable[str], at: float) -> dict[str, Live]:
    """
    The live states that `flags` and `EVERYTHING` had at `at` (wall time): the last that was written until then.

    Lines are in the order in which they were written, and it is their wall times that are asked: where a clock was set back, the
    line that was written last counts. Of what was never written down (a share without a rollout's history) the present is told.

    Raises:
        StoreError: the store is out of reach, or a document can't be read.
    """
    return {flag: _live(store, flag, at) for flag in (*flags, EVERYTHING)}


def _live(store: Store, flag: str, at: float) -> Live:
    switch = _document(store, subject(flag))
    now = Live.of(switch, flag)
    killed = now.killed
    if switch is not None and lines_of(switch):
        line = _last(store, switch, at)
        killed = _killed(line) if line is not None and line["act"] in _THROWN else None
    rollout = None if flag == EVERYTHING else _document(store, ROLLOUT + flag)
    if rollout is None:
        return Live(flag, share=now.own.share, killed=killed, run=now.run, variant=now.own.variant)
    step = _last(store, rollout, at) or _unless_archived(store, rollout)
    run, counting = int(step["run"]), State(step["to"]) in SERVING
    variant = now.own.variant if run == now.run else None  # of an earlier run nobody kept which it was: the file's, then
    edit = None if "edit" not in step else _edit(store, rollout, run)
    return Live(flag, 0, round(10_000 * step["percent"]), killed, counting, run, variant, edit=edit)


def _edit(store: Store, rollout: Document, run: int) -> Edit:
    """
    The change of definition that a run delivered: its first line has it.

    Raises:
        StoreError: that line is not here any more, or can't be read.
    """
    for entry, _ in backwards(store, rollout):
        if entry.body["run"] == run and "change" in entry.body:
            try:
                return Edit.of(entry.body["change"])
            except ValueError as error:
                raise StoreError(f"the history of {rollout.key}: {error}") from None
    raise StoreError(f"the history of {rollout.key}: the definition that run {run} delivered was archived")


def _document(store: Store, key: str) -> Document | None:
    return store.read(key)[1].get(key)


def _last(store: Store, document: Document, at: float) -> Mapping[str, Any] | None:
    return next((entry.body for entry, _ in backwards(store, document) if float(entry.body["at"]) <= at), None)


def _unless_archived(store: Store, document: Document) -> Mapping[str, Any]:
    """
    What was before the first line of a history.

    Raises:
        StoreError: that is not known here any more.
    """
    first = store.history(document.key, limit=1)
    if first and first[0].number > 1:
        what = f"the history of {document.key} that goes back so far was archived"
        raise StoreError(f"{what}: it is in the files that `progflags log archive` wrote")
    return _NOBODY


def _killed(line: Mapping[str, Any]) -> Killed:
    return Killed(str(line["reason"]), str(line["actor"]), float(line["at"]))
