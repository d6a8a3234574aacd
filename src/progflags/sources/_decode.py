"""A piece of text as a document, by its form; nothing deeper than people write by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progflags._json import loads
from progflags.errors import DefinitionError, Problem
from progflags.flags import Lines, decode, decode_json, decode_toml, dotted
from progflags.sources._contract import Piece

__all__ = ["DEEPEST", "decode_piece"]

DEEPEST = 32
"""Levels of tables and lists. Deeper ones are an accident, or an attack on whoever walks them."""


def decode_piece(piece: Piece) -> tuple[Mapping[str, Any], Lines]:
    """
    The document in `piece`, and the lines of its parts.

    Raises:
        DefinitionError: it is none, or is nested deeper than `DEEPEST`; the problem names the line.
    """
    document, lines = _decode(piece)
    deep = _too_deep(document)
    if deep is not None:
        line = next((found for length in range(len(deep), -1, -1) if (found := lines(deep[:length])) is not None), None)
        raise DefinitionError([Problem(piece.file, line, dotted(deep[:4]), f"nested deeper than {DEEPEST} levels")])
    return document, lines


def _decode(piece: Piece) -> tuple[Mapping[str, Any], Lines]:
    if piece.document is not None:
        return piece.document, nowhere
    if piece.form == "toml":
        return decode_toml(piece.text, piece.file)
    if piece.form == "json":
        return decode_json(piece.text, piece.file)
    if piece.form == "yaml":
        from progflags.sources._yaml import decode_yaml

        return decode_yaml(piece.text, piece.file)
    if piece.form == "env":
        return loads(piece.text), nowhere
    return decode(piece.text, piece.file)


def nowhere(_: tuple[str | int, ...]) -> None:
    """The lines of a document that never was text."""


def _too_deep(document: object) -> tuple[str | int, ...] | None:
    """The path of a value below the deepest level, if there is one. Level by level, so that depth costs no stack."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [
            part
            for table in level
            for part in (table.values() if isinstance(table, Mapping) else table)
            if type(part) not in _FLAT and isinstance(part, _NESTING)
        ]
        if not level:
            return None
    return _path_to_depth(document)


def _path_to_depth(document: object) -> tuple[str | int, ...]:
    """As above, with paths: dearer, and asked only when there is something to report."""
    level: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    for _ in range(DEEPEST):
        level = [
            ((*path, key), value)
            for path, table in level
            for key, value in (table.items() if isinstance(table, Mapping) else enumerate(table))
            if isinstance(value, _NESTING)
        ]
    return level[0][0]


_NESTING = (dict, list, tuple, Mapping)
_FLAT = frozenset({str, int, float, bool, type(None)})  # asked first: what is no Mapping takes long to say so
