"""
TOML, by tomlkit: comments, order and style stay.

A text is cut into its sections first, and tomlkit is given the one that is meant: what was not meant can't change, a comment above a
header goes where the header goes, and 5,000 lines take no longer than five.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from progflags.cli.editing import _blocks as blocks
from progflags.cli.editing._edit import Edit, Insert, Move, Path, Put, Take, lasting
from progflags.cli.editing._flow import Writing
from progflags.cli.editing._flow import edited as flow_edited
from progflags.cli.editing._sections import KEY, Section, parts, sections
from progflags.errors import ProgflagsError, missing

__all__ = ["edited", "notes"]

_APART: Final = ("",)  # between two sections
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f']")


def edited(text: str, edit: Edit) -> str:
    """
    `text` after `edit`.

    Raises:
        MissingExtraError: tomlkit is not installed.
        ProgflagsError: there is no such place, or tomlkit can't read it.
    """
    from_library = _tomlkit().exceptions.TOMLKitError
    try:
        return "\n".join(_edited(text.split("\n"), edit))
    except from_library as error:
        raise ProgflagsError(f"{_header(edit.path)}: tomlkit can't change it ({error}); change it by hand") from error


def notes(text: str, path: Path) -> tuple[str, ...]:
    """The comment above what stands at `path`, where it has a header."""
    lines = text.split("\n")
    first = next((one for one in sections(lines) if one.line >= 0 and one.path == path), None)
    return () if first is None else tuple(line.strip() for line in lines[first.top : first.line])


def _tomlkit() -> Any:
    try:
        import tomlkit
    except ImportError as error:
        raise missing(error, "tomlkit", "tomlkit", "edit") from error
    return tomlkit


# ── the four edits ─────────────────────────────────────────────────────────


def _edited(lines: list[str], edit: Edit) -> list[str]:
    match edit:
        case Put():
            return _put(lines, edit)
        case Take(path):
            return _take(lines, path)
        case Insert():
            return _insert(lines, edit)
        case Move():
            return _move(lines, edit)


def _put(lines: list[str], edit: Put) -> list[str]:
    path = edit.path
    found = sections(lines)
    if _under(found, path):  # a table that stands in sections of its own: they go
        lines = _take(lines, path)
        found = sections(lines)
    home = _home(found, lines, path)
    if home is not None:
        return _in_body(lines, home, edit)
    if isinstance(edit.value, Mapping) and len(path) > 1 and not _inline(found, lines, path):
        return _new_section(lines, found, path, edit.value)
    for depth in range(len(path) - 1, 0, -1):
        own = _own(found, path[:depth])
        if own is not None:
            return _in_body(lines, own, edit)
        below = _under(found, path[:depth])
        if below:  # a table that only its own tables speak of
            said = [f"[{_header(path[:depth])}]", *_body(path[depth:], edit.value), ""]
            return [*lines[: below[0].top], *said, *lines[below[0].top :]]
    return _in_body(lines, found[0], edit)


def _take(lines: list[str], path: Path) -> list[str]:
    found = sections(lines)
    under = _under(found, path)
    home = _home(found, lines, path)
    if not under and home is None:
        raise ProgflagsError(f"{_header(path)}: can't be found where it is written; change it by hand")
    if home is not None:
        lines = _in_body(lines, home, Take(path))
    for one in reversed(under if home is None else []):
        lines = blocks.take(lines, [(one.top, one.last)], 0)
    left, table = sections(lines), path[: lasting(path)]
    if len(path) > len(table) and not _under(left, table) and _home(left, lines, table) is None:
        # An empty table is not no table: said as it was.
        return _new_section(lines, left, table, {}) if home is None else _put(lines, Put(table, {}))
    return lines


def _insert(lines: list[str], edit: Insert) -> list[str]:
    found = sections(lines)
    items = _items(found, edit.path)
    if items:
        block = _block(f"[[{_header(edit.path)}]]", edit.value, lines[items[0][0]] if items else "")
        return blocks.insert(lines, items, edit.place, block, apart=_APART)
    home = _home(found, lines, edit.path)
    if home is None and isinstance(edit.value, Mapping) and (inside := _under(found, edit.path[:-1])):
        block = _block(f"[[{_header(edit.path)}]]", edit.value, lines[inside[-1].line])
        return blocks.insert(lines, [(one.top, one.last) for one in inside], len(inside), block, apart=_APART)
    if home is None and not edit.notes:
        return _put(lines, Put(edit.path, [edit.value]))
    if home is None:
        return _insert(_put(lines, Put(edit.path, [])), edit)
    return _in_body(lines, home, edit)


def _move(lines: list[str], edit: Move) -> list[str]:
    found = sections(lines)
    items = _items(found, edit.path)
    if items:
        return blocks.move(lines, items, edit.source, edit.target)
    home = _home(found, lines, edit.path)
    if home is None:
        raise ProgflagsError(f"{_header(edit.path)}: can't be found where it is written; change it by hand")
    return _in_body(lines, home, edit)


# ── sections ───────────────────────────────────────────────────────────────


def _own(found: list[Section], path: Path) -> Section | None:
    """The section with exactly this header."""
    return next((one for one in found if one.path == path and (one.line >= 0 or not path)), None)


def _under(found: list[Section], path: Path) -> list[Section]:
    """Those that stand in the table at `path`, itself included."""
    return [one for one in found if one.line >= 0 and one.path[: len(path)] == path]


def _items(found: list[Section], path: Path) -> list[tuple[int, int]]:
    """The lines of each item of a list of tables: from its header to the end of the last table in it."""
    spans: dict[int, tuple[int, int]] = {}
    for one in _under(found, path):
        if len(one.path) > len(path) and isinstance(place := one.path[len(path)], int):
            spans[place] = (spans[place][0] if place in spans else one.top, one.last)
    return list(spans.values())


def _home(found: list[Section], lines: list[str], path: Path) -> Section | None:
    """The deepest section that says something of `path`, or of a table on the way to it, in its own lines."""
    for depth in range(len(path) - 1, -1, -1):
        own = _own(found, path[:depth])
        if own is not None and _says(own, lines, path[depth:]):
            return own
    return None


def _says(one: Section, lines: list[str], path: Path) -> bool:
    table = _parsed(lines[one.line + 1 : one.last])
    if path[0] not in table:
        return False
    # A key of several parts says a table together with others: it is here only if the path, or a value on its way, is.
    value = table
    for part in path:
        if not isinstance(value, Mapping) or _closed(value):
            return True
        if part not in value:
            return False
        value = value[part]
    return True


def _inline(found: list[Section], lines: list[str], path: Path) -> bool:
    """Whether a new table has to stand within another's lines: the one it is in is written so."""
    for depth in range(len(path) - 1):
        own = _own(found, path[:depth])
        if own is not None and path[depth] in _parsed(lines[own.line + 1 : own.last]):
            return True
    own = _own(found, path[:-1])
    return own is not None and not _under(found, path[:-1])[1:] and bool(path[:-1]) and bool(_parsed(lines[own.line + 1 : own.last]))


