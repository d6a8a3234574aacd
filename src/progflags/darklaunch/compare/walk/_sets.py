"""How two sets are compared."""

from __future__ import annotations

from typing import Any

from progflags.darklaunch.compare._paths import INDEX, Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare.walk._mappings import retyped
from progflags.darklaunch.compare.walk._regrouped import bag
from progflags.darklaunch.compare.walk._walk import Walk

__all__ = ["members"]


def members(walk: Walk, a: Any, b: Any, path: Path, state: State | None) -> None:
    """Of a pair that was entered."""
    below, inside = (path, INDEX), None if state is None else state.step(INDEX)
    if inside is not None:
        found = bag(walk, list(a), list(b), path, inside)
        if found is None:
            return
        a, b = set(found[0]), set(found[1])
    for value, other in retyped(walk, a, b):
        walk.differ(below, "type", value, other)
    for value in a - b:
        walk.differ(below, "missing", value, None)
    if not (b <= a) and not walk.use(state, "subset"):
        for value in b - a:
            walk.differ(below, "extra", None, value)
