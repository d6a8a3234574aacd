"""
The table of comparisons: operator → a predicate over one attribute's value.

Typed, without coercion: `"10"` is not `10`, `True` is not `1`, and a value of another type than the comparison wants does
not match, not even with `!=`. Only the built-in scalars are looked at (an Enum counts by its plain value): a foreign
object's `__eq__` or `__hash__` is never called. What can be computed once is computed at load; what depends on a string
alone is remembered per string, in a bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from sys import intern
from typing import Any, Final

from progflags.flags._literals import Moment, Network, SemVer, fitting, moment_of

__all__ = ["OPERATORS", "Predicate", "Texts", "plain", "predicate", "texts"]

Predicate = Callable[[Any], bool]

_REMEMBERED = 1024  # strings per comparison
_LONGEST = 256  # longer ones are computed each time, so that memory stays bounded


def plain(value: Any) -> Any:
    """A subclass of str, int or float by its base's value; everything else as it is. Runs none of the value's own code."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool:
        return value
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__add__(value, 0)
    if issubclass(kind, float):
        return float.__add__(value, 0.0)
    return value


class Texts:
    """
    The texts that pass a comparison, as a set that may learn.

    Where only texts can pass, `value in yes or learn(value)` answers, and the first half answers nearly always: 15 ns. A
    version or an address is parsed once per text, in a bounded memory; a fixed list has nothing to learn.
    """

    __slots__ = ("_no", "_remembers", "_test", "yes")

    def __init__(self, test: Callable[[str], bool], known: Iterable[str] = (), *, remembers: bool = False) -> None:
        self.yes: set[Any] = set(known)
        self._no: set[str] = set()
        self._test = test
        self._remembers = remembers

    def learn(self, value: Any) -> bool:
        """Whether a value that is not in `yes` passes after all. Runs none of the value's own code but hashing."""
        text = plain(value)
        if type(text) is not str or text in self._no:
            return False
        answer = self._test(text)
        if self._remembers and len(text) <= _LONGEST:
            known = self.yes if answer else self._no
            if len(known) >= _REMEMBERED:
                known.clear()
            known.add(text)
        return answer

    def despite(self, error: Exception, value: Any) -> bool:
        """
        Whether a value passes that could not be looked up: None where it is missing, a list or a table that can't be hashed.

        A text of another class than str counts by its plain value, whatever its own `__hash__` or `__eq__` raised.

        Raises:
            Exception: `error`, where the value is neither: its own code failed, and nobody knows what it is.
        """
        if value is None or isinstance(error, TypeError) or issubclass(type(value), str):
            return self.passes(value)
        raise error

    def passes(self, value: Any) -> bool:
        """Whether a value passes, hashable or not. Runs none of the value's own code."""
        text = plain(value)
        return type(text) is str and (text in self.yes or self.learn(text))


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _compare(op: str, wanted: Any) -> Predicate:
    compare = _ORDER[op]
    if isinstance(wanted, Moment):
        return _moments(compare, wanted.at)
    if isinstance(wanted, bool):
        return (lambda value: value is wanted) if op == "==" else (lambda value: value is (not wanted))
    if isinstance(wanted, str):
        return lambda value: type(value := plain(value)) is str and compare(value, wanted)
    # value == value: NaN is no number to compare with, in either direction.
    return lambda value: type(value := plain(value)) in (int, float) and value == value and compare(value, wanted)  # noqa: PLR0124


def _moments(compare: Callable[[Any, Any], bool], wanted: float) -> Predicate:
    known = Texts(lambda text: (at := moment_of(text)) is not None and compare(at, wanted), remembers=True)

    def check(value: Any) -> bool:
        kind = type(value)
        if kind is datetime and value.tzinfo is UTC:  # nearly always; the way below takes three times as long
            return compare(value.timestamp(), wanted)
        if issubclass(kind, date):  # a datetime is one, and so are those of freezegun, pendulum and pandas
            at = moment_of(value)
            return at is not None and compare(at, wanted)
        return known.passes(value)

    return check


_LIKE: Final[Mapping[type, Predicate]] = {
    SemVer: Texts(lambda text: SemVer.read(text) is not None, remembers=True).passes,
    Moment: _moments(lambda _, __: True, 0.0),
}
"""What could stand in a list of versions, or of dates."""


