"""
The kinds of values a flag file holds: how each is checked, and how JSON Schema says the same.

One table of fields (_format.py) built of these is both the loader and the published schema, so what an editor accepts and
what the loader accepts cannot drift apart. Written by hand rather than as pydantic models: the import alone would cost
60–90 ms at every start, and messages here name the remedy in the file's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any, Final

from progflags._clock import seconds
from progflags.flags._freeze import freeze
from progflags.flags._hours import Hours
from progflags.flags._model import During
from progflags.flags._problems import Wrong, shown, word
from progflags.flags.conditions import expression, moment_of, tree
from progflags.flags.file._fields import DEEPEST, Kind, is_table

__all__ = [
    "DAY",
    "DURATION",
    "METADATA",
    "MOMENT",
    "NAME",
    "NUMBER",
    "PERCENT",
    "PERCENT_OR_AUTO",
    "PROSE",
    "SECRET",
    "SHARE",
    "TABLE",
    "TABLE_OR_FALSE",
    "TEXT",
    "TRUTH",
    "UNIT",
    "VALUE",
    "VARIANT",
    "VARIANTS",
    "WEIGHTS",
    "WHEN",
    "WHOLE",
    "WORDS",
    "enabled",
    "ppm",
    "value_of_flag",
    "windows",
]

_LARGEST: Final = 10**308  # a float holds no more


def _text(value: Any) -> str:
    if type(value) is not str or not value:
        raise Wrong(f"a text is wanted here, not {shown(value)}")
    if not value.isprintable() and any((ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise Wrong("a text without control characters is wanted here")
    return value


def _name(value: Any) -> str:
    if type(value) is str and value and value.isprintable() and len(value) <= 256 and value == value.strip():
        return value
    _text(value)
    raise Wrong("a name has 1 to 256 printable characters, none of them blank at either end")


def _prose(value: Any) -> str:
    return value if value == "" and type(value) is str else _text(value)


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise Wrong(f"true or false is wanted here, not {shown(value)}")
    return value


def _number(value: Any) -> int | float:
    if type(value) is int:
        if not -_LARGEST <= value <= _LARGEST:
            raise Wrong("this number is too large")
        return value
    if type(value) is not float or not isfinite(value):
        raise Wrong(f"a finite number is wanted here, not {shown(value)}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 10**12:
        raise Wrong(f"a whole number from 0 is wanted here, not {shown(value)}")
    return value


def ppm(value: Any) -> int:
    """A written percentage, 0 … 100 with up to 4 decimals, in parts per million."""
    number = _number(value)
    if not 0 <= number <= 100:
        raise Wrong(f"a percentage is 0 to 100, not {shown(value)}")
    if type(number) is int:
        return number * 10_000
    from decimal import Decimal

    exact = Decimal(repr(number)) * 10_000  # as written: 0.1 is a tenth, not the nearest double
    if exact != exact.to_integral_value():
        raise Wrong(f"a percentage has at most 4 decimals, not {shown(value)}", "0.0001 is one in a million")
    return int(exact)


def _percent(value: Any) -> int | float:
    ppm(value)
    number: int | float = value
    return number


def _percent_or_auto(value: Any) -> int | float | str:
    return "auto" if value == "auto" else _percent(value)


def _weight(value: Any) -> int | float:
    weight = _number(value)
    if weight < 0:
        raise Wrong(f"a weight is 0 or more, not {shown(value)}")
    return weight


def _weights(value: Any) -> tuple[tuple[str, int | float], ...]:
    if not is_table(value) or not value:
        raise Wrong(f"a table of variant = weight is wanted here, not {shown(value)}", "write { fast = 1, faster = 1 }")
    pairs = []
    for name, weight in value.items():
        try:
            pairs.append((word(name), _weight(weight)))
        except Wrong as wrong:
            raise Wrong(wrong.message, wrong.hint, (word(name),)) from None
    if not sum(weight for _, weight in pairs) > 0:
        raise Wrong("the weights add to nothing", "give at least one variant a weight above 0")
    return tuple(pairs)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise Wrong(f"a date is wanted here, not {shown(value)}", "write 2027-03-01 (in JSON: as a text)")


def _moment(value: Any) -> float:
    at = moment_of(value)
    if at is None:
        raise Wrong(f"a date or time is wanted here, not {shown(value)}", "write 2027-03-01T09:00:00Z")
    return at


def _duration(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"a duration is wanted here, not {shown(value)}", 'write a number and a unit, as in "30s", "15m", "4h" or "1d"')
    try:
        seconds(value)
    except ValueError:
        raise Wrong(f"{value[:40]!r} is no duration", 'write a number and a unit, as in "30s", "15m", "4h" or "1d"') from None
    return value


def value_of_flag(value: Any, depth: int = 0) -> Any:
    """A variant's value: any JSON, finite and not deeper than 32 levels, frozen."""
    if depth > DEEPEST:
        raise Wrong(f"nested deeper than {DEEPEST} levels")
    kind = type(value)
    if kind is bool:
        return value
    if kind is str:
        return _whole_text(value)
    if kind is int or kind is float:
        return _number(value)
    if is_table(value):
        for key, item in value.items():
            _part(item, word(key), depth)
            _whole_text(word(key))
        return freeze(value)
    if isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            _part(item, at, depth)
        return freeze(value)
    raise Wrong(f"a variant's value is true, false, a text, a number, a table or a list, not {shown(value)}")


