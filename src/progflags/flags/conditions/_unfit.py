"""Values that a comparison can't use: why not, in words; and the memory of those that were met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final

from progflags.errors import Problem
from progflags.flags._problems import dotted
from progflags.flags.conditions._literals import FromNow, Moment, Network, SemVer, Table, moment_of
from progflags.flags.conditions._values import foreign, instant, is_number, is_table, items_of, named, plain

__all__ = ["ITEMWISE", "Heard", "Uncompared", "misdeclared", "unfit", "unheard"]

Heard = Callable[[Any], object]
"""Told a value that a comparison had no use for."""

_MOST: Final = 50  # different ones remembered by a client
_KINDS: Final = 20  # classes remembered by a comparison
_LOOKED_AT: Final = 1000  # items of a list


def unheard(_: Any) -> None:
    """Nobody wants to know."""


def unfit(op: str, wanted: Any, value: Any) -> str:
    """Why a value that is there can't be compared so at all, as in "a Foo" or "not a semantic version"; empty when it can."""
    if value is None or op == "exists":
        return ""
    if op in ("contains", "overlaps", "icontains"):
        return _of_list(op, wanted, value)
    if op in ("==", "!=") and isinstance(wanted, (tuple, Table)):
        return _of_whole(wanted, value)
    if op in ITEMWISE and items_of(value) is not None:
        return ""
    return _of_one(wanted if isinstance(wanted, tuple) else (wanted,), value)


def _of_one(wanted: tuple[Any, ...], value: Any) -> str:
    if foreign(value):
        return named(value)
    counted = plain(value)
    kinds = {_kind(item): None for item in wanted}
    if any(_TAKES[kind](counted) for kind in kinds):
        return ""
    if isinstance(counted, str):
        for kind, word in _OTHERWISE.items():
            if kind in kinds:
                return word
    elif isinstance(counted, date):
        if "a date" in kinds:
            return "no point in time"
    elif not isinstance(counted, bool):
        if not is_number(counted):
            return "NaN, which is no number"
        if "a date" in kinds:
            return "too large for seconds since 1970: are these milliseconds?"
    return f"{_sort(counted)}, where {' or '.join(kinds)} is wanted" if kinds else ""


ITEMWISE: Final = frozenset({"startswith", "endswith", "istartswith", "iendswith", "matches", "regex"})
"""Operators that look into a list for a text."""


def _of_whole(wanted: Any, value: Any) -> str:
    table = isinstance(wanted, Table)
    if is_table(value) if table else items_of(value) is not None:
        return ""
    counted = plain(value)
    return f"{named(value) if foreign(value) else _sort(counted)}, where {'a table' if table else 'a list'} is wanted"


def _of_list(op: str, wanted: Any, value: Any) -> str:
    items = items_of(value)
    if items is not None:
        strange = next((item for item in items[:_LOOKED_AT] if foreign(item)), None)
        return "" if strange is None else f"{named(value)} with {named(strange)} in it"
    if foreign(value):
        return named(value)
    texts = all(isinstance(item, str) for item in (wanted if isinstance(wanted, tuple) else (wanted,)))
    if op != "overlaps" and texts:
        return "" if isinstance(plain(value), str) else f"{_sort(plain(value))}, where a list or a text is wanted"
    return f"{_sort(plain(value))}, where a list is wanted"


def _kind(literal: Any) -> str:
    if isinstance(literal, bool):
        return "true or false"
    if isinstance(literal, (int, float)):
        return "a number"
    return {SemVer: "a version", Moment: "a date", FromNow: "a date", Network: "an address"}.get(type(literal), "a text")


def _sort(counted: Any) -> str:
    kind = type(counted)
    return "true or false" if kind is bool else "a text" if kind is str else named(counted)


_TAKES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "a text": lambda counted: type(counted) is str,
    "true or false": lambda counted: type(counted) is bool,
    "a number": is_number,
    "a version": lambda counted: type(counted) is str and SemVer.read(counted) is not None,
    "a date": lambda counted: instant(counted) is not None,
    "an address": lambda counted: type(counted) is str and Network.is_address(counted),
}
_OTHERWISE: Final = {"a version": "not a semantic version", "a date": "not a date in ISO 8601", "an address": "not an IP address"}


# ── against [context] ────────────────────────────────────────────────


def _whole(number: Any) -> bool:
    if isinstance(number, float):
        return number.is_integer()
    ratio = getattr(number, "to_integral_value", None)
    return bool(ratio() == number) if ratio is not None else number.denominator == 1


_DECLARED: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "str": ("a text", _TAKES["a text"]),
    "int": ("a whole number", lambda counted: is_number(counted) and _whole(counted)),
    "float": ("a number", is_number),
    "number": ("a number", is_number),
    "bool": ("true or false", _TAKES["true or false"]),
    "semver": ("a version", _TAKES["a version"]),
    "ip": ("an address", _TAKES["an address"]),
    "date": ("a date", _TAKES["a date"]),
}


def misdeclared(declared: str, value: Any) -> str:
    """Why a value is not of the type that `[context]` declares; empty when it is, or missing."""
    if value is None:
        return ""
    if declared == "list":
        return "" if items_of(value) is not None else f"{_sort(plain(value))}, where a list is wanted"
    word, takes = _DECLARED[declared]
    if foreign(value):
        return named(value)
    counted = plain(value)
    if takes(counted):
        return ""
    if isinstance(counted, str) and word in _OTHERWISE:
        return _OTHERWISE[word]
    if isinstance(counted, date) and word == "a date" and moment_of(counted) is None:
        return "no point in time"
    return f"{_sort(counted)}, where {word} is wanted"


# ── what was met ─────────────────────────────────────────────────────


class Uncompared:
    """
    Values that a client's comparisons had no use for: each attribute and cause once, at most 50 of them.

    Written from evaluations, so without a lock: two threads that meet the same write the same.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str] = {}

    def of(self, path: tuple[str, ...], op: str, wanted: Any, written: Callable[[], str]) -> Heard:
        """What one comparison tells of a value; `written` is the comparison for people."""
        told: set[int] = set()
        found = self._found

        def hear(value: Any) -> None:
            kind = id(type(value))
            if kind in told or len(told) >= _KINDS or len(found) >= _MOST:
                return
            why = unfit(op, wanted, value)
            if why:
                told.add(kind)
                found.setdefault((dotted(path), why), written()[:200])

        return hear

    def problems(self, source: str, declared: Mapping[str, str], asked: Callable[[], Iterable[str]]) -> tuple[Problem, ...]:
        """One warning for each, in the order they were met; those whose comparison is no longer `asked` are left out."""
        if not self._found:
            return ()
        still = frozenset(text[:200] for text in asked())
        found = []
        for (name, why), written in tuple(self._found.items()):
            if written in still:
                hint = (
                    f"[context] declares it {declared[name]}" if name in declared else "see the table of values in the page on conditions"
                )
                message = f"{name} came as a value that is not compared: {why}; so `{written}` is not so"
                found.append(Problem(source, None, f"context.{name}", message, hint))
        return tuple(found)
