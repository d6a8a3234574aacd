"""
What stands between brackets, `[1, 2]` or `{ a = 1 }`, of all three forms: its rows, put in, taken out and moved with their comments.

A list or a table over several lines keeps a row on a line of its own, one within a line stays within it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Rows"]

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|\n|[\[\]{},]|[ \t\r]+|[^\[\]{},\"'#\s]+|.",
    re.DOTALL,
)
_SPACE: Final = re.compile(r"\s*\Z")


@dataclass(slots=True)
class _Row:
    """`above`: blanks and comments before it; `behind`: those between it and the end of its line, a comma not counted."""

    above: str
    body: str
    behind: str = ""


@dataclass(slots=True)
class Rows:
    """The rows of one list or table, and how they are laid out."""

    opened: str
    rows: list[_Row] = field(default_factory=list)
    end: str = ""
    closed: str = ""
    comma: bool = False

    @classmethod
    def of(cls, text: str) -> Rows:
        """The rows of `text`, which begins and ends with a bracket."""
        found = cls(text[0], closed=text[-1])
        reader = _Reader(found)
        for sign in _TOKEN.findall(text[1:-1]):
            reader.take(sign)
        reader.stop()
        return found

    @property
    def text(self) -> str:
        """As it is to be written."""
        said, last = [self.opened], len(self.rows) - 1
        for at, row in enumerate(self.rows):
            comma = "," if at < last or self.comma else ""
            above = self.rows[at + 1].above if at < last else self.end
            ended = "" if "#" not in row.behind or "\n" in above else self._above(at, "    ")  # a comment takes the rest of its line
            said += [row.above, row.body, comma, row.behind, ended]
        return "".join([*said, self.end, self.closed])

    @property
    def tall(self) -> bool:
        """Whether it stands over several lines."""
        return "\n" in self.end or any("\n" in row.above for row in self.rows)

    def insert(self, place: int, body: str, notes: tuple[str, ...] = (), *, indent: str | None = None, step: str = "    ") -> None:
        """
        A row more. `notes` are comments above it, for which the list has to stand over several lines: `indent` is that of its own line.

        With an `indent` an empty table becomes a tall one.
        """
        if (notes or (indent is not None and not self.rows)) and not self.tall:
            self._stretch(indent or "", step)
        above = self._above(place, step)
        if notes:
            self.comma = True
            above = "".join(f"{above}{note}" for note in notes) + above
        if not self.tall:
            self._along(place, body)
            return
        self.rows.insert(place, _Row(above, body))

    def _along(self, place: int, body: str) -> None:
        """Within a line: the first row keeps the first one's distance, every other has the others'."""
        first = self.rows[0].above if self.rows else " " if self.opened == "{" and self.end.strip(" ") == "" and self.closed == "}" else ""
        others = self.rows[1].above if len(self.rows) > 1 else " "
        if not self.rows and first and not self.end:
            self.end = " "
        self.rows.insert(place, _Row("", body))
        for at, row in enumerate(self.rows):
            if _SPACE.match(row.above):
                row.above = others if at else first

    def _above(self, place: int, step: str) -> str:
        """What separates a row of its own line from the one above it."""
        likes = [self.rows[min(place, len(self.rows) - 1)], *self.rows] if self.rows else []
        tall = next((row.above for row in likes if "\n" in row.above), None)
        return "\n" + (self.end.rpartition("\n")[2] + step if tall is None else tall.rpartition("\n")[2])

    def _stretch(self, indent: str, step: str) -> None:
        for row in self.rows:
            row.above = f"\n{indent}{step}"
        self.end = f"\n{indent}"

    def take(self, place: int) -> None:
        """A row less, with its comments."""
        row = self.rows.pop(place)
        if not self.rows:
            self.end = "" if "\n" not in self.end else self.end
            self.comma = False
            return
        if place < len(self.rows) and "\n" not in self.rows[place].above:
            self.rows[place].above = row.above if _SPACE.match(row.above) else self.rows[place].above

    def move(self, source: int, target: int) -> None:
        """A row elsewhere, with its comments. Blanks alone are layout and stay where they are."""
        blanks = [row.above if _SPACE.match(row.above) else None for row in self.rows]
        self.rows.insert(target, self.rows.pop(source))
        spare = next((blank for blank in blanks if blank is not None and "\n" in blank), None)
        for at, row in enumerate(self.rows):
            if _SPACE.match(row.above):
                blank = blanks[at]
                row.above = (row.above if spare is None else spare) if blank is None else blank


class _Reader:
    """Tells rows apart, sign by sign."""

    def __init__(self, found: Rows) -> None:
        self._found = found
        self._depth = 0
        self._above = ""
        self._body = ""
        self._comma = True  # whether the last row is done; what follows on its line is behind it
        self._behind = False

    def take(self, sign: str) -> None:
        rows = self._found.rows
        if sign == "," and not self._depth:
            self._row()
            self._behind = True
            return
        blank = sign.isspace() or sign.startswith("#")
        if self._behind and blank and sign != "\n":
            rows[-1].behind += sign
            return
        if self._behind:
            self._behind = False
            if sign != "\n" and "#" not in rows[-1].behind:  # no end of a line: the blanks are before the next row
                self._above, rows[-1].behind = rows[-1].behind, ""
        if blank and not self._body:
            self._above += sign
            return
        self._depth += (sign in "[{") - (sign in "]}") if len(sign) == 1 else 0
        self._body += sign

    def _row(self) -> None:
        body, behind = _cut(self._body)
        self._found.rows.append(_Row(self._above, body, behind))
        self._above = self._body = ""

    def stop(self) -> None:
        found = self._found
        if self._body:
            body, rest = _cut(self._body)
            behind, line, end = rest.partition("\n")
            found.rows.append(_Row(self._above, body, behind if line or "#" in behind else ""))
            found.end = line + end if line or "#" in behind else behind
            return
        found.comma = bool(found.rows)
        if self._behind and found.rows and "#" not in found.rows[-1].behind:
            self._above, found.rows[-1].behind = found.rows[-1].behind + self._above, ""
        found.end = self._above


def _cut(text: str) -> tuple[str, str]:
    """A row's own text, and the blanks and comments behind it."""
    last = 0
    for sign in _TOKEN.finditer(text):
        if not (sign[0].isspace() or sign[0].startswith("#")):
            last = sign.end()
    return text[:last], text[last:]
