"""How elements are compared that are paired otherwise than by place: as a bag, or by a key of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from progflags.darklaunch.compare._paths import INDEX, Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare.walk._bag import Freezer, TooMuchError, by_size, grouped, pair
from progflags.darklaunch.compare.walk._walk import Pair, Walk

__all__ = ["bag", "by_key", "unordered"]


def unordered(walk: Walk, a: Any, b: Any, path: Path, state: State) -> None:
    walk.use(state, "unordered")
    found = bag(walk, a, b, path, state.step(INDEX))
    if found is not None:
        _apart(walk, found, path, state)


def by_key(walk: Walk, a: Any, b: Any, path: Path, state: State) -> None:
    keys, inside = state.rules["by_key"].value, state.step(INDEX)
    freezer = Freezer(strict=walk.strict)
    left, right = grouped(a, keys, freezer, inside), grouped(b, keys, freezer, inside)
    walk.use(state, "by_key")
    found: list[Pair] = []
    for key in dict.fromkeys((*left, *right)):
        these, those = left.get(key, []), right.get(key, [])
        if len(these) == 1 == len(those):
            found.append((these[0], those[0], (path, INDEX), inside))
        else:
            rest = bag(walk, these, those, path, inside)
            if rest is not None:
                _apart(walk, rest, path, state)
    walk.descend(found)


def bag(walk: Walk, a: Sequence[Any], b: Sequence[Any], path: Path, inside: State | None) -> tuple[list[Any], list[Any]] | None:
    """The elements of each that have no partner in the other. None: it can't be told, and that was said."""
    doubts = len(walk.uncomparable)
    without: tuple[list[Any], list[Any]] = ([], [])
    for these, those in Freezer(strict=walk.strict).blocks(a, b, inside):
        try:
            left, right = _block(walk, these, those, inside)
        except TooMuchError as error:
            walk.give_up(path, a, b, str(error))
            return None
        without[0].extend(left)
        without[1].extend(right)
    if without == ([], []):
        del walk.uncomparable[doubts:]  # of pairs that need not be
    elif len(walk.uncomparable) > doubts:
        return None
    return without


def _block(walk: Walk, a: list[Any], b: list[Any], inside: State | None) -> tuple[list[Any], list[Any]]:
    if not a or not b:
        return a, b
    if inside is not None:
        a, b = by_size(a), by_size(b)
    twins = Freezer(strict=walk.strict).twins(a, b, inside)
    left, right = pair(len(a), len(b), lambda one, other: walk.fits([(a[one], b[other], None, inside)]), twins)
    return [a[one] for one in left], [b[other] for other in right]


def _apart(walk: Walk, without: tuple[list[Any], list[Any]], path: Path, state: State) -> None:
    """Elements without a partner: held against each other where that says more than that they are not there."""
    left, right = without
    below, inside = (path, INDEX), state.step(INDEX)
    tolerant = inside is not None and bool(inside.rules.keys() & {"tolerance", "within", "opaque", "normalize"})
    if len(left) == len(right) and (tolerant or len(left) == 1 or "by_key" in state.rules):
        return walk.descend([(x, y, below, inside) for x, y in zip(by_size(left), by_size(right), strict=True)])
    for value in left:
        walk.differ(below, "missing", value, None)
    for value in right:
        walk.differ(below, "extra", None, value)
    return None