def _whole_text(value: str) -> str:
    """A text that can be written as UTF-8: JSON can say half a character, and no answer could carry it."""
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise Wrong(f"half a character in {value[:40]!r}", "a \\ud83d wants its second half: write the character itself")
    return value


def _part(value: Any, key: str | int, depth: int) -> None:
    try:
        if value is not None:  # null is a JSON value like any other, inside one
            value_of_flag(value, depth + 1)
    except Wrong as wrong:
        raise Wrong(wrong.message, wrong.hint, (key, *wrong.path)) from None


def _unit(value: Any) -> tuple[tuple[str, ...], ...]:
    """One attribute, several that make one unit together, or `{ first_of = [...] }`: the first that is there; `first` is its old name."""
    if isinstance(value, str):
        return ((_name(value),),)
    if isinstance(value, Mapping) and len(value) == 1:
        ((word, names),) = value.items()
        if word in ("first_of", "first") and isinstance(names, list) and names:
            return (tuple(_name(item) for item in names),)
    if isinstance(value, list) and value:
        return tuple(group for item in value for group in _unit(item))
    raise Wrong(
        f"an attribute's name is wanted here, not {shown(value)}",
        'write "account_id", ["org", "user"] or { first_of = ["user", "device"] }',
    )


def _when(value: Any) -> Any:
    return expression(value) if type(value) is str else tree(value)


def enabled(value: Any) -> bool | During:
    """Whether a flag answers, or from when until when."""
    if type(value) is bool:
        return value
    if not is_table(value) or not value or not set(value) <= {"from", "until"}:
        raise Wrong(f"true, false or a time is wanted here, not {shown(value)}", "write { from = 2027-03-01, until = 2027-04-01 }")
    times = {key: _moment(item) for key, item in value.items()}
    found = During(times.get("from"), times.get("until"))
    if found.since is not None and found.until is not None and found.since >= found.until:
        raise Wrong("'until' is not after 'from'", "", ("until",))
    return found


def windows(value: Any) -> tuple[Hours, ...]:
    """Hours of the week, one table at least."""
    if not isinstance(value, list) or not value:
        raise Wrong(f"a list of hours is wanted here, not {shown(value)}", 'write [{ days = ["mon-fri"], from = "09:00", to = "17:00" }]')
    found = []
    for at, item in enumerate(value):
        if not is_table(item):
            raise Wrong(f"a table is wanted here, not {shown(item)}", "", (at,))
        try:
            found.append(Hours.of(item))
        except (TypeError, ValueError) as error:
            raise Wrong(str(error), "", (at,)) from None
    return tuple(found)


