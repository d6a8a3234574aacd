"""How two objects are compared: by a comparison of their class's own, by what is in them, or by `==`; and two of different classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from progflags.darklaunch.compare._arrays import SAME, Leeway, SpecialDiff
from progflags.darklaunch.compare._paths import Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare._views import is_closed, opened, special
from progflags.darklaunch.compare.walk._mappings import entries
from progflags.darklaunch.compare.walk._scalars import equal
from progflags.darklaunch.compare.walk._sequences import items
from progflags.darklaunch.compare.walk._sets import members
from progflags.darklaunch.compare.walk._walk import Handler, Walk

__all__ = ["objects", "of_two_types"]

_LOOSE: Final = {"fields": "mapping"}  # shapes that are as good as one another where classes don't matter


def objects(walk: Walk, a: Any, b: Any, path: Path, state: State | None) -> None:
    compare = special(a)
    if compare is not None and _special(compare, walk, (a, b), path, state):
        return None
    inside = _open(walk, a, b, {})
    if inside is not None:
        return _inside(walk, inside, path, state) if walk.new(a, b, state) else None
    if isinstance(a, BaseException):
        return None if a.args == b.args else walk.differ(path, "exception", a, b)
    if is_closed(a):
        return walk.give_up(path, a, b)
    answer = a == b
    if answer is True:
        return None
    return walk.differ(path, "value", a, b) if answer is False else walk.give_up(path, a, b)


def of_two_types(walk: Walk, a: Any, b: Any, path: Path, state: State | None) -> None:
    """Two classes are two values, unless `strict=False` looks at what they hold."""
    if not walk.strict:
        if isinstance(a, (int, float, complex)) and isinstance(b, (int, float, complex)):
            return None if equal(a, b) else walk.differ(path, "value", a, b)
        if isinstance(a, str) and isinstance(b, str):
            return None if str.__eq__(a, b) else walk.differ(path, "value", a, b)
        inside = _open(walk, a, b, _LOOSE)
        if inside is not None:
            return _inside(walk, inside, path, state) if walk.new(a, b, state) else None
    return walk.differ(path, "type", a, b)


def _special(compare: SpecialDiff, walk: Walk, pair: tuple[Any, Any], path: Path, state: State | None) -> bool:
    """Whether its own comparison has decided; else it is looked into."""
    a, b = pair
    absolute, relative = walk.leeway(state)
    kind = compare(a, b, Leeway(absolute, relative, walk.strict))
    if kind is None:
        return False
    if kind != SAME:
        walk.differ(path, kind, a, b)
    elif absolute or relative:
        walk.use(state, "tolerance")
    return True


def _open(walk: Walk, a: Any, b: Any, names: Mapping[str, str]) -> tuple[str, Any, Any] | None:
    """What both open into, where that is of one shape; `names` calls shapes the same."""
    room = walk.budget.nodes - walk.nodes + 1
    left = opened(a, room)
    right = None if left is None else opened(b, room)
    if left is None or right is None or names.get(left[0], left[0]) != names.get(right[0], right[0]):
        return None
    walk.kept += (left[1], right[1])
    return left[0], left[1], right[1]


def _inside(walk: Walk, inside: tuple[str, Any, Any], path: Path, state: State | None) -> None:
    shape, a, b = inside
    walk.count(len(a) + len(b))
    if _SHAPES[shape] is entries and set(a) == {"view"} == set(b):
        walk.stack.append((a["view"], b["view"], path, state))
    else:
        _SHAPES[shape](walk, a, b, path, state)


_SHAPES: Final[Mapping[str, Handler]] = {"items": items, "set": members, "mapping": entries, "fields": entries}
