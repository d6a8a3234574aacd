"""Editing what stands between brackets, at any depth: all of JSON, TOML's inline tables and lists, YAML's flow style."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from progflags.cli.editing._edit import Edit, Insert, Move, Path, Take
from progflags.cli.editing._rows import Rows
from progflags.errors import ProgflagsError

__all__ = ["Writing", "edited"]


@dataclass(frozen=True, slots=True)
class Writing:
    """
    How one form says a value and a key.

    `value(value, indent)`: `indent` is that of the line it begins on, None where it has to stay within it. `split(row)`: the parts of a
    row's key, and where its value begins. `between`: what stands between a key and its value. `tall`: empty tables may grow over lines,
    each row `step` further to the right.
    """

    value: Callable[[Any, str | None], str]
    key: Callable[[str], str]
    split: Callable[[str], tuple[tuple[str, ...], int]]
    between: str
    tall: bool = False
    step: str = "    "


def edited(text: str, edit: Edit, writing: Writing, *, indent: str = "") -> str:
    """
    `text`, a list or a table between brackets, after `edit`, whose path begins in it. `indent` is that of the line it begins on.

    Raises:
        ProgflagsError: there is no such place.
    """
    return _inside(text, edit, edit.path, writing, indent)


def _inside(text: str, edit: Edit, path: Path, writing: Writing, indent: str) -> str:
    if text[:1] not in ("{", "["):
        _lost(edit.path)
    if not path:
        return _list(text, edit, writing, indent)
    rows = Rows.of(text)
    found, rest = (_row(rows, path[0]), path[1:]) if text[0] == "[" else _entry(rows, path, writing)
    if found is None:
        return _absent(rows, edit, path, writing, indent)
    row = rows.rows[found]
    below = row.above.rpartition("\n")[2] if "\n" in row.above else indent
    start = 0 if text[0] == "[" else writing.split(row.body)[1]
    if rest or isinstance(edit, (Insert, Move)):
        row.body = row.body[:start] + _inside(row.body[start:], edit, rest, writing, below)
    elif isinstance(edit, Take):
        rows.take(found)
    else:
        flat = row.body[start : start + 1] in ("{", "[") and "\n" not in row.body
        row.body = row.body[:start] + writing.value(edit.value, below if writing.tall and not flat else None)
    return rows.text


def _row(rows: Rows, place: str | int) -> int | None:
    return place if isinstance(place, int) and 0 <= place < len(rows.rows) else None


def _entry(rows: Rows, path: Path, writing: Writing) -> tuple[int | None, Path]:
    """The row of a key, and what is left of the path behind it: TOML may say several parts at once."""
    for at, row in enumerate(rows.rows):
        key = writing.split(row.body)[0]
        if key and path[: len(key)] == key:
            return at, path[len(key) :]
    return None, path


def _absent(rows: Rows, edit: Edit, path: Path, writing: Writing, indent: str) -> str:
    """With a key that was not there."""
    if isinstance(edit, (Take, Move)) or rows.opened == "[" or not all(isinstance(part, str) for part in path):
        _lost(edit.path)
    value = [edit.value] if isinstance(edit, Insert) else edit.value
    for part in reversed(path[1:]):
        value = {part: value}
    tall = writing.tall and (rows.tall or not rows.rows)
    below = _below(rows, indent + writing.step) if tall else None
    said = f"{writing.key(str(path[0]))}{writing.between}{writing.value(value, below)}"
    rows.insert(len(rows.rows), said, indent=indent if tall else None, step=writing.step)
    return rows.text


def _list(text: str, edit: Edit, writing: Writing, indent: str) -> str:
    if text[0] != "[":
        _lost(edit.path)
    rows = Rows.of(text)
    if isinstance(edit, Move):
        rows.move(edit.source, edit.target)
    elif isinstance(edit, Insert):
        wide = not any("\n" in row.body for row in rows.rows) and bool(rows.rows)
        below = None if wide or not writing.tall else _below(rows, indent + writing.step)
        tall = edit.notes or below is not None
        rows.insert(edit.place, writing.value(edit.value, below), edit.notes, indent=indent if tall else None, step=writing.step)
    return rows.text


def _below(rows: Rows, otherwise: str) -> str:
    """The indentation of the rows of a tall table."""
    return next((row.above.rpartition("\n")[2] for row in rows.rows if "\n" in row.above), otherwise)


def _lost(path: Path) -> NoReturn:
    where = ".".join(map(str, path))
    raise ProgflagsError(f"{where}: can't be found where it is written; change it by hand")
