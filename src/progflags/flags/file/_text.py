"""
TOML and JSON text → a plain document, and the lines its parts are written on.

The standard parsers give no positions, and `json` takes the last of two equal keys without a word. So a second, small
reader (_lines.py) walks the same text when a position is asked for: never for a document without mistakes.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final

from progflags.errors import DefinitionError, Problem
from progflags.flags._problems import Lines, dotted
from progflags.flags._quiet import quiet
from progflags.flags.file._lines import LONGEST, Places, json_places, toml_places

__all__ = ["decode", "decode_json", "decode_toml", "plain_text"]

_AT_LINE: Final = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)")
_DIGITS: Final = re.compile(r"\d{4301,}")


def decode(text: bytes | str, file: str) -> tuple[dict[str, Any], Lines]:
    """
    The document in `text` and its lines; JSON when the file's name says so, or when there is no name and it begins with `{`.

    Raises:
        DefinitionError: it is neither; the problem names the line.
    """
    if file.lower().endswith(".json") or (not file.lower().endswith(".toml") and plain_text(text, file).lstrip().startswith("{")):
        return decode_json(text, file)
    return decode_toml(text, file)


def decode_toml(text: bytes | str, file: str) -> tuple[dict[str, Any], Lines]:
    """
    A TOML document and where its parts are.

    Raises:
        DefinitionError: not TOML, or not UTF-8, or nested too deep; a key written twice is named with both lines.
    """
    import tomllib

    source = plain_text(text, file)
    lines = _lazily(toml_places, source)
    _shallow(source, file)
    try:
        with quiet(len(source) // 100):
            return tomllib.loads(source), lines
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        line = int(match[1]) if match and match[1] else source.count("\n") + 1
        twice = _twice(toml_places(source), file, line)
        if twice:
            raise DefinitionError(twice) from None
        column = f", column {match[2]}" if match and match[2] else ""
        message = _AT_LINE.sub("", str(error)).strip()
        raise DefinitionError([Problem(file, line, "", f"not TOML: {message}{column}")]) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise DefinitionError([_unreadable(source, file, error)]) from None


def _shallow(source: str, file: str) -> None:
    """
    Refuse a dotted key that the parser would take seconds for. Few lines have that many dots, and then it is looked at closely.

    Raises:
        DefinitionError: there is one.
    """
    if max(line.count(".") for line in source.splitlines() or ("",)) >= LONGEST and (deep := toml_places(source).deep) is not None:
        raise DefinitionError([Problem(file, deep, "", f"a key of more than {LONGEST} parts: nothing is nested so deep")])


def decode_json(text: bytes | str, file: str) -> tuple[dict[str, Any], Lines]:
    """
    A JSON object and where its parts are.

    Raises:
        DefinitionError: not JSON, no object, not UTF-8, or nested too deep; a key written twice is named with both lines.
    """
    source = plain_text(text, file)
    lines = _lazily(json_places, source)
    repeated = False

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            nonlocal repeated
            repeated = True
        return table

    try:
        with quiet(len(source) // 100):
            document = json.loads(source, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise DefinitionError([Problem(file, error.lineno, "", f"not JSON: {error.msg}, column {error.colno}")]) from None
    except (RecursionError, ValueError) as error:
        raise DefinitionError([_unreadable(source, file, error)]) from None
    if repeated:
        raise DefinitionError(_twice(json_places(source), file) or [Problem(file, None, "", "a key is written twice")])
    if not isinstance(document, dict):
        raise DefinitionError([Problem(file, 1, "", "the document is no object", 'write { "flags": { ... } }')])
    return document, lines


def plain_text(text: bytes | str, file: str) -> str:
    """
    UTF-8 without its mark.

    Raises:
        DefinitionError: other bytes; the problem names line and offset.
    """
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        wide = text[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "save the file as UTF-8" if not wide else "this is UTF-16: save the file as UTF-8"
        raise DefinitionError(
            [Problem(file, line, "", f"not UTF-8: byte 0x{text[error.start]:02x} at offset {error.start}", hint)]
        ) from None


def _lazily(find: Any, source: str) -> Lines:
    places = cache(lambda: find(source).lines)
    return lambda path: places().get(tuple(path))


def _twice(places: Places, file: str, line: int | None = None) -> list[Problem]:
    return [
        Problem(file, second, dotted(path), f"written twice: first on line {first}, again on line {second}", "keep one of the two")
        for path, first, second in places.twice
        if line is None or second == line
    ]


def _unreadable(source: str, file: str, error: BaseException) -> Problem:
    """A document the parser gave up on: too deep, or a number of thousands of digits."""
    digits = _DIGITS.search(source)
    if digits and not isinstance(error, RecursionError):
        return Problem(file, source.count("\n", 0, digits.start()) + 1, "", "a number of more than 4,300 digits")
    if not isinstance(error, RecursionError):
        return Problem(file, 1, "", f"can't be read: {error}")
    depth = 0
    for at, character in enumerate(source):
        depth += (character in "[{") - (character in "]}")
        if depth > 32:
            return Problem(file, source.count("\n", 0, at) + 1, "", "nested deeper than 32 levels")
    return Problem(file, 1, "", "nested too deep")
