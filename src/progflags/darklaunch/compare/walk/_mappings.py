"""How two mappings are compared: key by key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from progflags.darklaunch.compare._paths import KEY, MANY_KEYS, Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare.walk._walk import ABSENT, PLAIN, Pair, Walk

__all__ = ["entries", "mapping", "retyped"]

_TEXT: Final[frozenset[type]] = frozenset({str})


def mapping(walk: Walk, a: dict[Any, Any], b: dict[Any, Any], path: Path, state: State | None) -> None:
    if walk.enter(a, b, state):
        entries(walk, a, b, path, state)


def entries(walk: Walk, a: dict[Any, Any], b: dict[Any, Any], path: Path, state: State | None) -> None:
    """Of a pair that was entered."""
    many = len(a) > MANY_KEYS
    found: list[Pair] = []
    missing = 0
    for key, left in a.items():
        right = b.get(key, ABSENT)
        kind = type(left)
        if kind is type(right) and kind in PLAIN and left == right:
            continue
        if right is ABSENT:
            missing += 1
            if not walk.ignored(state, key):
                walk.differ((path, KEY if many else key), "missing", left, None)
        else:
            below = None if state is None else state.step(key)
            if below is None or not walk.close(left, right, below):
                found.append((left, right, (path, KEY if many else key), below))
    walk.descend(found)
    for key, other in retyped(walk, a, b):
        walk.differ((path, KEY if many else key), "type", key, other)
    if len(b) != len(a) - missing and not walk.use(state, "subset"):
        for key, right in b.items():
            if key not in a and not walk.ignored(state, key):
                walk.differ((path, KEY if many else key), "extra", None, right)


def retyped(walk: Walk, a: Collection[Any], b: Collection[Any]) -> list[tuple[Any, Any]]:
    """Keys that are equal and of two classes: 1 and True are one key to a dict, and two values."""
    if not walk.strict or _TEXT.issuperset(map(type, a)):
        return []
    others = {key: key for key in b}
    return [(key, others[key]) for key in a if type(others.get(key, key)) is not type(key)]
