"""
What an attribute's value counts as in a comparison.

Text, numbers, truth and dates count as they are. A value of another class counts where it has one exact meaning: a subclass
and an Enum by the plain value, a UUID and an IP address by the text they are written as, a numpy scalar as the Python value
it holds. Decimal and Fraction stay what they are, and are compared exactly. Everything else is foreign and matches nothing.
A foreign object's own code is never run, and no module is imported to look: a Decimal can only come from a program that has
loaded `decimal`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime
from enum import Enum
from types import MappingProxyType, NoneType
from typing import Any, Final
from uuid import UUID

from progflags.flags.conditions._literals import moment_of

__all__ = ["foreign", "instant", "is_number", "is_table", "items_of", "named", "number_as", "plain", "shown_value"]

_PLAIN: Final = frozenset({str, int, float, bool, NoneType})
_LATEST: Final = 1e11  # seconds since the epoch, the year 5138; as milliseconds it is 1973, so a larger number is hardly seconds
_NESTED: Final = 4  # Enums whose value is an Enum

_mro: Final = type.__dict__["__mro__"].__get__
_name: Final = type.__dict__["__name__"].__get__


def plain(value: Any) -> Any:
    """What a value counts as: a str, int, float, bool, Decimal, Fraction, date or datetime; itself where it is foreign."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool:
        return value
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__add__(value, 0)
    if issubclass(kind, float):
        return float.__add__(value, 0.0)
    return _counted(value, kind)


def _counted(value: Any, kind: type) -> Any:
    known = _known()
    try:
        for _ in range(_NESTED):
            convert = next((known[id(base)] for base in _mro(kind) if id(base) in known), None)
            if convert is None:
                return value
            value = convert(value)
            kind = type(value)
            if convert is not _of_enum:
                return value
            if issubclass(kind, (str, int, float)):
                return plain(value)
    except Exception:  # it is what its class says, and broken: nothing can be said of it, so it is foreign
        return value
    return value


def _of_enum(value: Any) -> Any:
    return object.__getattribute__(value, "_value_")


def _itself(value: Any) -> Any:
    return value


_ALWAYS: Final[dict[int, Callable[[Any], Any]]] = {id(date): _itself, id(Enum): _of_enum, id(UUID): UUID.__str__}
"""Conversions by the id of a class, for a class may define its own hash. None of these classes ever goes away."""

_tables: dict[tuple[bool, ...], dict[int, Callable[[Any], Any]]] = {}


def _known() -> dict[int, Callable[[Any], Any]]:
    """The conversions for what this process has loaded."""
    loaded = tuple(_ready(module, name) for module, name, _ in _LAZY)
    table = _tables.get(loaded)
    if table is None:
        table = {**_ALWAYS}
        for there, (module, _, build) in zip(loaded, _LAZY, strict=True):
            if there:
                table.update({id(kind): convert for kind, convert in build(sys.modules[module])})
        _tables[loaded] = table
    return table


def _ready(module: str, name: str) -> bool:
    """Whether a module is loaded, and not just being loaded by another thread."""
    found = sys.modules.get(module)
    return found is not None and hasattr(found, name)


_Pairs = Iterable[tuple[Any, Callable[[Any], Any]]]


def _decimals(decimal: Any) -> _Pairs:
    return [(decimal.Decimal, lambda value: value if type(value) is decimal.Decimal else decimal.Decimal(value))]


def _fractions(fractions: Any) -> _Pairs:
    kind = fractions.Fraction
    parts = kind.numerator.fget, kind.denominator.fget
    return [(kind, lambda value: value if type(value) is kind else kind(*(part(value) for part in parts)))]


def _addresses(ipaddress: Any) -> _Pairs:
    return [(kind, kind.__str__) for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address)]


