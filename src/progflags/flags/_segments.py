"""Segments by name → their conditions in place, so that a flag carries everything it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from operator import is_

from progflags.flags._conditions import Every, Named, Never, Node, Some
from progflags.flags._problems import Wrong, suggest

__all__ = ["named", "resolve"]

_DEEPEST = 32


def resolve(node: Node, segments: Mapping[str, Node], wrong: Collection[tuple[str, str]], trail: tuple[str, ...] = ()) -> Node:
    """
    `node` with every `segment("…")` filled in. `trail` names the segments being filled in around it.

    Raises:
        Wrong: a segment that does not exist, is itself wrong, or contains itself.
    """
    if isinstance(node, Named):
        return Named(node.name, _inner(node.name, segments, wrong, trail))
    if isinstance(node, (Every, Some)):
        parts = tuple([resolve(part, segments, wrong, trail) for part in node.parts])
        # The same condition on many flags stays one object where there is nothing to fill in.
        return node if all(map(is_, parts, node.parts)) else type(node)(parts)
    if isinstance(node, Never):
        part = resolve(node.part, segments, wrong, trail)
        return node if part is node.part else Never(part)
    return node


def named(node: Node) -> Iterator[str]:
    """The segments a condition speaks of, those within segments included."""
    if isinstance(node, Named):
        yield node.name
    parts = node.parts if isinstance(node, (Every, Some)) else (node.part,) if isinstance(node, (Never, Named)) else ()
    for part in parts:
        if part is not None:
            yield from named(part)


def _inner(name: str, segments: Mapping[str, Node], wrong: Collection[tuple[str, str]], trail: tuple[str, ...]) -> Node:
    if name in trail:
        raise Wrong(f"the segments go in a circle: {' → '.join((*trail[trail.index(name) :], name))}", "take one of them out")
    if ("segment", name) in wrong:
        raise Wrong(f"segment {name!r} is itself wrong", "see its own message")
    if name not in segments:
        raise Wrong(f"there is no segment {name!r}", suggest(name, segments))
    if len(trail) >= _DEEPEST:
        raise Wrong(f"segments nested deeper than {_DEEPEST} levels")
    return resolve(segments[name], segments, wrong, (*trail, name))
