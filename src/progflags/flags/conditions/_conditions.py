"""
The condition tree: who a rule is for.

A condition is written as an expression (`plan == "pro" and app >= semver("2.1.0")`, see _expression.py) or as a tree of
tables (see _tree.py); both become the nodes of this file. A missing or null attribute matches nothing: every comparison with
it is false, `!=` and `not in` too; ask `exists`. Two-valued logic otherwise, so `not (plan == "pro")` is true for somebody
without a plan.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from types import MappingProxyType
from typing import Any, Final

from progflags._printed import printable, quoted, several
from progflags.flags._problems import Wrong, meant, shown
from progflags.flags.conditions._literals import Moment, Network, SemVer, moment_of
from progflags.flags.conditions._operators import Texts, predicate, texts
from progflags.flags.conditions._unfit import Heard, Uncompared, unfit, unheard
from progflags.flags.conditions._values import foreign, named, shown_value

__all__ = ["KEY", "Check", "Compare", "Every", "Literal", "Named", "Never", "Node", "Some", "literal", "moment", "network", "version"]

KEY: Final = "targeting_key"
"""The name by which conditions and units speak of the context's own key."""

Check = Callable[[bytes | None, Mapping[str, Any]], bool]
"""A compiled condition: (the targeting key's bytes, the attributes) → does it match."""

Literal = str | int | float | bool | SemVer | Moment | Network | tuple[Any, ...]


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
        return self._of_path(heard) if len(self.path) > 1 else _flat(self.name, self.op, self.value, heard)

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


def _flat(name: str, op: str, value: Literal, heard: Heard) -> Check:
    """A comparison of a top-level attribute; those that only texts can pass skip every test of the type."""
    name = intern(name)  # as the names in an application's own source are: then a look-up compares no characters
    known = texts(op, value, heard)
    if known is not None:
        yes, learn, despite = known.yes, known.learn, known.despite

        def text(_: bytes | None, attributes: Mapping[str, Any]) -> bool:
            if name not in attributes:
                return False
            found = attributes[name]
            try:
                return found in yes or learn(found)
            except Exception as error:
                return despite(error, found)

        return text

    test = predicate(op, value, heard)
    if isinstance(value, bool) and op in ("==", "!="):
        sought = value if op == "==" else not value
        other = not sought

        def truth(_: bytes | None, attributes: Mapping[str, Any]) -> bool:
            if name not in attributes:
                return False
            found = attributes[name]
            return found is sought or (found is not other and found is not None and test(found))

        return truth

    def compared(_: bytes | None, attributes: Mapping[str, Any]) -> bool:
        return name in attributes and (found := attributes[name]) is not None and test(found)

    return compared


def _all(checks: list[Check]) -> Check:
    """Whether every check says yes: two or three as one expression, more in a loop, so that thousands go no deeper than one."""
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda kb, attributes: first(kb, attributes) and second(kb, attributes)
    if len(checks) == 3:
        first, second, third = checks
        return lambda kb, attributes: first(kb, attributes) and second(kb, attributes) and third(kb, attributes)

    def every(kb: bytes | None, attributes: Mapping[str, Any]) -> bool:
        for check in checks:  # noqa: SIM110 - a generator would cost as much as three checks
            if not check(kb, attributes):
                return False
        return True

    return every


def _any(checks: list[Check]) -> Check:
    """Whether one check says yes; as `_all`."""
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda kb, attributes: first(kb, attributes) or second(kb, attributes)
    if len(checks) == 3:
        first, second, third = checks
        return lambda kb, attributes: first(kb, attributes) or second(kb, attributes) or third(kb, attributes)

    def some(kb: bytes | None, attributes: Mapping[str, Any]) -> bool:
        for check in checks:  # noqa: SIM110 - as above
            if check(kb, attributes):
                return True
        return False

    return some


@dataclass(frozen=True, slots=True)
class Every:
    """All of the parts; none is true."""

    parts: tuple[Node, ...]

    def compile(self, uncompared: Uncompared | None = None) -> Check:
        return _all([part.compile(uncompared) for part in self.parts])

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
        return _any([part.compile(uncompared) for part in self.parts])

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


# ── literals ─────────────────────────────────────────────────────


def literal(op: str, value: Literal) -> Literal:
    """
    `value` as the operator wants it.

    Raises:
        Wrong: the operator has no use for a value of that type.
    """
    many = isinstance(value, tuple)
    texts = isinstance(value, str) or (isinstance(value, tuple) and bool(value) and all(isinstance(item, str) for item in value))
    if op == "cidr":
        if isinstance(value, Network):
            return value
        if not texts:
            raise Wrong("cidr compares with a network or a list of networks", 'write "10.0.0.0/8"')
        return network(*(value if isinstance(value, tuple) else (str(value),)))
    if op in ("in", "not in") and not isinstance(value, Network) and not many:
        raise Wrong(f"{op!r} wants a list", f'write {op} ["a", "b"]')
    if op in ("==", "!=") and (many or isinstance(value, Network)):
        raise Wrong(f"{op!r} compares with a single value", "write `in` to compare with several")
    if op in ("<", "<=", ">", ">=") and (isinstance(value, bool) or not isinstance(value, (int, float, SemVer, Moment))):
        raise Wrong(f"{op!r} orders numbers, versions and dates, not {_kind(value)}", 'write semver("2.1.0") or date("2027-01-31")')
    if op in ("startswith", "endswith", "matches") and not texts:
        raise Wrong(f"{op!r} wants a text or a list of texts, not {_kind(value)}")
    if op in ("contains", "overlaps") and isinstance(value, (SemVer, Moment, Network)):
        raise Wrong(f"{op!r} wants plain values, not {_kind(value)}")
    if op == "overlaps" and not many:
        raise Wrong("'overlaps' wants a list", "write `contains` to look for a single value")
    if op == "exists" and not isinstance(value, bool):
        raise Wrong("'exists' wants true or false")
    return value


def _kind(value: object) -> str:
    names = {str: "a text", bool: "true or false", tuple: "a list", SemVer: "a version", Moment: "a date", Network: "a network"}
    return names.get(type(value), "a number")


def network(*texts: str) -> Network:
    """The networks in `texts`; Wrong when one is none."""
    try:
        return Network(texts)
    except ValueError as error:
        raise Wrong(str(error), 'write "10.0.0.0/8" or "2001:db8::/32"') from None


def version(text: str) -> SemVer:
    """The version in `text`; Wrong when it is none."""
    found = SemVer.read(text)
    if found is None:
        raise Wrong(f"{text!r} is not a version", 'write semver("2.1.0")')
    return found


def moment(value: object) -> Moment:
    """The date in `value`; Wrong when it is none."""
    at = moment_of(value)
    if at is None:
        raise Wrong(f"{shown(value)} is not a date", "write 2027-01-31 or 2027-01-31T09:00:00Z")
    return Moment(at)
