"""Definitions kept in the store: pushed once, served by every process that shares it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from progflags.errors import ConflictError, DefinitionError, Problem
from progflags.flags import Snapshot
from progflags.sources._contract import Piece
from progflags.sources._defined import noted
from progflags.sources._guard import held_back
from progflags.sources._merge import assemble, astray, environments, remembering
from progflags.store import Commit, Document, Store

__all__ = ["DOCUMENT", "StoreSource", "push", "pushed"]

DOCUMENT = "definitions"
"""
The document, and the history's subject, that hold what was pushed: `{"v": 1, "pieces": [{"file", "form", "text"}], "types", "by"}`.

`types` are those that retired keys had, which no later document says.
"""


class StoreSource:
    """
    What was last pushed to `store`. Looked at by the store's revision, so that an unchanged one costs no read.

        push(store, source_of("flags.toml").read(), by="ann")
        flags = pf.connect([StoreSource(store), "local.toml"], store=store)
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[int, tuple[Piece, ...]] | None = None

    @property
    def name(self) -> str:
        return self._store.url

    def read(self) -> Sequence[Piece]:
        revision = self._store.revision()
        if self._known is None or self._known[0] != revision:
            revision, found = self._store.read(DOCUMENT)
            if DOCUMENT not in found:
                raise DefinitionError([_nothing(self.name)])
            self._known = revision, _pieces(self.name, found[DOCUMENT].body)
        return self._known[1]


def pushed(store: Store) -> tuple[int, tuple[Piece, ...]]:
    """
    What was last pushed to `store`, and the revision at which that was.

    Raises:
        DefinitionError: nothing was, or by a version that writes something else.
        StoreError: the store can't be used.
    """
    there = store.read(DOCUMENT)[1].get(DOCUMENT)
    if there is None:
        raise DefinitionError([_nothing(store.url)])
    return there.revision, _pieces(store.url, there.body)


def _nothing(name: str) -> Problem:
    return Problem(name, None, "", "no definitions in this store", "progflags push FILE puts them there")


def push(store: Store, pieces: Sequence[Piece], *, by: str = "", force: bool = False, seen: int | None = None) -> tuple[int, Snapshot]:
    """
    Put definitions into the store, for every `StoreSource` on it, if they are good: its revision then, and what they mean.

    Stricter than a reload: not even a single flag may be wrong, in any environment. `force` pushes a set that lost more than half of
    the flags, too. `seen`: the revision of what was there when the pieces were made from it.

        revision, snapshot = push(store, source_of("flags.toml").read(), by="ann")
        print(revision, snapshot.digest, *snapshot.flags)

    Raises:
        DefinitionError: something is wrong, or too much is missing; nothing was pushed.
        ConflictError: somebody else pushed at the same moment; look at theirs, then push again.
        StoreError: the store can't be used.
    """
    name = pieces[0].file if len(pieces) == 1 else store.url
    there = store.read(DOCUMENT)[1].get(DOCUMENT)
    if seen is not None and (there is None or there.revision != seen):
        raise ConflictError(f"{store.url}: somebody else pushed in between", revisions={DOCUMENT: there.revision if there else 0})
    before = _pieces(store.url, there.body) if there else ()
    serving = _serving(store.url, before, there.body.get("types", {}) if there else {})
    snapshot = assemble(name, pieces, serving)
    if wrong := (*snapshot.rejected, *astray(name, pieces, snapshot)):
        raise DefinitionError(wrong)
    held = held_back(pieces, snapshot, before, serving) if serving is not None and not force else ()
    if held:
        raise DefinitionError(held)
    texts = [{"file": one.file, "form": one.form, "text": one.text.decode("utf-8-sig")} for one in pieces]
    body = {"v": 1, "by": by, "pieces": texts, "types": dict(snapshot.types), "number": _lines(store, there) + 1}
    entry: dict[str, Any] = {"by": by, "digest": snapshot.digest, "files": [one.file for one in pieces], "flags": len(snapshot.flags)}
    entry |= noted(serving, snapshot, time.time())
    if serving is not None:
        entry["changed"] = {**_elsewhere(name, before, pieces), **entry["changed"]}
    at = there.revision if there else 0
    return store.commit(Commit({DOCUMENT: body}, {DOCUMENT: at}, [(DOCUMENT, entry)])), snapshot


def _elsewhere(name: str, before: Sequence[Piece], pieces: Sequence[Piece]) -> dict[str, str]:
    """What became of flags in environments that were there before and are there now."""
    found: dict[str, str] = {}
    there = environments(before)
    for one in (one for one in environments(pieces) if one in there):
        lines = noted(assemble(name, before, None, one), assemble(name, pieces, None, one), 0.0)
        found |= {key: f"{what} (in {one})" for key, what in lines["changed"].items()}
    return found


def _lines(store: Store, there: Document | None) -> int:
    """How many pushes the history has; an older progflags did not count them in the document."""
    if there is None or "number" in there.body:
        return 0 if there is None else int(there.body["number"])
    number = 0
    while entries := store.history(DOCUMENT, after=number):
        number = entries[-1].number
    return number


def _serving(name: str, pieces: Sequence[Piece], types: Mapping[str, str]) -> Snapshot | None:
    try:
        return assemble(name, pieces, remembering(types, None)) if pieces else None
    except DefinitionError:  # pushed by another version: what comes now is judged by itself
        return None


def _pieces(name: str, body: Mapping[str, Any]) -> tuple[Piece, ...]:
    try:
        if body["v"] != 1:
            raise ValueError(f"they are of version {body['v']}")  # noqa: TRY301 - as every other way they can be strange
        return tuple(Piece(str(one["file"]), str(one["form"]), str(one["text"]).encode()) for one in body["pieces"])
    except (KeyError, TypeError, ValueError) as error:
        hint = "push them with this version, or upgrade this program"
        raise DefinitionError([Problem(name, None, DOCUMENT, f"definitions this progflags can't read: {error}", hint)]) from None
