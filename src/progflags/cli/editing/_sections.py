"""A TOML text as sections: each header with its lines, the comment directly above it, and where in the document it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from progflags.cli.editing._blocks import lead, settled
from progflags.cli.editing._edit import Path

__all__ = ["KEY", "Section", "parts", "sections"]

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|\n|[\[\]{}]|[ \t\r]+|[^\[\]{}\"'#\s]+|.",
    re.DOTALL,
)
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
KEY: Final = re.compile(rf"[ \t]*({_PART}(?:[ \t]*\.[ \t]*{_PART})*)[ \t]*")
"""A key of any number of parts."""


@dataclass(frozen=True, slots=True)
class Section:
    """
    `path`: with the index of every list of tables in it. `top`: the first line of its comment; `line`: its header, -1 for what stands
    before the first; `last`: the line behind what it says; `end`: where the next one begins.
    """

    path: Path
    top: int
    line: int
    last: int
    end: int


def sections(lines: Sequence[str]) -> list[Section]:
    """Every section, in the order of the text; the first is what stands before any header."""
    headers = _headers("\n".join(lines))
    counts: dict[Path, int] = {}
    found: list[tuple[Path, int, int]] = [((), -1, -1)]
    for line in headers:
        found.append((_path(lines[line], counts), lead(lines, line, found[-1][1] + 1), line))
    ends = [top for _, top, _ in found[1:]] + [len(lines)]
    return [
        Section(path, max(top, 0), line, settled(lines, line + 1, end), end) for (path, top, line), end in zip(found, ends, strict=True)
    ]


def _headers(text: str) -> list[int]:
    """The lines that are headers: they begin with a bracket, outside of strings and lists."""
    found: list[int] = []
    line, depth, fresh = 0, 0, True
    for sign in _TOKEN.findall(text):
        if sign == "\n":
            fresh, line = True, line + 1
            continue
        if sign == "[" and fresh and not depth:
            found.append(line)
        if len(sign) == 1:
            depth += (sign in "[{") - (sign in "]}")
        fresh = fresh and sign.isspace()
        line += sign.count("\n")
    return found


def _path(header: str, counts: dict[Path, int]) -> Path:
    """A header's path: the present index wherever one of its parts is a list of tables."""
    listed = header.lstrip().startswith("[[")
    keys = parts(header.lstrip().lstrip("["))
    path: Path = ()
    for at, key in enumerate(keys):
        path = (*path, key)
        if listed and at == len(keys) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def parts(text: str) -> tuple[str, ...]:
    """The parts of the key that a text begins with."""
    found = KEY.match(text)
    return tuple(map(_word, re.findall(_PART, found[1]))) if found else ()


def _word(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    try:
        return str(json.loads(part)) if part[0] == '"' else part
    except ValueError:  # TOML's longer escapes: as written, and then it is not found
        return part[1:-1]
