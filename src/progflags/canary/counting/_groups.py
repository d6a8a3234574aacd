"""
Counts by group of users: what tells a thousand unlucky requests of one user from a thousand unlucky users.

Arms are assigned by a unit (a user, a tenant), and the requests of a unit fail, or are slow, together. So counts are kept for 64
groups of units, by another hash than the one that assigns arms. A column is one number per group; columns of two workers or two
windows add up, and a column minus an earlier one is what came since. No more is kept than that, whatever the traffic.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import repeat
from operator import add, sub
from types import MappingProxyType
from typing import Final
from zlib import crc32

from progflags._printed import quoted

__all__ = ["ANONYMOUS", "GROUPS", "NO_CELLS", "Cells", "Column", "added", "column", "from_text", "group_of", "sound", "taken", "to_text"]

#: 16 cost three to five points of power (the design effect is noisier), 256 win one: 64 it is.
GROUPS: Final = 64

#: The column (of one number) that says how many trials had no unit.
ANONYMOUS: Final = "?"

Column = tuple[float, ...]
Cells = Mapping[str, Column]

NO_CELLS: Final[Cells] = MappingProxyType({})


def group_of(unit: bytes) -> int:
    """The group of a unit: the same in every process."""
    return crc32(unit) & (GROUPS - 1)


def column(counts: Iterable[tuple[int, float]]) -> Column:
    """A column from counts, each with its group."""
    cells: list[float] = [0] * GROUPS
    for group, count in counts:
        cells[group] += count
    return tuple(cells)


def added(one: Cells, other: Cells) -> dict[str, Column]:
    """Both sides' columns added up. Exact, in any order."""
    return _with(one, other, add)


def taken(later: Cells, earlier: Cells) -> dict[str, Column]:
    """What came after `earlier`, column by column."""
    return _with(later, earlier, sub)


def _with(one: Cells, other: Cells, op: Callable[[float, float], float]) -> dict[str, Column]:
    if not other:
        return dict(one)
    found = {}
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        found[name] = a if b is None and a is not None else tuple(map(op, repeat(0) if a is None else a, b or ()))
    return found


def sound(cells: Cells) -> bool:
    """False when a subtraction went below zero in a column of counts; one of sums may."""
    return all(min(counts, default=0) >= 0 for name, counts in cells.items() if "~" not in name)


@lru_cache(maxsize=512)  # at most 2 MiB: what was written of a restart, or put up just now, is written again at every commit
def to_text(counts: Column) -> str:
    """A column as short text: its least number, and what the others are more than it, in as many bytes as the largest needs."""
    if {*map(type, counts)} - {int}:
        return "f " + " ".join(map(repr, counts))
    if len(counts) - counts.count(0) <= _SPARSE:
        return f"s {len(counts)} " + " ".join([f"{group}:{int(count):x}" for group, count in enumerate(counts) if count])
    least, most = int(min(counts)), int(max(counts))
    width = next((w for w in _WIDTHS if most - least < 1 << 8 * w), 0)
    if not width:
        return "x " + " ".join([f"{int(count):x}" for count in counts])
    raw = struct.pack(f"<{len(counts)}{_WIDTHS[width]}", *map(sub, counts, repeat(least)))
    return f"{width} {least:x} {base64.b64encode(raw).decode()}"


def from_text(text: str) -> Column:
    """
    The column that `to_text` wrote.

    Raises:
        ValueError: it is no such text.
    """
    kind, *rest = text.split(" ")
    if kind == "f":
        return tuple(float(count) if "." in count or "e" in count or "n" in count else int(count) for count in rest)
    if kind == "s":
        size, *cells = rest
        few = {int(group): int(count, 16) for group, count in (cell.split(":") for cell in cells if cell)}
        return tuple(few.get(group, 0) for group in range(int(size)))
    if kind == "x":
        return tuple(int(count, 16) for count in rest)
    try:
        least, packed = rest
        return tuple([int(least, 16) + count for (count,) in struct.iter_unpack(f"<{_WIDTHS[int(kind)]}", base64.b64decode(packed))])
    except (KeyError, struct.error) as error:
        raise ValueError(f"{quoted(text[:40])} is no column of counts") from error


_SPARSE: Final = 8  # cells that are shorter written one by one
_WIDTHS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