def _new_section(lines: list[str], found: list[Section], path: Path, value: Mapping[str, Any]) -> list[str]:
    """A header more, behind those of the table it is in."""
    near = (_under(found, path[:depth]) for depth in range(len(path) - 1, 0, -1))
    inside = next((under for under in near if under), None)
    block = _block(f"[{_header(path)}]", value, lines[inside[0].line] if inside else "")
    if inside:
        return blocks.insert(lines, [(one.top, one.last) for one in inside], len(inside), block, apart=_APART)
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return [*lines, *([""] if lines else []), *block, ""]


def _block(header: str, value: Any, like: str) -> list[str]:
    """A section's lines, as far to the right as another's header."""
    indent = like[: len(like) - len(like.lstrip())]
    return [f"{indent}{line}" for line in (header, *(line for key, item in value.items() for line in _body((key,), item)))]


def _body(path: Path, value: Any) -> list[str]:
    return [f"{_header(path)} = {_value(value)}"]


def _header(path: Path) -> str:
    return ".".join(_key(part) for part in path if isinstance(part, str))


# ── within a section: tomlkit ──────────────────────────────────────────────


def _parsed(body: list[str]) -> Any:
    return _tomlkit().parse("\n".join(body))


def _closed(value: object) -> bool:
    """Whether a table stands within one line."""
    return type(value).__name__ == "InlineTable"


def _in_body(lines: list[str], home: Section, edit: Edit) -> list[str]:
    start, end = home.line + 1, home.last
    rest = edit.path[len(home.path) :]
    document = _parsed([*lines[start:end], ""])
    table, path = document, rest
    while len(path) > 1 and isinstance(table.get(path[0]), Mapping) and not _closed(table[path[0]]):
        table, path = table[path[0]], path[1:]
    _change(table, path, edit)
    said = _tomlkit().dumps(document).split("\n")
    said = _aligned(said[:-1] if said and not said[-1] else said, lines[start:end])
    if home.line < 0 and start == end and lines[end:] and lines[end].strip():
        said = [*said, ""]  # the first keys of a file, before its first table
    return [*lines[:start], *said, *lines[end:]]


def _aligned(said: list[str], before: list[str]) -> list[str]:
    """With new keys as far to the right as those before them."""
    indents = {line[: len(line) - len(line.lstrip())] for line in before if KEY.match(line) and "=" in line}
    if len(indents) == 1 and (indent := indents.pop()):
        known = set(before)
        said = [f"{indent}{line}" if line not in known and KEY.match(line) and not line[0].isspace() else line for line in said]
    return said


def _change(table: Any, path: Path, edit: Edit) -> None:
    tomlkit = _tomlkit()
    key = path[0]
    there = table.get(key)
    if isinstance(edit, Take) and len(path) == 1:
        del table[key]
    elif key in table and (len(path) > 1 or isinstance(edit, (Insert, Move))):
        text = flow_edited(there.as_string(), replace(edit, path=path[1:]), _WRITING)
        table[key] = tomlkit.value(text)
    elif isinstance(edit, Put):
        written = tomlkit.value(_value(edit.value))
        if len(path) == 1:
            table[key] = written
        else:
            table.append(tomlkit.key([str(part) for part in path]), written)
    else:
        raise ProgflagsError(f"{_header(edit.path)}: can't be found where it is written; change it by hand")


def _split(row: str) -> tuple[tuple[str, ...], int]:
    found = KEY.match(row)
    if found is None:
        return (), 0
    rest = row[found.end() :]
    return parts(row), len(row) - len(rest[1:].lstrip())


def _key(part: str) -> str:
    said: str = _tomlkit().key(part).as_string()
    return said


def _value(value: Any, _: str | None = None) -> str:
    """A value in one line, with quotes that need no escaping where that can be."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(key))} = {_value(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    tomlkit = _tomlkit()
    if isinstance(value, str) and ('"' in value or "\\" in value) and not _CONTROL.search(value):
        return str(tomlkit.string(value, literal=True).as_string())
    return str(tomlkit.item(value).as_string())


_WRITING: Final = Writing(_value, _key, _split, " = ")
