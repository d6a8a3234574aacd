"""How two lists are compared: place by place, unless a rule pairs their elements otherwise."""

from __future__ import annotations

from typing import Any

from progflags.darklaunch.compare._paths import INDEX, Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare.walk._bag import Freezer
from progflags.darklaunch.compare.walk._columns import MANY
from progflags.darklaunch.compare.walk._regrouped import bag, by_key, unordered
from progflags.darklaunch.compare.walk._walk import PLAIN, Pair, Walk

__all__ = ["items", "sequence"]


def sequence(walk: Walk, a: Any, b: Any, path: Path, state: State | None) -> None:
    if walk.enter(a, b, state):
        items(walk, a, b, path, state)


def items(walk: Walk, a: Any, b: Any, path: Path, state: State | None) -> None:
    """Of a pair that was entered."""
    if state is not None and state.rules.keys() & {"by_key", "unordered"}:
        return _regrouped(walk, a, b, path, state)
    if len(a) != len(b):
        return walk.differ(path, "length", len(a), len(b))
    found, columns = _in_order(walk, a, b, path, state)
    if state is None and len(found) > 1 and _only_order(found):
        return walk.differ(path, "order", None, None)
    if columns:
        walk.stack += reversed(found)
        return None
    return walk.descend(found)


def _in_order(walk: Walk, a: Any, b: Any, path: Path, state: State | None) -> tuple[list[Pair], bool]:
    """The pairs at one place that are worth walking, and whether columns have left them."""
    below = (path, INDEX)
    inside = None if state is None or state.indexed else state.step(INDEX)
    found: list[Pair] = []
    columns = len(a) >= MANY and not (state is not None and state.indexed)
    for index in walk.columns.left(a, b, inside) if columns else range(len(a)):
        left, right = a[index], b[index]
        kind = type(left)
        # Two NaNs are no difference here either, or a list of them would pass for one in another order.
        if kind is type(right) and kind in PLAIN and (left == right or (left != left and right != right)):  # noqa: PLR0124
            continue
        if state is not None and state.indexed:
            inside = state.step(index)
        if inside is None or not walk.close(left, right, inside):
            found.append((left, right, below, inside))
    return found, columns


def _only_order(found: list[Pair]) -> bool:
    a, b = [pair[0] for pair in found], [pair[1] for pair in found]
    if not (PLAIN.issuperset(map(type, a)) and PLAIN.issuperset(map(type, b))):
        return False
    return len(Freezer().twins(a, b, None)) == len(a)


def _regrouped(walk: Walk, a: Any, b: Any, path: Path, state: State) -> None:
    """`unordered`, `by_key` or both: they only ever allow, so what is the same in order, or as a bag, stays the same."""
    in_order = "by_key" in state.rules or state.indexed
    if in_order and len(a) == len(b) and walk.fits(_in_order(walk, a, b, path, state)[0]):
        return None
    if "by_key" in state.rules and not ("unordered" in state.rules and bag(walk, a, b, path, state.step(INDEX)) == ([], [])):
        return by_key(walk, a, b, path, state)
    return unordered(walk, a, b, path, state)
