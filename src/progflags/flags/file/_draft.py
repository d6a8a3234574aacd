"""A draft: a flag of a file whose fields are right one by one, being put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from progflags.flags._model import BOOLEAN, Rule, Unit, make_rule
from progflags.flags._problems import Path, Problems, suggest
from progflags.flags.file._parts import Parts

__all__ = ["Draft", "Report", "Shared", "Values", "json_list", "unit_named", "variant_named"]

_KEY = Unit()
_SHARED = 1000  # rules remembered while a document is read

Report = Callable[[Path, str, str], object]
"""Takes what is wrong: where, what, and a hint."""


class Values(NamedTuple):
    """A flag's variants by name, and the type of their values."""

    variants: Mapping[str, Any]
    kind: str


class Shared:
    """What the flags of one document have in common."""

    def __init__(self, parts: Parts, problems: Problems) -> None:
        self.parts = parts
        self.problems = problems
        self._known: dict[tuple[Any, ...], tuple[Rule]] = {}

    def rule(self, name: str, when: Any, *rest: Any) -> tuple[Rule]:
        """A rule as a row of one. Flags with the same rule share it, which is half of what 10,000 flags cost memory and collector."""
        key = (name, id(when), *rest)  # an id that can't pass to another condition: the remembered rule holds its own
        known = self._known.get(key)
        if known is None:
            known = (make_rule(name, when, *rest),)
            if len(self._known) < _SHARED:
                self._known[key] = known
        return known


class Draft:
    """One flag; `wrong` says what is wrong with it, and then it is not `sound`."""

    def __init__(self, shared: Shared, key: str, found: Mapping[str, Any], values: Values, report: Report) -> None:
        self.shared = shared
        self.key = key
        self.found = found
        self.report = report
        self.variants, self.kind = values
        self.sound = True
        self.unit = unit_named(found.get("unit", ()))

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        self.report(path, message, hint)
        self.sound = False

    def name(self, path: Path, written: str | bool) -> str:
        """The variant's name, which must be one."""
        name = variant_named(self.variants, written)
        if name is None:
            self.wrong(path, f"there is no variant {str(written)!r}", suggest(written, self.variants))
        return name or ""

    def default(self) -> str:
        """What is served when no rule matched."""
        if "default" in self.found:
            return self.name(("default",), self.found["default"])
        if self.variants is BOOLEAN:
            return "off"
        if self.kind == "boolean":
            name = variant_named(self.variants, False)
            if name is not None:
                return name
        if len(self.variants) == 1:
            return next(iter(self.variants))
        self.wrong((), "'default' is missing: the variant when no rule matched", suggest("", self.variants))
        return ""

    def on(self, default: str) -> str | None:
        """What a share gets when nothing says so: `on`, or the only variant that is not the default."""
        if self.variants is BOOLEAN:
            return "on"
        if self.kind == "boolean":
            name = variant_named(self.variants, True)
            if name is not None:
                return name
        others = [name for name in self.variants if name != default]
        return others[0] if len(others) == 1 else None


def unit_named(groups: tuple[tuple[str, ...], ...]) -> Unit:
    """A unit as written; the targeting key by its name is the targeting key."""
    return _KEY if groups in ((), (("targeting_key",),)) else Unit(groups)


def variant_named(variants: Mapping[str, Any], written: str | bool) -> str | None:
    """The name of a variant as written: a name, or true/false for the variant with that value. None: there is none."""
    if isinstance(written, bool):
        return next((name for name, value in variants.items() if value is written), None)
    return written if written in variants else None


def json_list(names: Iterable[str]) -> str:
    """Choices as a file would write them."""
    return " or ".join(f'"{name}"' for name in names)
