"""
The condition tree: who a rule is for.

A condition is written as an expression (`plan == "pro" and app >= semver("2.1.0")`, see _expression.py) or as a tree of
tables (see _tree.py); both become the nodes of this file. A missing or null attribute matches nothing: every comparison with
it is false, `!=` and `not in` too; ask `exists`. Two-valued logic otherwise, so `not (plan == "pro")` is true for somebody
without a plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from types import MappingProxyType
from typing import Any, Final

from progflags._printed import printable, quoted, several
from progflags.flags._problems import meant
from progflags.flags.conditions._checks import Check, all_of, any_of, flat
from progflags.flags.conditions._literals import Literal, Moment, Network, SemVer
from progflags.flags.conditions._operators import predicate, texts
from progflags.flags.conditions._texts import Texts
from progflags.flags.conditions._unfit import Heard, Uncompared, unfit, unheard
from progflags.flags.conditions._values import foreign, named, shown_value

__all__ = ["KEY", "Compare", "Every", "Named", "Never", "Node", "Some"]

KEY: Final = "targeting_key"
"""The name by which conditions and units speak of the context's own key."""
_MOST: Final = 10  # of a list's items, and of a condition's parts, that are spelled out for people


def _written(value: Literal) -> str:
    """For people: of a list of 50,000 ids the first few and how many there are."""
    if isinstance(value, tuple):
        more = f", … and {len(value) - _MOST:,} more" if len(value) > _MOST else ""
        return "[" + ", ".join(_written(item) for item in value[:_MOST]) + more + "]"
    text = str(value) if isinstance(value, (SemVer, Moment, Network)) else json.dumps(value, ensure_ascii=False)
    return printable(text, 120)


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of one attribute with a literal."""

    path: tuple[str, ...]
    op: str
    value: Literal

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def __eq__(self, other: object) -> bool:
        """`beta == true` and `beta == 1` are two, though Python takes 1 for True."""
        return isinstance(other, Compare) and (self.path, self.op, _typed(self.value)) == (other.path, other.op, _typed(other.value))

    def __hash__(self) -> int:
        return hash((self.path, self.op, self.value))

    def compile(self, uncompared: Uncompared | None = None) -> Check:
        if self.op == "exists":
            return self._exists()
        if self.name == KEY:
            test = predicate(self.op, self.value)
            return lambda kb, _: kb is not None and test(kb.decode())
        heard = self._heard(uncompared)
        return self._of_path(heard) if len(self.path) > 1 else flat(self.name, self.op, self.value, heard)

    def texts(self, uncompared: Uncompared | None = None) -> tuple[str, Texts] | None:
        """The attribute and the texts that pass, for a comparison of a top-level attribute that only texts can pass."""
        if len(self.path) > 1 or self.name == KEY or self.op == "exists":
            return None
        known = texts(self.op, self.value, self._heard(uncompared))
        return None if known is None else (intern(self.name), known)

    def _heard(self, uncompared: Uncompared | None) -> Heard:
        return unheard if uncompared is None else uncompared.of(self.path, self.op, self.value, self.__str__)

    def _exists(self) -> Check:
        path, wanted = self.path, self.value
        if path == (KEY,):
            return lambda kb, _: (kb is not None) is wanted
        return lambda _, attributes: (_follow(attributes, path) is not None) is wanted

    def _of_path(self, heard: Heard) -> Check:
        path, test = self.path, predicate(self.op, self.value, heard)
        return lambda _, attributes: (value := _follow(attributes, path)) is not None and test(value)

    def why(self, kb: bytes | None, attributes: Mapping[str, Any]) -> tuple[bool, str]:
        """Does it match, and the sentence that says why (not)."""
        matched = self.compile()(kb, attributes)
        if matched:
            return True, str(self)
        found = self._found(kb, attributes)
        if found is None:
            return False, f"{self} is not so: {self.name} is missing{self._instead(attributes)}"
        if foreign(found):
            return False, f"{self} is not so: {self.uncompared(kb, attributes)}"
        cause = unfit(self.op, self.value, found)
        return False, f"{self} is not so: {self.name} is {shown_value(found)}{f', not compared: {cause}' if cause else ''}"

    def uncompared(self, kb: bytes | None, attributes: Mapping[str, Any]) -> str:
        """`price is not compared: a Foo`, where the attribute's value can't be; else nothing."""
        cause = unfit(self.op, self.value, self._found(kb, attributes))
        return f"{self.name} is not compared: {cause}" if cause else ""

    def _found(self, kb: bytes | None, attributes: Mapping[str, Any]) -> Any:
        return (None if kb is None else kb.decode()) if self.path[0] == KEY else _follow(attributes, self.path)

    def _instead(self, attributes: Mapping[str, Any]) -> str:
        """What stands where the attribute is missing: a part of its path that is no table, or a name much like it."""
        if self.path[0] == KEY:
            return ""
        for length in range(1, len(self.path)):
            part = _follow(attributes, self.path[:length])
            if part is not None and not issubclass(type(part), dict) and type(part) is not MappingProxyType:
                return f", for {'.'.join(self.path[:length])} is {named(part)} and no table"
        above = attributes if len(self.path) == 1 else _follow(attributes, self.path[:-1])
        hint = meant(self.path[-1], () if above is None else above)
        return f" ({hint})" if hint else ""

    def leaves(self) -> Iterator[Compare]:
        yield self

    def __str__(self) -> str:
        if self.op == "exists":
            return f"exists({self.name})" if self.value else f"not exists({self.name})"
        return f"{printable(self.name, 120)} {'in' if self.op == 'cidr' else self.op} {_written(self.value)}"


def _typed(value: Literal) -> object:
    return [(type(item), item) for item in value] if isinstance(value, tuple) else (type(value), value)


def _follow(attributes: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of nested tables, None where there is none."""
    for name in path:
        if not (issubclass(type(attributes), dict) or type(attributes) is MappingProxyType) or name not in attributes:
            return None
        attributes = attributes[name]
    return attributes


