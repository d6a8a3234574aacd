"""Comparisons whose left side is worked out (a length, an hour), and comparisons of two attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from progflags._printed import printable
from progflags.flags.conditions._checks import Check
from progflags.flags.conditions._compare import Compare, absent, asked, dotted_name, given, shown_literal, typed
from progflags.flags.conditions._literals import ORDER, Literal
from progflags.flags.conditions._operators import predicate
from progflags.flags.conditions._setting import ALONE, Setting
from progflags.flags.conditions._terms import Alphabetical, Term
from progflags.flags.conditions._values import instant, is_number, items_of, number_as, plain, shown_value

__all__ = ["Derived", "Pair"]


@dataclass(frozen=True, slots=True)
class Derived:
    """What a term finds, compared with a literal. What it can't be found of matches nothing, not even with `!=`."""

    term: Term
    op: str
    value: Literal

    def __eq__(self, other: object) -> bool:
        """As Compare: 1 is not True."""
        return isinstance(other, Derived) and (self.term, self.op, typed(self.value)) == (other.term, other.op, typed(other.value))

    def __hash__(self) -> int:
        return hash((self.term, self.op, self.value))

    def compile(self, setting: Setting = ALONE) -> Check:
        find, now = self.term.find, setting.now
        if isinstance(self.term, Alphabetical):
            order, wanted = ORDER[self.op], self.value
            return lambda kb, attributes: (text := find(kb, attributes, now)) is not None and order(text, wanted)
        test = predicate(self.op, self.value)
        return lambda kb, attributes: (found := find(kb, attributes, now)) is not None and test(found)

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        if self.compile(setting)(kb, attributes):
            return True, str(self)
        found, path = self.term.find(kb, attributes, setting.now), self.term.path
        if found is not None:
            return False, f"{self} is not so: {self.term} is {shown_value(found)}"
        value = None if path is None else given(path, kb, attributes)
        if path is None or value is not None:
            return False, f"{self} is not so: there is no {self.term}{'' if path is None else f' of {shown_value(value)}'}"
        return False, f"{self} is not so: {absent(path, attributes)}"

    def leaves(self) -> Iterator[Compare]:
        if self.term.path is not None:
            yield asked(self.term.path)

    def __str__(self) -> str:
        return f"{printable(self.term, 120)} {self.op} {shown_literal(self.value)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two attributes compared, type by type as an attribute with a literal; `in` asks for an item of the other's list."""

    path: tuple[str, ...]
    op: str
    other: tuple[str, ...]

    def compile(self, setting: Setting = ALONE) -> Check:  # noqa: ARG002 - as every node's
        path, other, test = self.path, self.other, self._test

        def check(kb: bytes | None, attributes: Mapping[str, Any]) -> bool:
            left, right = given(path, kb, attributes), given(other, kb, attributes)
            return left is not None and right is not None and test(left, right)

        return check

    def _test(self, left: Any, right: Any) -> bool:
        if self.op not in ("in", "not in"):
            return _ordered(self.op, left, right)
        items = items_of(right)
        if items is None or not _comparable(left):
            return False
        return any(_ordered("==", left, item) for item in items) is (self.op == "in")

    def why(self, kb: bytes | None, attributes: Mapping[str, Any], setting: Setting = ALONE) -> tuple[bool, str]:
        if self.compile(setting)(kb, attributes):
            return True, str(self)
        said = []
        for path in (self.path, self.other):
            value = given(path, kb, attributes)
            said.append(absent(path, attributes) if value is None else f"{dotted_name(path)} is {shown_value(value)}")
        return False, f"{self} is not so: {' and '.join(said)}"

    def leaves(self) -> Iterator[Compare]:
        yield asked(self.path)
        yield asked(self.other)

    def __str__(self) -> str:
        first, *rest = self.other
        other = printable(".".join((f"attr({shown_literal(first)})", *rest)), 240)
        return f"{printable(dotted_name(self.path), 120)} {self.op} {other}"


def _comparable(value: Any) -> bool:
    counted = plain(value)
    return type(counted) in (str, bool) or is_number(counted) or isinstance(counted, date)


def _ordered(op: str, left: Any, right: Any) -> bool:
    """Two values of one kind: numbers and dates in any way, texts and truths only for being equal."""
    left, right = plain(left), plain(right)
    if is_number(left) and is_number(right):
        try:
            return bool(ORDER[op](*_exactly(left, right)))
        except (ValueError, OverflowError):  # an infinity beside a number of another class
            return False
    if type(left) is type(right) and type(left) in (str, bool):
        return op in ("==", "!=") and ORDER[op](left, right)
    if isinstance(left, date) or isinstance(right, date):
        one, other = instant(left), instant(right)
        return one is not None and other is not None and ORDER[op](one, other)
    return False


def _exactly(left: Any, right: Any) -> tuple[Any, Any]:
    """Two numbers that can be compared: a float beside a Decimal or a Fraction is the number it is written as."""
    if type(left) is type(right) or {type(left), type(right)} == {int, float}:
        return left, right
    from fractions import Fraction

    return number_as(Fraction, left) if type(left) is float else Fraction(left), number_as(Fraction, right) if type(
        right
    ) is float else Fraction(right)
