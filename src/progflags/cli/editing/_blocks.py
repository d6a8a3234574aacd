"""Lines that belong together (a rule's table, an item of a list), taken out, put in or moved. What lies between them stays."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["insert", "lead", "move", "settled", "take"]

Span = tuple[int, int]
"""The first line, and the line behind the last."""


def lead(lines: Sequence[str], start: int, least: int = 0, *, column: int | None = None) -> int:
    """
    Where the comment begins that stands directly above a line. One at the very top is the file's.

    `least`: the first line it may have. `column`: where it has to begin in its line.
    """
    top = start
    while top > least and _comment(lines[top - 1], column):
        top -= 1
    return start if top == 0 else top


def _comment(line: str, column: int | None) -> bool:
    said = line.lstrip()
    return said.startswith("#") and column in (None, len(line) - len(said))


def settled(lines: Sequence[str], start: int, end: int) -> int:
    """The line behind the last one of `lines[start:end]` that says something; a comment directly below belongs to it."""
    last = end
    while last > start and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    while last < end and lines[last].lstrip().startswith("#"):
        last += 1
    return last


def take(lines: list[str], spans: Sequence[Span], place: int) -> list[str]:
    """Without the block `place`, and without the blank lines below it; of the last one, those above it."""
    start, end = spans[place]
    below = end
    while below < len(lines) and not lines[below].strip():
        below += 1
    if below < len(lines):
        return lines[:start] + lines[below:]
    while start > 0 and not lines[start - 1].strip():
        start -= 1
    return lines[:start] + lines[end:]


def insert(lines: list[str], spans: Sequence[Span], place: int, block: Sequence[str], *, apart: Sequence[str] = ()) -> list[str]:
    """With `block` as the block `place`, as far from the others as they are from each other; `apart`: where there is only one."""
    apart = next((_gap(lines, end) for _, end in spans[:-1]), apart)
    if place < len(spans):
        start = spans[place][0]
        return [*lines[:start], *block, *apart, *lines[start:]]
    end = spans[-1][1]
    return [*lines[:end], *apart, *block, *lines[end:]]


def _gap(lines: Sequence[str], end: int) -> list[str]:
    """The blank lines below a block."""
    below = end
    while below < len(lines) and not lines[below].strip():
        below += 1
    return [""] * (below - end) if below < len(lines) else []


def move(lines: list[str], spans: Sequence[Span], source: int, target: int) -> list[str]:
    """With the block `source` as the block `target`."""
    order = list(range(len(spans)))
    order.insert(target, order.pop(source))
    result, reached = list[str](), 0
    for (start, end), which in zip(spans, order, strict=True):
        result += lines[reached:start]
        result += lines[slice(*spans[which])]
        reached = end
    return result + lines[reached:]
