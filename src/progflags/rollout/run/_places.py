"""Places: how far each sink was told, by subject, and what waits for it. The store keeps both: the history is the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

from progflags.errors import StoreError
from progflags.rollout._timeline import changes_of, lines_of
from progflags.store import Commit, Document, Entry, Store

__all__ = ["INCIDENT", "Known", "Places", "key_of", "line_of", "places_of", "told_of"]

INCIDENT: Final = "incident/"  # what is no change that anybody made, and worth telling all the same
_ROLLOUT: Final = "rollout/"
_PLACE: Final = "outbox/"
_TOLD: Final = (_ROLLOUT, "flag/", "panic", "definitions", "defined/", INCIDENT)  # the subjects that sinks are told of
_BATCH: Final = 100  # lines of one subject handed over between two commits of the place


@dataclass(frozen=True, slots=True)
class Known:
    """What the store had at a revision: how many lines every subject has, and by key the document of each sink's place."""

    revision: int
    ends: Mapping[str, int]
    told: Mapping[str, Document]


class Places:
    """Those of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = Known(-1, {}, {})

    def look(self) -> Known:
        """What the store has now; read once for all sinks, and not at all while it has not moved."""
        if self._store.revision() != self._known.revision:
            revision, documents = self._store.read()
            ends = {key: lines_of(page) or 0 for key, page in documents.items() if key.startswith(_TOLD)}
            told = {key: page for key, page in documents.items() if key.startswith(_PLACE)}
            self._known = Known(revision, ends, told)
        return self._known

    def write(self, document: Document, worker: str, places: Mapping[str, int]) -> Document:
        """
        The sink of `document` was told that far, by `worker`; the document as it is then. One at revision 0 is new.

        Raises:
            ConflictError: somebody else wrote it meanwhile.
        """
        steps = {subject.removeprefix(_ROLLOUT): at for subject, at in places.items() if subject.startswith(_ROLLOUT)}
        others = {subject: at for subject, at in places.items() if not subject.startswith(_ROLLOUT)}
        body = {"v": 1, "worker": worker, "places": steps, "others": others}
        commit = Commit({document.key: body}, {document.key: document.revision}, (), uuid4().hex)
        try:
            revision = self._store.commit(commit)
        except StoreError:
            revision = self._store.commit(commit)
        return replace(document, revision=revision, body=body)

    def waiting(self, subjects: Sequence[str], places: Mapping[str, int]) -> list[Entry]:
        """The lines of `subjects` that were not told yet, in the order of their commits; of each the first hundred."""
        lines = [entry for subject in subjects for entry in self._store.history(subject, after=places.get(subject, 0), limit=_BATCH)]
        return sorted(lines, key=lambda entry: entry.revision)


def told_of(store: Store, subject: str) -> dict[str, int]:
    """
    By sink, how many lines of `subject` it was told; of those that nobody serves any more, too.

    Raises:
        StoreError: the store is out of reach.
    """
    documents = store.read(_PLACE)[1]
    return {key.removeprefix(_PLACE): places_of(page, {}).get(subject, 0) for key, page in documents.items()}


def key_of(sink: str) -> str:
    """Of the document that a sink's place is kept in."""
    return _PLACE + sink


def places_of(document: Document, ends: Mapping[str, int]) -> dict[str, int]:
    """How far a sink was told, by subject. Where a progflags wrote it that told of steps alone, so far as everything else goes now."""
    steps = {f"{_ROLLOUT}{flag}": int(at) for flag, at in document.body["places"].items()}
    others = document.body.get("others", {subject: end for subject, end in ends.items() if not subject.startswith(_ROLLOUT)})
    return steps | {subject: int(at) for subject, at in others.items()}


def line_of(entry: Entry, store: str) -> dict[str, Any]:
    """
    What a sink is told. A step of a rollout as its history has it; anything else with `kind`, and with the keys that a step has, so
    that who prints steps can print it as well.
    """
    room, _, flag = entry.subject.partition("/")
    if entry.subject.startswith(INCIDENT):
        return {"id": f"{entry.subject}#{entry.number}", "from": None, "to": None, "percent": None, **entry.body}
    if room == "rollout":
        return {"id": f"{flag}#{entry.number}", "flag": flag, "kind": "transition", **entry.body}
    change = changes_of(entry, None, store)[0].to_dict()
    before, after = change.pop("before"), change.pop("after")
    return {**entry.body, "id": f"{entry.subject}#{entry.number}", **change, "from": before, "to": after, "percent": None}