def _plain_table(value: Any) -> Any:
    if not is_table(value):
        raise Wrong(f"a table is wanted here, not {shown(value)}")
    return value_of_flag(value)


def _metadata(value: Any) -> Any:
    found = _plain_table(value)
    for key, item in found.items():
        if not isinstance(item, (bool, str, int, float)):
            raise Wrong(f"metadata are texts, numbers, true and false, not {shown(item)}", "", (key,))
    return found


def _table_or_false(value: Any) -> Any:
    return value if isinstance(value, bool) else _plain_table(value)


def _words(value: Any) -> tuple[str, ...]:
    """One text, or several."""
    if isinstance(value, list) and value:
        return tuple(_text(item) for item in value)
    return (_text(value),)


def _secret(value: Any) -> str:
    """A text that may stand for one in the environment. It is never quoted: it may be a secret all the same."""
    if type(value) is not str or not value or not value.isprintable() or " " in value:
        raise Wrong("a text without blanks is wanted here", 'write "env:NAME" to take it from the environment')
    name = value.removeprefix("env:")
    if name != value and not (name.isascii() and name.isidentifier()):
        raise Wrong(f"{name[:40]!r} can't be the name of a variable", 'write "env:SLACK_WEBHOOK"')
    return value


def _variant(value: Any) -> str | bool:
    if isinstance(value, bool):
        return value
    return _text(value)


def _variants(value: Any) -> tuple[str | bool, ...]:
    if isinstance(value, list) and value:
        return tuple(_variant(item) for item in value)
    return (_variant(value),)


TEXT: Final = Kind(_text, {"type": "string", "minLength": 1})
PROSE: Final = Kind(_prose, {"type": "string"})
NAME: Final = Kind(_name, {"type": "string", "minLength": 1, "maxLength": 256})
TRUTH: Final = Kind(_truth, {"type": "boolean"})
NUMBER: Final = Kind(_number, {"type": "number"})
WHOLE: Final = Kind(_whole, {"type": "integer", "minimum": 0})
# Four decimals at most, which a schema can't say: 24.9 is no multiple of 0.0001 where numbers are floats, and would be underlined.
SHARE: Final = Kind(ppm, {"type": "number", "minimum": 0, "maximum": 100, "title": "percent"})
PERCENT: Final = Kind(_percent, SHARE.schema)
PERCENT_OR_AUTO: Final = Kind(_percent_or_auto, {"anyOf": [SHARE.schema, {"const": "auto"}]})
WEIGHTS: Final = Kind(_weights, {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number", "minimum": 0}})
DAY: Final = Kind(_day, {"type": "string", "format": "date"})
MOMENT: Final = Kind(_moment, {"type": "string", "title": "moment"})
DURATION: Final = Kind(_duration, {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"})
WHEN: Final = Kind(_when, {"$ref": "#/$defs/condition"})
UNIT: Final = Kind(_unit, {"$ref": "#/$defs/unit"})
VALUE: Final = Kind(value_of_flag, {})
TABLE: Final = Kind(_plain_table, {"type": "object"})
METADATA: Final = Kind(_metadata, {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
TABLE_OR_FALSE: Final = Kind(_table_or_false, {"type": ["object", "boolean"]})
WORDS: Final = Kind(_words, {"oneOf": [TEXT.schema, {"type": "array", "items": TEXT.schema, "minItems": 1}]})
SECRET: Final = Kind(_secret, {"type": "string", "pattern": r"^(env:[A-Za-z_]\w*|(?!env:)\S+)$"})
VARIANT: Final = Kind(_variant, {"type": ["string", "boolean"]})
VARIANTS: Final = Kind(_variants, {"type": ["string", "boolean", "array"]})
