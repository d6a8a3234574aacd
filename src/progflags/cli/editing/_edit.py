"""An edit of a flag file as data: what is to be said where, and what a document says after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from progflags.errors import ProgflagsError

__all__ = ["Edit", "Insert", "Move", "Path", "Put", "Take", "after", "at", "lasting", "readings", "same"]

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """`value` at `path`, whether something was there or not; tables on the way are made."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Take:
    """Nothing at `path` any more. A comment directly above goes with it."""

    path: Path


@dataclass(frozen=True, slots=True)
class Insert:
    """`value` as the item `place` of the list at `path`, which is made where there is none; `notes` as comments above it."""

    path: Path
    place: int
    value: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """The item `source` of the list at `path` becomes the item `target`; its comments come along."""

    path: Path
    source: int
    target: int


Edit = Put | Take | Insert | Move

_GONE = object()


def at(document: Any, path: Path, default: Any = None) -> Any:
    """What `document` has at `path`."""
    for part in path:
        inside = part in document if isinstance(document, Mapping) else isinstance(part, int) and _row(document, part)
        if not inside:
            return default
        document = document[part]
    return document


def _row(rows: Any, place: int) -> bool:
    return isinstance(rows, list) and 0 <= place < len(rows)


def after(document: Mapping[str, Any], edit: Edit, *, pruned: int = 0) -> dict[str, Any]:
    """
    What `document` says after `edit`. `pruned`: so many tables that it leaves empty are gone, too, as some ways of writing have it.

    Raises:
        ProgflagsError: there is something else on the way than a table.
    """
    found: dict[str, Any] = deepcopy(dict(document))
    inside = _way(found, edit.path[:-1], make=not isinstance(edit, (Take, Move)))
    last = edit.path[-1]
    match edit:
        case Put(_, value):
            inside[last] = value
        case Take():
            del inside[last]
            _prune(found, edit.path[:-1], pruned)
        case Insert(_, place, value):
            inside.setdefault(last, []).insert(place, value)
        case Move(_, source, target):
            inside[last].insert(target, inside[last].pop(source))
    return found


def _way(document: Any, path: Path, *, make: bool) -> Any:
    for depth, part in enumerate(path):
        if make and isinstance(document, dict) and part not in document:
            document[part] = {}
        document = at(document, (part,), _GONE)
        if not isinstance(document, (dict, list)):
            where = ".".join(map(str, path[: depth + 1]))
            raise ProgflagsError(f"{where}: there is {'nothing' if document is _GONE else 'no table'} here that could hold it")
    return document


def _prune(document: dict[str, Any], path: Path, levels: int) -> None:
    while levels and not at(document, path):
        at(document, path[:-1]).pop(path[-1])
        path, levels = path[:-1], levels - 1


def lasting(path: Path) -> int:
    """
    How many parts of a path name a table that stays where it is left empty: `flags`, a flag (it is one, with nothing said of it), an
    environment (its name is declared by that).
    """
    table, flag = (2, 4) if path[0] == "environments" else (1, 2)
    return flag if len(path) > flag else table


def readings(document: Mapping[str, Any], edit: Edit) -> list[dict[str, Any]]:
    """What a document may say after `edit`: with the tables that it leaves empty, or without some of them."""
    levels = max(1, len(edit.path) - lasting(edit.path)) if isinstance(edit, Take) else 1
    return [after(document, edit, pruned=level) for level in range(levels)]


def same(one: Any, other: Any) -> bool:
    """Whether two documents say the same, to the type of each value: 1 is not 1.0, and no boolean."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, Sequence) and not isinstance(one, str) and isinstance(other, Sequence):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))  # noqa: PLR0124 - a NaN
