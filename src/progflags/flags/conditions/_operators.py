"""
The table of comparisons: operator → a predicate over one attribute's value.

Typed, without coercion: `"10"` is not `10`, `True` is not `1`, and a value of another type than the comparison wants does
not match, not even with `!=`. What a value counts as, see _values.py; it is asked only where the value is not of the plain
class that the comparison expects, so that str, int, float and bool pay nothing for the others. What can be computed once is
computed at load; what depends on a string alone is remembered per string, in a bounded memory.

`heard` is told a value that a comparison had no use for (see _unfit.py): most often it then finds a reason to remember.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from progflags.flags.conditions._literals import ORDER, Due, Moment, SemVer, Table, moment_of
from progflags.flags.conditions._text_operators import TEXT_OPERATORS, affix, texts
from progflags.flags.conditions._texts import Texts
from progflags.flags.conditions._unfit import Heard, unheard
from progflags.flags.conditions._values import instant, is_number, is_table, items_of, number_as, plain

__all__ = ["OPERATORS", "Predicate", "predicate", "texts"]

Predicate = Callable[[Any], bool]


def _compare(op: str, wanted: Any, heard: Heard) -> Predicate:
    compare = ORDER[op]
    if isinstance(wanted, Moment):
        return _moments(compare, wanted.at, heard)
    if isinstance(wanted, Due):
        return _due(compare, wanted, heard)
    if isinstance(wanted, (tuple, Table)):
        return _whole(wanted, heard, equal=op == "==")
    if isinstance(wanted, bool):
        return _truth(wanted if op == "==" else not wanted, heard)
    return _typed(str, compare, wanted, heard) if isinstance(wanted, str) else _numbers(compare, wanted, heard)


def _truth(sought: bool, heard: Heard) -> Predicate:
    def otherwise(value: Any) -> bool:
        counted = plain(value)
        if type(counted) is bool:
            return counted is sought
        heard(value)
        return False

    if sought:
        return lambda value: value is True or (value is not False and otherwise(value))
    return lambda value: value is False or (value is not True and otherwise(value))


def _typed(kind: type, test: Callable[[Any, Any], bool], wanted: Any, heard: Heard) -> Predicate:
    """`test(value, wanted)` for values that count as `kind`."""

    def otherwise(value: Any) -> bool:
        counted = plain(value)
        if type(counted) is kind:
            return test(counted, wanted)
        heard(value)
        return False

    return lambda value: test(value, wanted) if type(value) is kind else otherwise(value)


def _numbers(compare: Callable[[Any, Any], bool], wanted: float, heard: Heard) -> Predicate:
    def otherwise(value: Any) -> bool:
        counted = plain(value)
        if is_number(counted):
            return compare(counted, number_as(type(counted), wanted))
        heard(value)
        return False

    def check(value: Any) -> bool:
        kind = type(value)
        # value == value: NaN is no number to compare with, in either direction.
        return compare(value, wanted) if (kind is int or kind is float) and value == value else otherwise(value)  # noqa: PLR0124

    return check


def _moments(compare: Callable[[Any, Any], bool], wanted: float, heard: Heard = unheard) -> Predicate:
    known = Texts(lambda text: (at := moment_of(text)) is not None and compare(at, wanted), remembers=True, heard=heard)
    yes = known.yes

    def check(value: Any) -> bool:
        kind = type(value)
        if kind is datetime and value.tzinfo is UTC:  # nearly always; the way below takes three times as long
            return compare(value.timestamp(), wanted)
        if kind is str:
            return value in yes or known.learn(value)
        if issubclass(kind, str):
            return known.passes(value)
        at = instant(value)  # a datetime by descent, too, as those of freezegun, pendulum and pandas
        if at is None:
            heard(value)
            return False
        return compare(at, wanted)

    return check


def _due(compare: Callable[[Any, Any], bool], wanted: Due, heard: Heard) -> Predicate:
    """A date against one that goes with the clock; nothing to remember."""

    def check(value: Any) -> bool:
        at = instant(value)
        if at is None:
            heard(value)
            return False
        return compare(at, wanted.at)

    return check


def _whole(wanted: Any, heard: Heard, *, equal: bool) -> Predicate:
    """Whether a list or a table is equal to another, part by part; a set whatever the order."""
    same = _same(wanted)

    def check(value: Any) -> bool:
        there = is_table(value) if isinstance(wanted, Table) else items_of(value) is not None
        if not there:
            heard(value)
        return there and same(value) is equal

    return check


def _same(wanted: Any) -> Predicate:
    if isinstance(wanted, Table):
        parts = {name: _same(value) for name, value in wanted.items}
        return lambda value: (
            is_table(value) and len(value) == len(parts) and all(name in value and same(value[name]) for name, same in parts.items())
        )
    if not isinstance(wanted, tuple):
        return predicate("==", wanted)
    tests = [_same(item) for item in wanted]

    def check(value: Any) -> bool:
        items = items_of(value)
        if items is None or len(items) != len(tests):
            return False
        if issubclass(type(value), (set, frozenset)):
            return all(any(test(item) for item in items) for test in tests)
        return all(test(item) for test, item in zip(tests, items, strict=True))

    return check


_LIKE: Final[Mapping[type, Predicate]] = {
    SemVer: Texts(lambda text: SemVer.read(text) is not None, remembers=True).passes,
    Moment: _moments(lambda _, __: True, 0.0),
}
"""What could stand in a list of versions, or of dates."""
_SCALARS: Final = frozenset({str, int, float, bool})


def _member(wanted: tuple[Any, ...], heard: Heard = unheard) -> Predicate:
    """Equality with any of `wanted`, type by type, for a set would take 1, 1.0 and True for the same."""
    texts = frozenset(item for item in wanted if type(item) is str)
    numbers = frozenset(item for item in wanted if type(item) in (int, float))
    truths = tuple(item for item in wanted if type(item) is bool)
    others = [predicate("==", item, heard) for item in wanted if isinstance(item, (SemVer, Moment))]
    kinds = _kinds(wanted)
    exactly: dict[type, frozenset[Any]] = {}

    def check(value: Any) -> bool:
        kind = type(value)
        if kind is str:
            found = value in texts
        elif kind is int or kind is float:
            found = value in numbers
        elif kind is bool:
            found = value in truths
        else:
            return otherwise(value)
        if found:
            return True
        if others:
            return any(other(value) for other in others)
        if kind not in kinds:
            heard(value)
        return False

    def otherwise(value: Any) -> bool:
        counted = plain(value)
        kind = type(counted)
        if kind in _SCALARS:
            return check(counted)
        if numbers and is_number(counted):
            if kind not in exactly:
                exactly[kind] = frozenset(number_as(kind, number) for number in numbers)
            if counted in exactly[kind]:
                return True
        elif not others:
            heard(value)
        return any(other(value) for other in others)

    return check


def _kinds(wanted: tuple[Any, ...]) -> frozenset[type]:
    """The plain types that a list could hold: a number is one, whole or not."""
    found = {type(item) for item in wanted}
    return frozenset(found & {str, bool} | ({int, float} if found & {int, float} else set()))


def _inside(op: str, wanted: Any, heard: Heard) -> Predicate:
    if op == "in":
        return _member(wanted, heard)
    # Not in: the value must still be of a type the list could hold; for a version or a date, be one.
    member, kinds = _member(wanted), _kinds(wanted)
    likes = [like for kind, like in _LIKE.items() if any(isinstance(item, kind) for item in wanted)]

    def outside(value: Any) -> bool:
        if type(value) in kinds and value == value:  # noqa: PLR0124 - not NaN, which is no number and in no list, nor outside one
            return not member(value)
        counted = plain(value)
        if type(counted) in kinds or (int in kinds and is_number(counted)):
            fits = type(counted) is not float or is_number(counted)
        else:
            fits = any(like(counted) for like in likes)
        if not fits:
            heard(value)
        return fits and not member(counted)

    return outside


def _contains(wanted: Any, heard: Heard, *, fold: bool) -> Predicate:
    every = wanted if isinstance(wanted, tuple) else (wanted,)
    tests = [predicate("ieq", item) if fold else _member((item,)) for item in every]
    texts = all(type(item) is str for item in every)
    if fold:
        every = tuple(item.casefold() for item in every)

    def check(value: Any) -> bool:
        items = items_of(value)
        if items is not None:
            found = all(any(test(item) for item in items) for test in tests)
            return found or _told(items, value, heard)
        text = plain(value)
        if type(text) is str and texts:
            text = text.casefold() if fold else text
            return all(item in text for item in every)
        heard(value)
        return False

    return check


def _overlaps(wanted: tuple[Any, ...], heard: Heard) -> Predicate:
    test = _member(wanted)

    def check(value: Any) -> bool:
        items = items_of(value)
        if items is None:
            heard(value)
            return False
        return any(test(item) for item in items) or _told(items, value, heard)

    return check


def _told(items: tuple[Any, ...], value: Any, heard: Heard) -> bool:
    """Tell of a list that has more in it than text, numbers and truth. False, for the answer was no."""
    if not all(type(item) in _SCALARS for item in items):
        heard(value)
    return False


OPERATORS: Final[Mapping[str, str]] = {
    "==": "equal, and of the same type; also a whole list or table",
    "!=": "of the same type, and not equal",
    "<": "number, semver or date before",
    "<=": "number, semver or date up to",
    ">": "number, semver or date after",
    ">=": "number, semver or date from",
    "in": "one of a list, or an address in cidr(...)",
    "not in": "none of a list, or an address outside cidr(...)",
    "contains": "a list has all of, or a text has all of as parts",
    "overlaps": "a list has any of",
    **TEXT_OPERATORS,
    "cidr": "an IP address in one of the networks",
    "exists": "the attribute is there and not null",
}


def predicate(op: str, wanted: Any, heard: Heard = unheard) -> Predicate:
    """The compiled comparison of one present attribute value with the literal `wanted` (checked by _fit.py)."""
    known = texts(op, wanted, heard)
    if known is not None:
        return known.passes
    if op in ("in", "not in"):
        return _inside(op, wanted, heard)
    if op in ("contains", "icontains"):
        return _contains(wanted, heard, fold=op == "icontains")
    if op == "overlaps":
        return _overlaps(wanted, heard)
    return affix(op, wanted, heard) if op.endswith("with") else _compare(op, wanted, heard)
