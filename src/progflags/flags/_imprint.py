"""
The imprint of a flag: a mark that is the same for two definitions exactly where they decide the same way.

What decides is in it: type, values, rules with the conditions of their segments in place, unit, salt, prerequisites, group,
holdout, `enabled`. What speaks of the flag is not: owner, description, tags, tests, metadata, the names of rules and segments, and
the plan of its rollout.

Changes that are under way, or done and not in the file yet, hold imprints of both their definitions, and another version of
progflags compares them with its own. So a field that is added later counts only where it is not at its default, and
tests/golden/imprints.json holds what must never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Final

from progflags._json import digest
from progflags.flags._model import FlagModel, Rule
from progflags.flags.conditions import Named

__all__ = ["imprint"]

_DECIDING: Final = (
    "type",
    "variants",
    "default",
    "safe",
    "unit",
    "salt",
    "rules",
    "requires",
    "slot",
    "holdout",
    "enabled",
    "skips",
)


def imprint(flag: FlagModel) -> str:
    """The mark of what `flag` decides, as 32 hexadecimal digits."""
    return digest({name: _told(getattr(flag, name)) for name in _DECIDING})[:32]


def _told(value: Any) -> Any:
    if isinstance(value, Named):
        return _told(value.part)
    if is_dataclass(value) and not isinstance(value, type):
        counted = (part for part in fields(value) if part.compare)
        told = {part.name: _told(found) for part in counted if (found := getattr(value, part.name)) != _usual(part)}
        if isinstance(value, Rule):
            del told["name"]
        return {type(value).__name__: told}
    if isinstance(value, Mapping):
        return {"table": [[str(name), _told(value[name])] for name in value]}  # in order, for a split's order decides
    if isinstance(value, (tuple, list)):
        return [_told(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    # Python takes 1, 1.0 and true for the same, and a flag does not.
    return value if value is None or isinstance(value, (bool, str)) else [type(value).__name__, str(value)]


def _usual(part: Field[Any]) -> Any:
    if part.default is not MISSING:
        return part.default
    return part.default_factory() if part.default_factory is not MISSING else MISSING
