"""Segments by name → their conditions in place, so that a flag carries everything it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from operator import is_
from typing import Final

from progflags.flags._problems import Wrong, suggest
from progflags.flags.conditions import Among, Every, Named, Never, Node, Some
from progflags.flags.file._requires import circular

__all__ = ["Segments", "named"]

_DEEPEST: Final = 32  # segments in segments
_LEVELS: Final = 100  # ands, ors, nots and segments within each other: each of them is a call or two of every evaluation
_LARGEST: Final = 10_000  # comparisons: a segment that is named twice counts twice, and so on down


@dataclass(frozen=True, slots=True)
class _Size:
    """How large a condition is with its segments in place: its comparisons, its levels, and how many segments are in each other."""

    comparisons: int = 1
    levels: int = 1
    segments: int = 0

    @classmethod
    def around(cls, parts: Collection[_Size], *, segment: bool = False) -> _Size:
        return cls(
            sum(part.comparisons for part in parts),
            1 + max(part.levels for part in parts),
            segment + max(part.segments for part in parts),
        )


class Segments:
    """
    The segments of a document. `raw` are their conditions as written; `wrong` names those that are wrong by themselves.

    Each is filled in once, however many ask for it, and conditions that name it share it.
    """

    def __init__(self, raw: Mapping[str, Node], wrong: Collection[tuple[str, str]]) -> None:
        self._raw = raw
        self._wrong = wrong
        self._done: dict[str, tuple[Node, _Size]] = {}

    def named(self, name: str) -> Node:
        """
        The condition of a segment.

        Raises:
            Wrong: it does not exist, is itself wrong, contains itself, or is too large.
        """
        return self._named(name, ())[0]

    def fill(self, node: Node) -> Node:
        """`node` with every `segment("…")` filled in. Raises as `named` does."""
        filled, size = self._fill(node, ())
        _fits(size)
        return filled

    def _named(self, name: str, trail: tuple[str, ...]) -> tuple[Node, _Size]:
        if name in trail:
            raise Wrong(f"the segments go in a circle: {circular((*trail[trail.index(name) :], name))}", "take one of them out")
        if ("segment", name) in self._wrong:
            raise Wrong(f"segment {name!r} is itself wrong", "see its own message")
        if name not in self._raw:
            raise Wrong(f"there is no segment {name!r}", suggest(name, self._raw))
        if len(trail) > _DEEPEST:
            raise Wrong(f"segments nested deeper than {_DEEPEST} levels")
        if name not in self._done:
            node, size = self._fill(self._raw[name], (*trail, name))
            _fits(size)
            self._done[name] = node, size
        return self._done[name]

    def _fill(self, node: Node, trail: tuple[str, ...]) -> tuple[Node, _Size]:
        if isinstance(node, Named):
            inner, size = self._named(node.name, trail)
            return Named(node.name, inner), _Size.around([size], segment=True)
        if isinstance(node, (Every, Some)):
            filled = [self._fill(part, trail) for part in node.parts]
            parts = tuple([part for part, _ in filled])
            # The same condition on many flags stays one object where there is nothing to fill in.
            return node if all(map(is_, parts, node.parts)) else type(node)(parts), _Size.around([size for _, size in filled])
        if isinstance(node, Never):
            part, size = self._fill(node.part, trail)
            return node if part is node.part else Never(part), _Size.around([size])
        if isinstance(node, Among):
            part, size = self._fill(node.part, trail)
            return node if part is node.part else Among(node.path, part), _Size.around([size])
        return node, _ONE


_ONE: Final = _Size()


def _fits(size: _Size) -> None:
    if size.segments > _DEEPEST:
        raise Wrong(f"segments nested deeper than {_DEEPEST} levels")
    if size.levels > _LEVELS:
        raise Wrong(f"nested deeper than {_LEVELS} levels, its segments included", "say it flatter: `a and b and c` is one level")
    if size.comparisons > _LARGEST:
        message = f"{size.comparisons:,} comparisons, its segments included; at most {_LARGEST:,} are made"
        raise Wrong(message, "name each segment once, and compare with several values by `in`")


def named(node: Node) -> Iterator[str]:
    """The segments a condition speaks of, those within segments included."""
    if isinstance(node, Named):
        yield node.name
    parts = node.parts if isinstance(node, (Every, Some)) else (node.part,) if isinstance(node, (Never, Named, Among)) else ()
    for part in parts:
        if part is not None:
            yield from named(part)