def _numpy(numpy: Any) -> _Pairs:
    item = numpy.generic.item

    def floating(value: Any) -> Any:
        found = item(value)
        if isinstance(found, float):
            return found
        near = float(found)  # a longdouble: exact as a float, or as a fraction
        if found == near or found != found:  # noqa: PLR0124 - only NaN differs from itself
            return near
        from fractions import Fraction

        return Fraction(*map(int, numpy.longdouble.as_integer_ratio(found)))

    def moment(value: Any) -> Any:
        years = numpy.generic.astype(value, "M8[Y]").astype(int)  # in the coarsest unit first: the others may overflow
        found = item(numpy.generic.astype(value, "M8[us]")) if -1969 <= years <= 8029 else None
        return found if isinstance(found, datetime) else value

    return [
        (numpy.bool_, item),
        (numpy.timedelta64, _itself),  # numpy files it under whole numbers; it is none
        (numpy.integer, item),
        (numpy.floating, floating),
        (numpy.datetime64, moment),
    ]


_LAZY: Final = (
    ("decimal", "Decimal", _decimals),
    ("fractions", "Fraction", _fractions),
    ("ipaddress", "IPv6Address", _addresses),
    ("numpy", "datetime64", _numpy),
)


# ── what a plain value is ────────────────────────────────────────────


def foreign(value: Any) -> bool:
    """Whether `plain(value)` is nothing that can be compared."""
    value = plain(value)
    kind = type(value)
    return kind not in _PLAIN and not issubclass(kind, date) and not _exact(kind)


def _exact(kind: type) -> bool:
    decimal, fractions = sys.modules.get("decimal"), sys.modules.get("fractions")
    return kind is getattr(decimal, "Decimal", None) or kind is getattr(fractions, "Fraction", None)


def is_number(value: Any) -> bool:
    """Whether a plain value is a number to compare with. True and False are none, nor is NaN."""
    kind = type(value)
    if kind is int or kind is float:
        return bool(value == value)  # noqa: PLR0124 - only NaN differs from itself
    return _exact(kind) and not getattr(value, "is_nan", bool)()


def number_as(kind: type, number: float) -> Any:
    """
    A number of the file as a Decimal or Fraction: the one that is written there.

    0.1 is a tenth then, not the nearest double, so that a price of Decimal("0.10") equals it.
    """
    return number if kind in (int, float) else kind(number if type(number) is int else repr(number))


def instant(value: Any) -> float | None:
    """
    Seconds since the epoch of a date, a datetime, ISO 8601 text or a number of seconds; else None.

    A number of a hundred thousand million or more is None: it would be the year 5138, and is milliseconds.
    """
    value = plain(value)
    if is_number(value):
        return float(value) if -_LATEST < value < _LATEST else None
    return moment_of(value) if issubclass(type(value), (str, date)) else None


_SEVERAL: Final = (list, tuple, set, frozenset, deque)


def items_of(value: Any) -> tuple[Any, ...] | None:
    """The items of a list, tuple, set, deque or one-dimensional numpy array, or of a subclass; else None."""
    kind = type(value)
    if kind is list or kind is tuple:
        return tuple(value)
    for several in _SEVERAL:
        if issubclass(kind, several):
            return tuple(several.__iter__(value))
    numpy = sys.modules.get("numpy")
    array = getattr(numpy, "ndarray", None)
    if array is not None and any(base is array for base in _mro(kind)) and array.ndim.__get__(value) == 1:
        return tuple(array.__iter__(value))
    return None


def is_table(value: Any) -> bool:
    """Whether a value is a table whose parts are looked at: a dict, or a dict's read-only view."""
    return issubclass(type(value), dict) or type(value) is MappingProxyType


def named(value: Any) -> str:
    """A value's class for people: `an int`, `a Foo`."""
    text = _name(type(value))
    text = text if text.isprintable() else repr(text)[1:-1]
    return f"{'an' if text[:1].lower() in 'aeiou' else 'a'} {text[:60]}"


def shown_value(value: Any) -> str:
    """A value for people, at most 80 characters; a foreign one by its class."""
    counted = plain(value)
    kind = type(counted)
    if kind is int and abs(counted) >= 10**50:
        return "a very large number"
    if kind in (str, int, float, bool, datetime, date):
        text = repr(counted)
    elif _exact(kind):
        try:
            text = str(counted)
        except ValueError:  # more digits than Python writes out
            return "a very large number"
    else:
        return named(value)
    return text if len(text) <= 80 else text[:77] + "..."
