"""How two atoms are compared."""

from __future__ import annotations

from typing import Any

from progflags.darklaunch.compare._paths import Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare.walk._walk import Walk

__all__ = ["equal", "scalar"]


def equal(a: Any, b: Any) -> bool:
    """Equality of atoms; a NaN is the one atom that is not itself."""
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - only NaN answers so


def scalar(walk: Walk, a: Any, b: Any, path: Path, _: State | None) -> None:
    if not equal(a, b):
        walk.differ(path, "value", a, b)
