"""Whether one condition implies another: everybody who is matched by the first is matched by the second."""

from __future__ import annotations

from typing import Any, Final

from progflags.flags.conditions._compare import Compare
from progflags.flags.conditions._conditions import Every, Named, Never, Node, Some
from progflags.flags.conditions._literals import Moment, SemVer
from progflags.flags.conditions._operators import predicate

__all__ = ["implies"]

_DEEPEST: Final = 40
_WIDEST: Final = 200  # parts of a condition, or items of a list: beyond, only what is written alike is seen


def implies(first: Node | None, second: Node | None) -> bool:
    """
    Whether `first` implies `second`, as far as can be seen from how they are written. None is everybody.

    Never true where it is not so; it may be false where it is.
    """
    return _implies(first, second, 0)


def _implies(first: Node | None, second: Node | None, depth: int) -> bool:
    if second is None:
        return True
    if first is None or depth > _DEEPEST:
        return False
    if first == second:
        return True
    depth += 1
    if isinstance(first, Named) or isinstance(second, Named):
        return _implies(_unnamed(first), _unnamed(second), depth) if _unnamed(first) and _unnamed(second) else False
    if isinstance(second, Every):
        return len(second.parts) <= _WIDEST and all(_implies(first, part, depth) for part in second.parts)
    if isinstance(first, Some):
        return len(first.parts) <= _WIDEST and all(_implies(part, second, depth) for part in first.parts)
    if isinstance(second, Some):
        return len(second.parts) <= _WIDEST and any(_implies(first, part, depth) for part in second.parts)
    if isinstance(first, Every):
        return len(first.parts) <= _WIDEST and any(_implies(part, second, depth) for part in first.parts)
    if isinstance(first, Never) and isinstance(second, Never):
        return _implies(second.part, first.part, depth)
    return isinstance(first, Compare) and isinstance(second, Compare) and _narrower(first, second)


def _unnamed(node: Node | None) -> Node | None:
    return node.part if isinstance(node, Named) else node


def _narrower(first: Compare, second: Compare) -> bool:
    """Whether one comparison of an attribute implies another of the same."""
    if first.path != second.path:
        return False
    if second.op == "exists":
        # What is missing matches nothing, so whatever else a comparison says, the attribute is there.
        return second.value is True and first.op != "exists"
    if first.op in ("==", "in") and second.op in _ONE_VALUE:
        values: tuple[Any, ...] = first.value if first.op == "in" and isinstance(first.value, tuple) else (first.value,)
        test = predicate(second.op, second.value)
        return 0 < len(values) <= _WIDEST and all(type(value) in (str, int, float, bool) and test(value) for value in values)
    return _bounds(first, second)


_ONE_VALUE: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "startswith", "endswith", "matches", "cidr")


def _bounds(first: Compare, second: Compare) -> bool:
    """`age >= 21` implies `age >= 18`; versions and dates likewise."""
    low, high = _ordered(first.value), _ordered(second.value)
    alike = type(first.value) is type(second.value) or (_number(first.value) and _number(second.value))
    if low is None or high is None or not alike:
        return False
    if first.op[0] == second.op[0] == ">":
        return bool(low > high or (low == high and (second.op == ">=" or first.op == ">")))
    if first.op[0] == second.op[0] == "<":
        return bool(low < high or (low == high and (second.op == "<=" or first.op == "<")))
    return False


def _ordered(value: Any) -> Any:
    if isinstance(value, SemVer):
        return value.order
    return value.at if isinstance(value, Moment) else value if _number(value) else None


def _number(value: Any) -> bool:
    return type(value) in (int, float)
