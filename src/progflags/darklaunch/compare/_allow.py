"""What a leaf rule lets pass: tolerance on numbers, within on times, opaque on shapes."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from progflags.darklaunch.compare._rules import Near, Rule, State

__all__ = ["allowed", "close", "shape"]

# A billionth of the bound, and the last bit of the number, forgive binary fractions: 10.01 − 10.00 is a hair more than 0.01.
_HAIR: Final = 1 + 1e-9
_ULP: Final = 1e-15
_INFINITE: Final = float("inf")


def close(a: Any, b: Any, near: Near) -> bool:
    """The common case of `allowed`, without its calls: two floats under a tolerance. A table of prices is thousands of these."""
    if type(a) is not float or type(b) is not float:
        return False
    size = max(abs(a), abs(b))
    return abs(a - b) <= max(near[0], near[1] * size) * _HAIR + _ULP * size < _INFINITE


def allowed(a: Any, b: Any, state: State) -> Rule | None:
    """The rule at this state that accepts the pair as it is, or None: go on comparing."""
    rules = state.rules
    if "tolerance" in rules and _near(a, b, *rules["tolerance"].value):
        return rules["tolerance"]
    if "within" in rules and _soon(a, b, rules["within"].value):
        return rules["within"]
    if "opaque" in rules and _alike(a, b):
        return rules["opaque"]
    return None


def _near(a: Any, b: Any, absolute: Decimal, relative: float) -> bool:
    if not (_is_number(a) and _is_number(b)):
        return False
    if isinstance(a, float) or isinstance(b, float):
        left, right = float(a), float(b)
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right or close(left, right, (float(absolute), relative, ""))
    exact, other = Decimal(a), Decimal(b)
    if exact.is_nan() or other.is_nan():
        return exact.is_nan() and other.is_nan()
    return exact == other or abs(exact - other) <= max(absolute, Decimal(relative) * max(abs(exact), abs(other)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _soon(a: Any, b: Any, seconds: float) -> bool:
    left, right = _time(a), _time(b)
    if type(left) is not type(right) or left is None or right is None:
        return False
    if isinstance(left, datetime) and isinstance(right, datetime):
        if (left.tzinfo is None) != (right.tzinfo is None):
            return False
        return abs((left - right).total_seconds()) <= seconds
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return abs((left - right).total_seconds()) <= seconds
    return abs(float(left) - float(right)) <= seconds  # type: ignore[arg-type]  # both are floats by now


def _time(value: Any) -> datetime | timedelta | float | None:
    if isinstance(value, (datetime, timedelta)):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and len(value) <= 40:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return None
    return None


_SHAPES: Final = (
    ("uuid", re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")),
    ("ulid", re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")),
    ("digits", re.compile(r"[0-9]+\Z")),
    ("hex", re.compile(r"(?:[0-9a-f]+|[0-9A-F]+)\Z")),
    ("token", re.compile(r"[0-9A-Za-z_-]+={0,2}\Z")),
)
_LONGEST: Final = 4096


def shape(text: str) -> tuple[str, int]:
    """What sort of identifier a text is, and its length where that belongs to the sort."""
    if len(text) <= _LONGEST:
        for name, pattern in _SHAPES:
            if pattern.match(text):
                return name, 0 if name == "digits" else len(text)
    return "text", len(text)


def _alike(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or isinstance(a, (dict, list, tuple, set)):
        return False
    if not isinstance(a, str):
        return True
    left, right = shape(a), shape(b)
    # All-digit hexadecimal tokens occur by chance (one in 10⁶ for 32 digits, one in five for 4): read both as the wider sort.
    if left != right and {left[0], right[0]} <= {"digits", "hex", "token"}:
        return len(a) == len(b)
    return left == right
