"""Which elements of two lists belong together, where position does not say it. Linear; never every pair against every pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Final

from progflags.darklaunch._paths import INDEX
from progflags.darklaunch._rules import State
from progflags.darklaunch._views import is_atom, opened

__all__ = ["keyed", "leftovers", "pairs"]

_MOST: Final = 50_000  # nodes frozen per bag
_DEEPEST: Final = 64


class TooMuchError(Exception):
    """The bag is larger than its budget."""


def leftovers(a: Sequence[Any], b: Sequence[Any], state: State | None) -> tuple[list[Any], list[Any]]:
    """
    The elements of `a` and of `b` without a partner, in order. `state` holds the rules for one element.

    Raises:
        TooMuchError: a budget ended it; the pair is uncomparable.
    """
    freezer = _Freezer()
    left = [(freezer.freeze(value, state, 0), value) for value in a]
    right = [(freezer.freeze(value, state, 0), value) for value in b]
    return _without(left, Counter(key for key, _ in right)), _without(right, Counter(key for key, _ in left))


def pairs(a: list[Any], b: list[Any]) -> tuple[list[Any], list[Any]]:
    """Both sorted where they can be, so that near numbers meet; as they are otherwise."""
    try:
        return sorted(a), sorted(b)
    except Exception:  # mixed or unordered types: positions are as good as any
        return a, b


def keyed(items: Any, keys: tuple[str, ...]) -> dict[Any, Any]:
    """Elements by key; the second element of one key gets its number, so that none hides another."""
    found: dict[Any, Any] = {}
    times: dict[Any, int] = {}
    for item in items:
        key = tuple(_part(item, name) for name in keys)
        times[key] = times.get(key, 0) + 1
        found[(key, times[key])] = item
    return found


def _part(item: Any, name: str) -> Any:
    return item[name] if isinstance(item, dict) else getattr(item, name)


def _without(items: list[tuple[Hashable, Any]], others: Counter[Hashable]) -> list[Any]:
    rest = []
    for key, value in items:
        if others[key] > 0:
            others[key] -= 1
        else:
            rest.append(value)
    return rest


class _Freezer:
    """A value as nested tuples with its types in them: equal exactly where the walk would find no difference."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes = 0

    def freeze(self, value: Any, state: State | None, depth: int) -> Hashable:
        self._nodes += 1
        if self._nodes > _MOST or depth > _DEEPEST:
            raise TooMuchError
        if state is not None:
            if "ignore" in state.rules:
                return ()
            if "normalize" in state.rules:
                value, state = state.rules["normalize"].value(value), state.without("normalize")
        kind = type(value)
        if is_atom(kind):
            return (kind, value) if value == value else (kind, "NaN")  # noqa: PLR0124 - only NaN is not itself
        if kind is dict:
            kept = ((key, each, _below(state, key)) for key, each in value.items())
            return (kind, frozenset((key, self.freeze(each, below, depth + 1)) for key, each, below in kept if not _skipped(below)))
        if kind is list or kind is tuple:
            return (kind, tuple(self.freeze(each, _below(state, INDEX), depth + 1) for each in value))
        inside = opened(value, _MOST - self._nodes)
        if inside is None:
            return (kind, value)
        if inside[0] == "set":
            return (kind, frozenset(self.freeze(each, None, depth + 1) for each in value))
        return (kind, self.freeze(list(inside[1]) if inside[0] == "items" else inside[1], state, depth + 1))


def _below(state: State | None, key: Any) -> State | None:
    return None if state is None else state.step(key)


def _skipped(below: State | None) -> bool:
    return below is not None and "ignore" in below.rules
