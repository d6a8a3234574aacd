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
from typing import Any

from progflags._printed import printable, quoted, several
from progflags.flags.conditions._checks import Check, all_of, any_of
from progflags.flags.conditions._compare import MOST, Compare, absent, asked, dotted_name, given
from progflags.flags.conditions._derived import Derived, Pair
from progflags.flags.conditions._literals import Network
from progflags.flags.conditions._setting import ALONE, Setting
from progflags.flags.conditions._values import is_table, items_of, shown_value

__all__ = ["Among", "Every", "Named", "Never", "Node", "Some", "left_out"]


@dataclass(frozen=True, slots=True)
class Every:
    """All of the parts; none is true."""

    parts: tuple[Node, ...]

    def compile(self, setting: Setting = ALONE) -> Check:
        return all_of([part.compile(setting) for part in self.parts])

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        for part in self.parts:
            matched, text = part.why(kb, attributes, setting)
            if not matched:
                return False, text
        return True, str(self)

    def leaves(self) -> Iterator[Compare]:
        for part in self.parts:
            yield from part.leaves()

    def __str__(self) -> str:
        return several((f"({part})" if isinstance(part, Some) else part for part in self.parts), MOST, between=" and ")


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the parts; none is false."""

    parts: tuple[Node, ...]

    def compile(self, setting: Setting = ALONE) -> Check:
        return any_of([part.compile(setting) for part in self.parts])

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        told = [part.why(kb, attributes, setting) for part in self.parts]
        for matched, text in told:
            if matched:
                return True, text
        return False, several((text for _, text in told), MOST, between="; ")

    def leaves(self) -> Iterator[Compare]:
        for part in self.parts:
            yield from part.leaves()

    def __str__(self) -> str:
        return several(self.parts, MOST, between=" or ")


@dataclass(frozen=True, slots=True)
class Never:
    """Not the part."""

    part: Node

    def compile(self, setting: Setting = ALONE) -> Check:
        check = self.part.compile(setting)
        return lambda kb, attributes: not check(kb, attributes)

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        matched, text = self.part.why(kb, attributes, setting)
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

    def compile(self, setting: Setting = ALONE) -> Check:
        if self.part is None:  # only while parsing; a finished document has every segment filled in
            raise ValueError(f"segment {quoted(self.name)} was never resolved")
        return self.part.compile(setting)

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        matched, text = (False, "unresolved") if self.part is None else self.part.why(kb, attributes, setting)
        return matched, str(self) if matched else f"{self} is not so: {text}"

    def leaves(self) -> Iterator[Compare]:
        if self.part is not None:
            yield from self.part.leaves()

    def __str__(self) -> str:
        return f"segment({json.dumps(self.name, ensure_ascii=False)})"


@dataclass(frozen=True, slots=True)
class Among:
    """One item of a list at least is as the part says. A table's parts are the attributes then; any other item is called `item`."""

    path: tuple[str, ...]
    part: Node

    def compile(self, setting: Setting = ALONE) -> Check:
        path, check = self.path, self.part.compile(Setting(setting.now))
        return lambda kb, attributes: any(check(kb, _item(item)) for item in items_of(given(path, kb, attributes)) or ())

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        if self.compile(setting)(kb, attributes):
            return True, str(self)
        found = given(self.path, kb, attributes)
        name, items = dotted_name(self.path), items_of(found)
        if found is None:
            return False, f"{self} is not so: {absent(self.path, attributes)}"
        return (
            False,
            f"{self} is not so: {f'{name} is {shown_value(found)} and no list' if items is None else f'none of its {len(items)} is'}",
        )

    def leaves(self) -> Iterator[Compare]:
        yield asked(self.path)

    def __str__(self) -> str:
        return f"any({printable(dotted_name(self.path), 120)}, {self.part})"


def left_out(node: Node) -> Iterator[str]:
    """What is wrong with networks that a condition names beside good ones. Those of a segment are told where it is defined."""
    if isinstance(node, Compare):
        yield from node.value.left_out if isinstance(node.value, Network) else ()
    elif isinstance(node, Never | Among):
        yield from left_out(node.part)
    elif isinstance(node, Every | Some):
        for part in node.parts:
            yield from left_out(part)


def _item(item: Any) -> Mapping[str, Any]:
    return item if is_table(item) else {"item": item}


Node = Compare | Derived | Pair | Every | Some | Never | Named | Among
