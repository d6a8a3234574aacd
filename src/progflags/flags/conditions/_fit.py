"""What is compared with, as its operator wants it; what an operator has no use for is refused, with the way to write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from progflags._clock import seconds
from progflags.flags._hours import DAYS
from progflags.flags._problems import Wrong, shown
from progflags.flags.conditions._derived import Derived, Pair
from progflags.flags.conditions._literals import ORDER, FromNow, Literal, Moment, Network, SemVer, Table, moment_of
from progflags.flags.conditions._terms import Alphabetical, Hour, Length, Remainder, Term, Weekday
from progflags.flags.conditions._text_operators import TEXT_OPERATORS, regex

__all__ = ["derived", "from_now", "literal", "moment", "network", "pair", "version"]


def literal(op: str, value: Literal) -> Literal:
    """
    `value` as the operator wants it.

    Raises:
        Wrong: the operator has no use for a value of that type.
    """
    if op == "cidr":
        return _of_networks(value)
    if op in TEXT_OPERATORS:
        _texts(op, value)
    elif op in ORDER:
        _orders(op, value)
    elif op == "exists":
        if not isinstance(value, bool):
            raise Wrong("'exists' wants true or false")
    else:
        _lists(op, value)
    return value


def _of_networks(value: Literal) -> Literal:
    if isinstance(value, Network):
        return value
    texts = _all_texts(value)
    if not texts:
        raise Wrong("cidr compares with a network or a list of networks", 'write "10.0.0.0/8"')
    return network(*texts)


def _all_texts(value: Literal) -> list[str]:
    """A text, or the texts of a list; nothing where something else is among them."""
    items = value if isinstance(value, tuple) else (value,)
    found = [item for item in items if isinstance(item, str)]
    return found if len(found) == len(items) else []


def _texts(op: str, value: Literal) -> None:
    texts = _all_texts(value)
    if not texts:
        raise Wrong(f"{op!r} wants a text or a list of texts, not {_kind(value)}")
    if op in ("ieq", "iin") and isinstance(value, tuple) is (op == "ieq"):
        raise Wrong(f"{op!r} wants {'a list' if op == 'iin' else 'a single text'}", 'write country ieq "pl", or country iin ["pl", "de"]')
    if op == "regex":
        for text in texts:
            regex(text)


def _orders(op: str, value: Literal) -> None:
    if op in ("==", "!="):
        if isinstance(value, Network):
            raise Wrong(f"{op!r} compares with a single value", "write `in` to compare with several")
    elif isinstance(value, bool) or not isinstance(value, (int, float, SemVer, Moment, FromNow)):
        more = ', or alphabetical(name) < "m"' if isinstance(value, str) else ""
        hint = f'write semver("2.1.0") or date("2027-01-31"){more}'
        raise Wrong(f"{op!r} orders numbers, versions and dates, not {_kind(value)}", hint)


def _lists(op: str, value: Literal) -> None:
    many = isinstance(value, tuple)
    if op in ("in", "not in"):
        if not many and not isinstance(value, Network):
            raise Wrong(f"{op!r} wants a list", f'write {op} ["a", "b"]')
    elif not many and not isinstance(value, (str, int, float)):
        raise Wrong(f"{op!r} wants plain values, not {_kind(value)}")
    elif op == "overlaps" and not many:
        raise Wrong("'overlaps' wants a list", "write `contains` to look for a single value")


def pair(path: tuple[str, ...], op: str, other: tuple[str, ...]) -> Pair:
    """
    Two attributes, compared.

    Raises:
        Wrong: not by this operator.
    """
    if op not in _ANY:
        raise Wrong(f"{op!r} does not compare two attributes", f"it is one of {', '.join(_ANY)}")
    return Pair(path, op, other)


def _kind(value: object) -> str:
    names = {
        str: "a text",
        bool: "true or false",
        tuple: "a list",
        SemVer: "a version",
        Moment: "a date",
        FromNow: "a date",
        Network: "a network",
        Table: "a table",
    }
    return names.get(type(value), "a number")


def network(*texts: str) -> Network:
    """The networks in `texts`; Wrong when none of them is one. That some are not is for the file to allow, see `left_out`."""
    good: list[str] = []
    bad: list[str] = []
    for text in texts:
        try:
            good += Network((text,)).texts
        except ValueError as error:
            bad.append(str(error))
    if not good:
        raise Wrong(bad[0], 'write "10.0.0.0/8" or "2001:db8::/32"')
    return Network(tuple(good), tuple(bad))


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


def from_now(sign: str, text: str) -> FromNow:
    """So long before now, or after it; Wrong when `text` is no duration."""
    try:
        return FromNow(seconds(text) if sign == "+" else -seconds(text))
    except ValueError:
        raise Wrong(f"{text[:40]!r} is no duration", 'write a number and a unit, as in now - "7d"') from None


def derived(term: Term, op: str, value: Literal) -> Derived:
    """
    The comparison of a term with what it can be compared with.

    Raises:
        Wrong: it can't; the hint has one that can.
    """
    kinds = _OF_TERM[type(term)]
    many = op in ("in", "not in")
    items = value if many and isinstance(value, tuple) else (value,)
    if op not in kinds.ops or many is not isinstance(value, tuple) or not all(type(item) in kinds.types for item in items):
        raise Wrong(f"{term} is not compared so", f"write {kinds.example}")
    if isinstance(term, Weekday) and (strange := next((item for item in items if item not in DAYS), None)):
        raise Wrong(f"{strange!r} is no weekday", f"it is one of {', '.join(DAYS)}")
    return Derived(term, op, value)


class _Comparable(NamedTuple):
    ops: tuple[str, ...]
    types: tuple[type, ...]
    example: str


_ANY: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
_OF_TERM: Final[Mapping[type, _Comparable]] = {
    Length: _Comparable(_ANY, (int,), "length(tags) >= 3"),
    Remainder: _Comparable(_ANY, (int,), "user_number % 10 == 3"),
    Alphabetical: _Comparable(("<", "<=", ">", ">="), (str,), 'alphabetical(name) < "m"'),
    Hour: _Comparable(_ANY, (int,), 'hour(now, "Europe/Berlin") >= 9'),
    Weekday: _Comparable(("==", "!=", "in", "not in"), (str,), 'weekday(now) in ["sat", "sun"]'),
}