def _member(wanted: tuple[Any, ...]) -> Predicate:
    """Equality with any of `wanted`, type by type, for a set would take 1, 1.0 and True for the same."""
    texts = frozenset(item for item in wanted if type(item) is str)
    numbers = frozenset(item for item in wanted if type(item) in (int, float))
    truths = tuple(item for item in wanted if type(item) is bool)
    others = [predicate("==", item) for item in wanted if isinstance(item, (SemVer, Moment))]

    def check(value: Any) -> bool:
        value = plain(value)
        kind = type(value)
        if kind is str:
            found = value in texts
        elif kind is bool:
            found = value in truths
        else:
            found = (kind is int or kind is float) and value in numbers
        return found or any(other(value) for other in others)

    return check


def _inside(op: str, wanted: Any) -> Predicate:
    member = _member(wanted)
    if op == "in":
        return member
    # Not in: the value must still be of a type the list could hold; for a version or a date, be one.
    found = {type(item) for item in wanted}
    kinds = found & {str, bool} | ({int, float} if found & {int, float} else set())
    likes = [_LIKE[kind] for kind in _LIKE if kind in found]

    def outside(value: Any) -> bool:
        value = plain(value)
        return (type(value) in kinds or any(like(value) for like in likes)) and not member(value)

    return outside


def _collection(value: Any) -> tuple[Any, ...] | None:
    return tuple(value) if type(value) in (list, tuple, set, frozenset) else None


def _contains(wanted: Any) -> Predicate:
    every = wanted if isinstance(wanted, tuple) else (wanted,)
    tests = [_member((item,)) for item in every]

    def check(value: Any) -> bool:
        items = _collection(value)
        if items is not None:
            return all(any(test(item) for item in items) for test in tests)
        value = plain(value)
        return type(value) is str and all(type(item) is str and item in value for item in every)

    return check


def _overlaps(wanted: tuple[Any, ...]) -> Predicate:
    test = _member(wanted)
    return lambda value: (items := _collection(value)) is not None and any(test(item) for item in items)


def _affix(op: str, wanted: Any) -> Predicate:
    if op == "startswith":
        return lambda value: type(value := plain(value)) is str and value.startswith(wanted)
    return lambda value: type(value := plain(value)) is str and value.endswith(wanted)


def texts(op: str, wanted: Any) -> Texts | None:
    """The texts that pass a comparison which only texts can pass; None for any other."""
    if op == "==" and type(wanted) is str:
        return Texts(wanted.__eq__, (intern(wanted),))
    if op == "in" and type(wanted) is tuple and all(type(item) is str for item in wanted):
        return Texts(frozenset(wanted).__contains__, map(intern, wanted))
    if op == "matches":
        patterns = [fitting(pattern) for pattern in (wanted if isinstance(wanted, tuple) else (wanted,))]
        return Texts(lambda text: any(fits(text) for fits in patterns), remembers=True)
    if isinstance(wanted, Network):
        if op == "not in":
            return Texts(lambda text: Network.is_address(text) and not wanted.holds(text), remembers=True)
        return Texts(wanted.holds, remembers=True)
    if isinstance(wanted, SemVer):
        compare = _ORDER[op]
        return Texts(lambda text: (version := SemVer.read(text)) is not None and compare(version.order, wanted.order), remembers=True)
    return None


OPERATORS: Final[Mapping[str, str]] = {
    "==": "equal, and of the same type",
    "!=": "of the same type, and not equal",
    "<": "number, semver or date before",
    "<=": "number, semver or date up to",
    ">": "number, semver or date after",
    ">=": "number, semver or date from",
    "in": "one of a list, or an address in cidr(...)",
    "not in": "none of a list, or an address outside cidr(...)",
    "startswith": "text begins with one of",
    "endswith": "text ends with one of",
    "contains": "a list has all of, or a text has all of as parts",
    "overlaps": "a list has any of",
    "matches": "text fits one of the patterns; * is any run of characters, ? is one",
    "cidr": "an IP address in one of the networks",
    "exists": "the attribute is there and not null",
}


def predicate(op: str, wanted: Any) -> Predicate:
    """The compiled comparison of one present attribute value with the literal `wanted` (checked by _conditions.py)."""
    known = texts(op, wanted)
    if known is not None:
        return known.passes
    if op in ("in", "not in"):
        return _inside(op, wanted)
    if op == "contains":
        return _contains(wanted)
    if op == "overlaps":
        return _overlaps(wanted)
    if op in ("startswith", "endswith"):
        return _affix(op, wanted)
    return _compare(op, wanted)
