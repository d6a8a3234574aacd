"""
What people read is made here: no character that repaints a terminal or turns a line round, and an end to everything.

Keys, reasons, actors, names of metrics come from files, headers and other people's databases. Whoever prints one (a message,
a log line, a table, a page) takes it through `printable`, whole sentences through it once more: doing it twice changes
nothing. Data are not text: what `to_dict` returns and what is stored stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from reprlib import Repr
from typing import Any, Final

__all__ = ["LINE", "MESSAGE", "counted", "cut", "json_text", "markup", "paragraph", "printable", "quoted", "several"]

LINE: Final = 1_200  # bytes of UTF-8 in one line, many times what a screen holds
MESSAGE: Final = 4_000  # bytes in a whole message, however many lines it has
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_REPR: Final = Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 120


def printable(text: object, limit: int = LINE) -> str:
    """
    `text` in one line of at most `limit` bytes: what is no visible character (controls, bidi overrides, lone surrogates, unusual
    blanks) is escaped, what is too much is counted. Never raises.
    """
    said = text if isinstance(text, str) else _said(text)
    if len(said) <= limit and said.isprintable() and (said.isascii() or len(said.encode()) <= limit):
        return said
    # What lies beyond the limit is not even looked at: each character takes a byte at least.
    return cut("".join(c if c.isprintable() else _escaped(c) for c in said[: limit + 1]), limit, more=max(0, len(said) - limit - 1))


def cut(text: str, limit: int = LINE, *, more: int = 0) -> str:
    """`text` of at most `limit` bytes, with the number of characters left out, `more` of which were left out before."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= limit and not more:
        return text
    kept = raw[: max(0, limit - 40)].decode("utf-8", "ignore")
    return f"{kept}… ({len(text) - len(kept) + more:,} more characters)"


def quoted(value: object, limit: int = 240) -> str:
    """`value` as Python writes it, shortened in the middle; a value that can't even be written is named by its type."""
    try:
        return printable(_REPR.repr(value), limit)
    except Exception:  # an int of 5,000 digits, a str subclass of somebody's own
        return f"<{printable(type(value).__name__, 80)}>"


def several(items: Iterable[object], most: int = 10, *, between: str = ", ") -> str:
    """`a, b, c` and, of more than `most`, how many more there are."""
    said = [printable(item, 120) for item in items]
    rest = len(said) - most
    return between.join(said) if rest <= 0 else f"{between.join(said[:most])} … and {rest:,} more"


def counted(number: int, noun: str = "flag") -> str:
    """`1 flag`, `2 flags`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def paragraph(lines: Iterable[str], limit: int = MESSAGE) -> str:
    """Several lines as one message; those that don't fit are counted."""
    kept: list[str] = []
    rows, room = [printable(line) for line in lines], limit - 40
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            return "\n".join([*kept, f"… and {len(rows) - len(kept):,} more"])
        kept.append(row)
    return "\n".join(kept)


def markup(text: object, limit: int = LINE) -> str:
    """`text` for a page of HTML."""
    return escape(printable(text, limit))


def json_text(value: Any, **options: Any) -> str:
    """`value` as JSON in ASCII, lossless: the one control character that JSON lets through is escaped as well."""
    import json

    return json.dumps(value, **options).replace("\x7f", "\\u007f")


def _said(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that can't be read>"


def _escaped(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
