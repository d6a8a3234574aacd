"""Where definitions lie that are edited: files, or the store they were pushed to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from progflags.cli._whole import write
from progflags.cli.editing._definitions import Definitions
from progflags.cli.editing._form import Text
from progflags.cli.editing._lock import locked
from progflags.errors import ConflictError, DefinitionError, Problem, ProgflagsError

if TYPE_CHECKING:
    from progflags.sources import Piece
    from progflags.store import Store

__all__ = ["Files", "Kept", "Place"]

_TRIES: Final = 5
_NOTHING: Final = (b"", b"{\n}\n")
"""What a file that is not there yet says, and one of JSON."""


class Place(Protocol):
    """`hold` is where an edit happens: read, decide, write, as often as somebody else was quicker."""

    @property
    def name(self) -> str: ...

    def hold(self, edit: Callable[[Definitions], Draft]) -> Draft:
        """What `edit` makes of the definitions, written where it says so."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written: each text that is another, and the one before it, which is None for a file that is not there yet."""

    changed: tuple[tuple[Text | None, Text], ...]
    definitions: Definitions
    write: bool
    facts: Any = None


class Files:
    """A flag file, or a folder of them."""

    def __init__(self, path: str, *, new: bool = False) -> None:
        if "://" in path:
            raise ProgflagsError(f"{path}: what is published can't be changed here; change the file that it comes from")
        self.name = path
        self._new = new

    def hold(self, edit: Callable[[Definitions], Draft]) -> Draft:
        """
        With the folder's lock.

        Raises:
            ProgflagsError: the file was changed in between by a program that heeds no lock.
            OSError: it can't be written. What was there is there still.
        """
        path = Path(self.name).resolve()
        with locked(path if path.is_dir() else path.parent):
            draft = edit(Definitions.of(self.name, self._read()))
            if draft.write:
                _put(draft)
            return draft

    def _read(self) -> Sequence[Piece]:
        from progflags.sources import FORMS, source_of

        path = Path(self.name)
        if self._new and not path.exists() and path.suffix.lower() in FORMS:
            return (empty(self.name),)
        return source_of(self.name).read()


class Kept:
    """What was pushed to a store."""

    def __init__(self, store: Store, *, by: str) -> None:
        self.name = store.url
        self._store = store
        self._by = by
        self.revision = 0

    def hold(self, edit: Callable[[Definitions], Draft]) -> Draft:
        """
        Compared and set: where somebody else pushes in between, it is decided anew on theirs.

        Raises:
            ConflictError: they do so again and again.
            StoreError: the store can't be used.
        """
        from progflags.sources import push, pushed

        for _ in range(_TRIES):
            seen, pieces = pushed(self._store)
            draft = edit(Definitions.of(self.name, pieces))
            if not draft.write:
                return draft
            try:
                self.revision, _snapshot = push(self._store, draft.definitions.pieces, by=self._by, seen=seen)
            except ConflictError:
                continue
            return draft
        raise ConflictError(f"{self.name}: somebody else pushed at the same moment, {_TRIES} times; nothing was written, try again")


@contextmanager
def place(arguments: Any, *, new: bool = False) -> Iterator[Place]:
    """
    The place that a command line names: the file, or the store's definitions where there is no file.

    Raises:
        ProgflagsError: neither.
    """
    from progflags._connect import login
    from progflags.cli._client import deadline, require
    from progflags.store import open_store

    require(arguments)
    if arguments.flags:
        yield Files(arguments.flags, new=new)
        return
    with deadline(arguments), closing(open_store(arguments.store)) as store:
        yield Kept(store, by=arguments.by or login())


def empty(file: str) -> Piece:
    """A file that is not there yet."""
    from progflags.sources import FORMS, Piece

    form = FORMS[Path(file).suffix.lower()]
    return Piece(file, form, _NOTHING[form == "json"])


def _put(draft: Draft) -> None:
    """
    Each file whole, if all are still those that were read.

    Raises:
        ProgflagsError: one is another.
        OSError: one can't be written.
    """
    for before, text in draft.changed:
        _unchanged(before, Path(text.piece.file))
    for _, text in draft.changed:
        write(Path(text.piece.file), text.piece.text)


def _unchanged(before: Text | None, path: Path) -> None:
    there = path.read_bytes() if path.exists() else None
    read = None if before is None else before.piece.text
    if there != read and not (there is None and read in _NOTHING):
        message = "somebody else changed it at the same moment; nothing was written, look at it and try again"
        raise ProgflagsError(f"{path}: {message}")
    if there is not None and not os.access(path, os.W_OK):
        raise DefinitionError([Problem(str(path), None, "", "may not be written", "let this user write it")])
