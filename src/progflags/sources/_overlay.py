"""
One environment's tables laid over the document: what staging has otherwise than everybody else.

Tables of named things merge name by name; a value, and that is a list too, takes the place of the other. What is one value though it
is written as a table (a condition, a split, a ramp, a variant's value) is replaced whole, for half of one and half of another is
neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["ENVIRONMENTS", "SECTIONS", "overlay"]

Path = tuple[Any, ...]

ENVIRONMENTS: Final = "environments"
SECTIONS: Final = ("flags", "segments", "groups", "holdouts", "context", "profiles", "notify")
"""The tables of a document that hold entries by name."""

_NAMED: Final = frozenset({"variants", "rollout", "metadata"})
"""The tables of a flag that hold things by name."""

_INSTEAD: Final[Mapping[str, frozenset[str]]] = {
    "percent": frozenset({"ramp", "rollout"}),
    "ramp": frozenset({"percent", "rollout"}),
    "serve": frozenset({"split", "rollout"}),
    "split": frozenset({"serve", "rollout"}),
    "from": frozenset({"rollout"}),
    "until": frozenset({"rollout"}),
    "rollout": frozenset({"percent", "ramp", "serve", "split", "from", "until"}),
}
"""
What a flag can't say at once, so that one of them takes the place of the other: "in staging everybody has it" is `percent = 100` over a
flag that is rolled out, and nothing else has to be taken away.
"""


def overlay(document: Mapping[str, Any], over: Mapping[str, Any], note: Callable[[Path, bool], object]) -> dict[str, Any]:
    """
    `document` with `over` laid over it; neither is changed.

    `note(path, whole)` is told of everything that comes from `over`: `whole`, with all that lies in it; else the table is there in
    both, and only what is noted besides comes from here.
    """
    return _lay(document, over, (), note)


def _lay(base: Mapping[str, Any], over: Mapping[str, Any], path: Path, note: Callable[[Path, bool], object]) -> dict[str, Any]:
    gone = _displaced(over) if len(path) == 2 and path[0] == "flags" else frozenset()
    found = {key: value for key, value in base.items() if key not in gone}
    for key, value in over.items():
        place, there = (*path, key), base.get(key)
        merges = _by_name(place) and isinstance(value, Mapping) and isinstance(there, Mapping)
        note(place, not merges)
        found[key] = _lay(there, value, place, note) if merges and isinstance(there, Mapping) else value
    return found


def _by_name(path: Path) -> bool:
    """Whether the table at `path` holds named things, so that two of them are merged."""
    return path[0] in SECTIONS and (len(path) < 3 or (len(path) == 3 and path[0] == "flags" and path[2] in _NAMED))


def _displaced(over: Mapping[str, Any]) -> frozenset[str]:
    """The keys of a flag that what is laid over it takes the place of."""
    return frozenset(gone for key in over for gone in _INSTEAD.get(key, ())) - over.keys()
