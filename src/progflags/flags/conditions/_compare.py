"""One comparison of an attribute: compiled, and in words. A missing or null attribute matches nothing; ask `exists`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, Final

from progflags._printed import printable
from progflags.flags._problems import meant
from progflags.flags.conditions._checks import Check, flat
from progflags.flags.conditions._literals import FromNow, Literal
from progflags.flags.conditions._operators import predicate, texts
from progflags.flags.conditions._setting import ALONE, Setting
from progflags.flags.conditions._texts import Texts
from progflags.flags.conditions._unfit import Heard, unfit, unheard
from progflags.flags.conditions._values import foreign, is_table, named, shown_value

__all__ = ["KEY", "MOST", "Compare", "absent", "asked", "dotted_name", "follow", "given", "shown_literal", "typed"]

KEY: Final = "targeting_key"
"""The name by which conditions and units speak of the context's own key."""
MOST: Final = 10
"""How many of a list's items, and of a condition's parts, are spelled out for people."""


def shown_literal(value: Literal) -> str:
    """For people: of a list of 50,000 ids the first few and how many there are."""
    if isinstance(value, tuple):
        more = f", … and {len(value) - MOST:,} more" if len(value) > MOST else ""
        return "[" + ", ".join(shown_literal(item) for item in value[:MOST]) + more + "]"
    plain = isinstance(value, (str, int, float))
    return printable(json.dumps(value, ensure_ascii=False) if plain else str(value), 120)


def dotted_name(path: tuple[str, ...]) -> str:
    """An attribute for people: `user.plan`."""
    return ".".join(path)


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of one attribute with a literal."""

    path: tuple[str, ...]
    op: str
    value: Literal

    @property
    def name(self) -> str:
        return dotted_name(self.path)

    def __eq__(self, other: object) -> bool:
        """`beta == true` and `beta == 1` are two, though Python takes 1 for True."""
        return isinstance(other, Compare) and (self.path, self.op, typed(self.value)) == (other.path, other.op, typed(other.value))

    def __hash__(self) -> int:
        return hash((self.path, self.op, self.value))

    def compile(self, setting: Setting = ALONE) -> Check:
        if self.op == "exists":
            return self._exists()
        value = self.value.due(setting.now) if isinstance(self.value, FromNow) else self.value
        heard = self._heard(setting)
        if self.name == KEY:
            test = predicate(self.op, value)
            return lambda kb, _: kb is not None and test(kb.decode())
        if len(self.path) == 1:
            return flat(self.name, self.op, value, heard)
        path, test = self.path, predicate(self.op, value, heard)
        return lambda _, attributes: (found := follow(attributes, path)) is not None and test(found)

    def texts(self, setting: Setting = ALONE) -> tuple[str, Texts] | None:
        """The attribute and the texts that pass, for a comparison of a top-level attribute that only texts can pass."""
        if len(self.path) > 1 or self.name == KEY or self.op == "exists":
            return None
        known = texts(self.op, self.value, self._heard(setting))
        return None if known is None else (intern(self.name), known)

    def _heard(self, setting: Setting) -> Heard:
        return unheard if setting.uncompared is None else setting.uncompared.of(self.path, self.op, self.value, self.__str__)

    def _exists(self) -> Check:
        path, wanted = self.path, self.value
        if path == (KEY,):
            return lambda kb, _: (kb is not None) is wanted
        return lambda _, attributes: (follow(attributes, path) is not None) is wanted

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        """Does it match, and the sentence that says why (not)."""
        matched = self.compile(Setting(setting.now))(kb, attributes)
        if matched:
            return True, str(self)
        found = given(self.path, kb, attributes)
        if found is None:
            return False, f"{self} is not so: {absent(self.path, attributes)}"
        cause = unfit(self.op, self.value, found)
        if cause and foreign(found):
            return False, f"{self} is not so: {self.name} is not compared: {cause}"
        return False, f"{self} is not so: {self.name} is {shown_value(found)}{f', not compared: {cause}' if cause else ''}"

    def uncompared(self, kb: bytes | None, attributes: Mapping[str, Any]) -> str:
        """`price is not compared: a Foo`, where the attribute's value can't be; else nothing."""
        cause = unfit(self.op, self.value, given(self.path, kb, attributes))
        return f"{self.name} is not compared: {cause}" if cause else ""

    def leaves(self) -> Iterator[Compare]:
        yield self

    def __str__(self) -> str:
        if self.op == "exists":
            return f"exists({self.name})" if self.value else f"not exists({self.name})"
        return f"{printable(self.name, 120)} {'in' if self.op == 'cidr' else self.op} {shown_literal(self.value)}"


def typed(value: Literal) -> object:
    return [(type(item), item) for item in value] if isinstance(value, tuple) else (type(value), value)


def follow(attributes: Any, path: Sequence[str]) -> Any:
    """The value at a path of nested tables, None where there is none."""
    for name in path:
        if not is_table(attributes) or name not in attributes:
            return None
        attributes = attributes[name]
    return attributes


def given(path: tuple[str, ...], kb: bytes | None, attributes: Mapping[str, Any]) -> Any:
    """What a context has at a path, None where it has nothing."""
    return (None if kb is None else kb.decode()) if path[0] == KEY else follow(attributes, path)


def absent(path: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    """That an attribute is missing, and what may be meant."""
    return f"{dotted_name(path)} is missing{_instead(path, attributes)}"


def _instead(path: tuple[str, ...], attributes: Mapping[str, Any]) -> str:
    """What stands where an attribute is missing: a part of its path that is no table, or a name much like it."""
    if path[0] == KEY:
        return ""
    for length in range(1, len(path)):
        part = follow(attributes, path[:length])
        if part is not None and not is_table(part):
            return f", for {dotted_name(path[:length])} is {named(part)} and no table"
    above = attributes if len(path) == 1 else follow(attributes, path[:-1])
    hint = meant(path[-1], () if above is None else above)
    return f" ({hint})" if hint else ""


def asked(path: tuple[str, ...]) -> Compare:
    """All that a condition asks of an attribute from which it works something out: that it is there."""
    return Compare(path, "exists", True)
