"""Tables of a file: which keys there are, what each may hold, and reading one by that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from progflags.flags._freeze import freeze
from progflags.flags._problems import Path, Wrong, shown, suggest, word

__all__ = ["DEEPEST", "Fields", "Kind", "among", "is_table", "listed", "read", "table"]

DEEPEST: Final = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """`check(value)` gives the value as the house uses it, or raises Wrong. `schema` is its JSON Schema."""

    check: Callable[[Any], Any]
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Fields:
    """
    The keys a table may have. `x-…` keys are the author's own and pass unread.

    `name`: what its keys mean is found by it. `elsewhere`: what to write instead of a word that other systems have, in small
    letters without `_` and `-`.
    """

    name: str
    kinds: Mapping[str, Kind]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = field(init=False)
    checks: Mapping[str, Callable[[Any], Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "required", tuple(key for key, kind in self.kinds.items() if kind.required))
        object.__setattr__(self, "checks", {key: kind.check for key, kind in self.kinds.items()})

    def hint(self, key: object) -> str:
        """What was perhaps meant by a key that the table doesn't have."""
        return self.elsewhere.get(word(key)[:40].lower().replace("_", "").replace("-", "")) or suggest(key, self.checks)

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "title": self.name,
            "properties": {key: dict(kind.schema) for key, kind in self.kinds.items()},
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
            **({"required": list(self.required)} if self.required else {}),
        }


def is_table(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is a table: nearly always a dict, which is asked ten times as quickly."""
    return type(value) is dict or isinstance(value, Mapping)


def read(value: Any, fields: Fields, report: Callable[[Path, str, str], object], at: Path = ()) -> dict[str, Any]:
    """
    The checked values of a table's known keys. Each mistake is reported and its key left out.

    `report(path, message, hint)`; `at` is put before every path.
    """
    if not is_table(value):
        report(at, f"a table is wanted here, not {shown(value)}", "")
        return {}
    checks = fields.checks
    found: dict[str, Any] = {}
    for key, item in value.items():
        check = checks.get(key)
        if check is None:
            if not (isinstance(key, str) and key.startswith("x-")):
                report((*at, word(key)), f"unknown key {word(key)!r}", fields.hint(key))
            continue
        try:
            found[key] = check(item)
        except Wrong as wrong:
            report((*at, key, *wrong.path), wrong.message, wrong.hint)
    for key in fields.required:
        if key not in value:
            report(at, f"{key!r} is missing", "")
    return found


def among(*words: str) -> Kind:
    """One of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Wrong(f"one of {', '.join(words)} is wanted here, not {shown(value)}", suggest(value, words))
        return value

    return Kind(check, {"enum": list(words)})


def listed(kind: Kind, *, least: int = 0) -> Kind:
    """A list of one kind."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) < least:
            raise Wrong(f"a list is wanted here, not {shown(value)}")
        found = []
        for at, item in enumerate(value):
            try:
                found.append(kind.check(item))
            except Wrong as wrong:
                raise Wrong(wrong.message, wrong.hint, (at, *wrong.path)) from None
        return tuple(found)

    return Kind(check, {"type": "array", "items": dict(kind.schema), **({"minItems": least} if least else {})})


def table(fields: Fields, *, keep: bool = False) -> Kind:
    """A table of known keys; `keep` gives it back as written and frozen, else as checked."""

    def check(value: Any) -> Any:
        def stop(path: Path, message: str, hint: str) -> None:
            raise Wrong(message, hint, path)

        found = read(value, fields, stop)
        return freeze(value) if keep else found

    return Kind(check, fields.schema)
