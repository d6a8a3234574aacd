"""What the flags of one file share: segments, groups, holdouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from progflags.flags._model import Holdout, Unit
from progflags.flags.file._segments import Segments

__all__ = ["Group", "Parts"]


@dataclass(frozen=True, slots=True)
class Group:
    """An exclusion group; `slots` maps flag → (start, end) ppm."""

    name: str
    salt: str
    unit: Unit
    slots: Mapping[str, tuple[int, int]]


@dataclass(slots=True)
class Parts:
    """What flags refer to by name. A name that is `wrong` is defined, but badly; that has been reported already."""

    segments: Segments = field(default_factory=lambda: Segments({}, set()))
    groups: dict[str, Group] = field(default_factory=dict)
    holdouts: dict[str, Holdout] = field(default_factory=dict)
    wrong: set[tuple[str, str]] = field(default_factory=set)
