"""
Key path → line, for TOML and JSON text.

Two readers that understand just enough structure to know where each key and list item begins, and which keys are
written twice. They are asked only when there is a mistake to report, so they are short rather than fast, and lenient:
where the text makes no sense they stop, and report what they saw until there.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

__all__ = ["LONGEST", "Places", "json_places", "toml_places"]

Path = tuple[str | int, ...]

LONGEST: Final = 64
"""Parts of a dotted TOML key, twice as many as anything that is read may be nested."""


@dataclass(slots=True)
class Places:
    """Where things are written: path → line; the keys written twice, as (path, first line, second line)."""

    deep: int | None = None  # the line of a TOML key of more parts than any document has use for, where reading ended
    lines: dict[Path, int] = field(default_factory=dict)
    twice: list[tuple[Path, int, int]] = field(default_factory=list)

    def note(self, path: Path, line: int) -> None:
        """A value is written here; a second one at the same path is one too many."""
        if path in self.lines:
            self.twice.append((path, self.lines[path], line))
        else:
            self.lines[path] = line


class _Stop(Exception):  # noqa: N818 - the text makes no sense from here on; not an error to anybody
    pass


class _Text:
    """A text, a place in it, and the line that place is on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places = Places()
        self._breaks = [match.start() for match in re.finditer("\n", text)]

    @property
    def line(self) -> int:
        return bisect_right(self._breaks, self.at - 1) + 1

    @property
    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _Stop
        self.at = found.end()
        return found[0]

    def skip(self, sign: str) -> bool:
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def expect(self, sign: str) -> None:
        if not self.skip(sign):
            raise _Stop


# ── JSON ───────────────────────────────────────────────────────────────────

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR: Final = re.compile(r"[^\s,\]}:\[{\"]+")


def json_places(text: str) -> Places:
    """Where the parts of a JSON text are."""
    reader = _Text(text)
    with suppress(_Stop, RecursionError):
        reader.match(_SPACE)
        reader.places.note((), reader.line)
        _json_value(reader, ())
    return reader.places


def _json_value(reader: _Text, path: Path) -> None:
    if reader.skip("{"):
        _json_items(reader, path, "}", keyed=True)
    elif reader.skip("["):
        _json_items(reader, path, "]", keyed=False)
    else:
        reader.match(_STRING if reader.here == '"' else _SCALAR)


def _json_items(reader: _Text, path: Path, end: str, *, keyed: bool) -> None:
    index = 0
    reader.match(_SPACE)
    while not reader.skip(end):
        line = reader.line
        key: str | int = index
        if keyed:
            key = _unescape(reader.match(_STRING))
            reader.match(_SPACE)
            reader.expect(":")
            reader.match(_SPACE)
        reader.places.note((*path, key), line)
        _json_value(reader, (*path, key))
        index += 1
        reader.match(_SPACE)
        if reader.here != end:
            reader.expect(",")
            reader.match(_SPACE)


# ── TOML ───────────────────────────────────────────────────────────────────

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_INLINE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL: Final = re.compile(r"'[^'\n]*'")
_LONG_BASIC: Final = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)
_LONG_LITERAL: Final = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)
_PLAIN: Final = re.compile(r"[^,\]}#\n]+")


def toml_places(text: str) -> Places:
    """Where the parts of a TOML text are."""
    reader = _Text(text.replace("\r\n", "\n"))
    reader.places.lines[()] = 1
    with suppress(_Stop, RecursionError):
        _toml_document(reader)
    return reader.places


def _toml_document(reader: _Text) -> None:
    table: Path = ()
    counts: dict[Path, int] = {}  # arrays of tables: how many so far
    headers: dict[Path, int] = {}  # tables with a header of their own
    reader.match(_BLANK)
    while reader.here:
        line = reader.line
        if reader.skip("[["):
            path = _inside(_toml_key(reader), counts, last=False)
            counts[path] = counts.get(path, -1) + 1
            reader.places.lines.setdefault(path, line)
            table = (*path, counts[path])
            reader.places.lines[table] = line
        elif reader.skip("["):
            table = _inside(_toml_key(reader), counts, last=True)
            if table in headers:
                reader.places.twice.append((table, headers[table], line))
            headers.setdefault(table, line)
            _parents(reader.places, table, line)
        else:
            _toml_pair(reader, table)
            reader.match(_BLANK)
            continue
        while reader.skip("]"):
            pass
        reader.match(_BLANK)


def _inside(keys: Path, counts: dict[Path, int], *, last: bool) -> Path:
    """A header's keys, with the present index wherever one of them is an array of tables."""
    path: Path = ()
    for at, key in enumerate(keys):
        path = (*path, key)
        if path in counts and (last or at < len(keys) - 1):
            path = (*path, counts[path])
    return path


def _parents(places: Places, path: Path, line: int) -> None:
    for length in range(1, len(path) + 1):
        places.lines.setdefault(path[:length], line)


def _toml_key(reader: _Text) -> Path:
    keys: list[str | int] = []
    while True:
        reader.match(_INLINE)
        if reader.here == '"':
            keys.append(_unescape(reader.match(_BASIC)))
        elif reader.here == "'":
            keys.append(reader.match(_LITERAL)[1:-1])
        else:
            keys.append(reader.match(_BARE))
        reader.match(_INLINE)
        if not reader.skip("."):
            return tuple(keys)
        if len(keys) >= LONGEST:  # every part is a table in the one before it: the time it takes grows with the square
            reader.places.deep = reader.line
            raise _Stop


def _toml_pair(reader: _Text, table: Path) -> None:
    line = reader.line
    path = (*table, *_toml_key(reader))
    _parents(reader.places, path[:-1], line)
    reader.expect("=")
    reader.match(_INLINE)
    reader.places.note(path, line)
    _toml_value(reader, path)


def _toml_value(reader: _Text, path: Path) -> None:
    if reader.skip("["):
        index = 0
        reader.match(_BLANK)
        while not reader.skip("]"):
            reader.places.note((*path, index), reader.line)
            _toml_value(reader, (*path, index))
            index += 1
            reader.match(_BLANK)
            if reader.here != "]":
                reader.expect(",")
                reader.match(_BLANK)
    elif reader.skip("{"):
        reader.match(_BLANK)
        while not reader.skip("}"):
            _toml_pair(reader, path)
            reader.match(_BLANK)
            if reader.here != "}":
                reader.expect(",")
                reader.match(_BLANK)
    else:
        _toml_scalar(reader)


def _toml_scalar(reader: _Text) -> None:
    for mark, pattern in (('"""', _LONG_BASIC), ("'''", _LONG_LITERAL), ('"', _BASIC), ("'", _LITERAL)):
        if reader.text.startswith(mark, reader.at):
            reader.match(pattern)
            return
    reader.match(_PLAIN)


def _unescape(quoted: str) -> str:
    """The text in a quoted key; one that JSON can't read (by TOML's longer escapes) stands as written."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]