@dataclass(frozen=True, slots=True)
class Every:
    """All of the parts; none is true."""

    parts: tuple[Node, ...]

    def compile(self, uncompared: Uncompared | None = None) -> Check:
        return all_of([part.compile(uncompared) for part in self.parts])

    def why(self, kb: bytes | None, attributes: Mapping[str, Any]) -> tuple[bool, str]:
        for part in self.parts:
            matched, text = part.why(kb, attributes)
            if not matched:
                return False, text
        return True, str(self)

    def leaves(self) -> Iterator[Compare]:
        for part in self.parts:
            yield from part.leaves()

    def __str__(self) -> str:
        return several((f"({part})" if isinstance(part, Some) else part for part in self.parts), _MOST, between=" and ")


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the parts; none is false."""

    parts: tuple[Node, ...]

    def compile(self, uncompared: Uncompared | None = None) -> Check:
        return any_of([part.compile(uncompared) for part in self.parts])

    def why(self, kb: bytes | None, attributes: Mapping[str, Any]) -> tuple[bool, str]:
        told = [part.why(kb, attributes) for part in self.parts]
        for matched, text in told:
            if matched:
                return True, text
        return False, several((text for _, text in told), _MOST, between="; ")

    def leaves(self) -> Iterator[Compare]:
        for part in self.parts:
            yield from part.leaves()

    def __str__(self) -> str:
        return several(self.parts, _MOST, between=" or ")


@dataclass(frozen=True, slots=True)
class Never:
    """Not the part."""

    part: Node

    def compile(self, uncompared: Uncompared | None = None) -> Check:
        check = self.part.compile(uncompared)
        return lambda kb, attributes: not check(kb, attributes)

    def why(self, kb: bytes | None, attributes: Mapping[str, Any]) -> tuple[bool, str]:
        matched, text = self.part.why(kb, attributes)
        return not matched, f"{self} is not so: {text}" if matched else str(self)

    def leaves(self) -> Iterator[Compare]:
        yield from self.part.leaves()

    def __str__(self) -> str:
        return f"not ({self.part})"


@dataclass(frozen=True, slots=True)
class Named:
    """A segment by name. `part` is its condition, filled in when the document is put together."""

    name: str
    part: Node | None = None

    def compile(self, uncompared: Uncompared | None = None) -> Check:
        if self.part is None:  # only while parsing; a finished document has every segment filled in
            raise ValueError(f"segment {quoted(self.name)} was never resolved")
        return self.part.compile(uncompared)

    def why(self, kb: bytes | None, attributes: Mapping[str, Any]) -> tuple[bool, str]:
        matched, text = (False, "unresolved") if self.part is None else self.part.why(kb, attributes)
        return matched, str(self) if matched else f"{self} is not so: {text}"

    def leaves(self) -> Iterator[Compare]:
        if self.part is not None:
            yield from self.part.leaves()

    def __str__(self) -> str:
        return f"segment({json.dumps(self.name, ensure_ascii=False)})"


Node = Compare | Every | Some | Never | Named
