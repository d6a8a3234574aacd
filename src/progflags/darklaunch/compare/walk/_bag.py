"""
Which elements of two collections belong together, where position does not say it.

Equal elements are paired first, by a key made of their value: linear, and no element is held against every other. What is
left is paired by asking whether two elements fit under the rules, but only those that agree in all that no rule forgives, and
paired optimally (an augmenting path gives up a pair where that makes two), for a tolerance may let one element fit several.
Berge (1957): a pairing that no such path makes larger is a largest one. Bounded: past a number of questions it says so instead
of calling the two different.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Final

from progflags.darklaunch.compare._paths import INDEX
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare._views import is_atom, opened

__all__ = ["Freezer", "TooMuchError", "by_size", "grouped", "pair"]

_MOST: Final = 50_000  # nodes frozen per bag
_DEEPEST: Final = 64
_ASKED: Final = 20_000  # pairs of elements asked about per bag

Fits = Callable[[int, int], bool]


class TooMuchError(Exception):
    """The bag is larger than its budget."""


def pair(left: int, right: int, fits: Fits, start: Iterable[tuple[int, int]] = ()) -> tuple[list[int], list[int]]:
    """
    The positions of `left` and of `right` elements that are without a partner in a largest pairing that begins with `start`.

    Raises:
        TooMuchError: it took too many questions to say that every element has a partner, or that one has none.
    """
    partner = {other: one for one, other in start}  # of the right ones
    paired = set(partner.values())
    lonely: list[int] = []
    asked: dict[tuple[int, int], bool] = {}

    def ask(one: int, other: int) -> bool:
        if (one, other) not in asked:
            if len(asked) >= _ASKED:
                raise TooMuchError(f"a bag of {left:,} and {right:,} elements has too many pairs to try")
            asked[one, other] = fits(one, other)
        return asked[one, other]

    for one in range(left):
        if one not in paired:
            try:
                if not _augment(one, right, ask, partner):
                    lonely.append(one)
            except TooMuchError:
                if not lonely and left >= right:
                    raise
                lonely.append(one)  # one is without a partner already: the bags differ, and this pairing is good enough to say how
    return lonely, [other for other in range(right) if other not in partner]


def _augment(first: int, right: int, ask: Fits, partner: dict[int, int]) -> bool:
    """Pair `first`, making room for it where need be; False: no pairing has it and all those that are paired."""
    came: dict[int, int] = {}  # of a right one: which left one asked for it
    waiting = [first]
    for one in waiting:
        for other in chain(range(one, min(one + 1, right)), range(min(one, right)), range(one + 1, right)):  # its own place first
            if other not in came and ask(one, other):
                came[other] = one
                if other not in partner:
                    _take(other, first, came, partner)
                    return True
                waiting.append(partner[other])
    return False


def _take(other: int, first: int, came: dict[int, int], partner: dict[int, int]) -> None:
    """Give everybody on the way from `first` to `other` the one they asked for."""
    if came[other] == first:
        partner[other] = first
        return
    asking = set(came.values())
    had = {one: right for right, one in partner.items() if one in asking}
    while True:
        one = partner[other] = came[other]
        if one == first:
            return
        other = had[one]


def by_size(values: Iterable[Any]) -> list[Any]:
    """In the order of the numbers in them, so that near ones stand at one place in two such lists."""
    return sorted(values, key=lambda value: tuple(islice(_numbers(value, 0), _DEEPEST)))


def _numbers(value: Any, depth: int) -> Iterator[float]:
    if isinstance(value, (int, float, Decimal)):
        with suppress(OverflowError):
            yield float(value)
    elif isinstance(value, (list, tuple)) and depth < _DEEPEST:
        for each in value:
            yield from _numbers(each, depth + 1)
    elif isinstance(value, dict) and depth < _DEEPEST:
        for key in sorted(value, key=str):
            yield from _numbers(value[key], depth + 1)


def grouped(items: Iterable[Any], keys: tuple[str, ...], freezer: Freezer, state: State | None) -> dict[Hashable, list[Any]]:
    """Elements by their fields `keys`, as the rules at those fields read them. `state` holds the rules for one element."""
    found: dict[Hashable, list[Any]] = {}
    for item in items:
        key = tuple(freezer.freeze(_part(item, name), _below(state, name), 0) for name in keys)
        found.setdefault(key, []).append(item)
    return found


def _part(item: Any, name: str) -> Any:
    return item[name] if isinstance(item, dict) else getattr(item, name)


class Freezer:
    """A value as nested tuples with its types in them: where two are equal, the walk would find no difference."""

    __slots__ = ("_nodes", "_strict")

    def __init__(self, *, strict: bool = True) -> None:
        self._nodes = 0
        self._strict = strict

    def twins(self, a: Sequence[Any], b: Sequence[Any], state: State | None) -> list[tuple[int, int]]:
        """Positions of equal elements, each in one pair at most; none where elements can't be frozen."""
        waiting: dict[Hashable, list[int]] = {}
        try:
            for position, value in enumerate(b):
                waiting.setdefault(self.freeze(value, state, 0), []).append(position)
            keys = [self.freeze(value, state, 0) for value in a]
        except Exception:  # too much of it, not hashable, an `==` of somebody's that fails: each pair is asked about instead
            return []
        for positions in waiting.values():
            positions.reverse()
        return [(position, waiting[key].pop()) for position, key in enumerate(keys) if waiting.get(key)]

    def blocks(self, a: Sequence[Any], b: Sequence[Any], state: State | None) -> list[tuple[list[Any], list[Any]]]:
        """Elements that may be partners of each other, together: no rule pairs one with an element of another block."""
        if state is None:
            return [(list(a), list(b))]
        found: dict[Hashable, tuple[list[Any], list[Any]]] = {}
        try:
            for side, values in enumerate((a, b)):
                for value in values:
                    found.setdefault(self.freeze(value, state, 0, outline=True), ([], []))[side].append(value)
        except Exception:  # as in `twins`: they are all in one block then
            return [(list(a), list(b))]
        return list(found.values())

    def freeze(self, value: Any, state: State | None, depth: int, *, outline: bool = False) -> Hashable:
        """
        The tuples; as an `outline` without what a rule may forgive, so that whatever fits has the same one.

        Raises:
            TooMuchError: there is too much of it.
        """
        self._nodes += 1
        if self._nodes > _MOST or depth > _DEEPEST:
            raise TooMuchError("a bag of more than 50,000 parts")
        if state is not None:
            if "ignore" in state.rules or (outline and _forgiven(value, state)):
                return ()
            if "normalize" in state.rules:
                value, state = state.rules["normalize"].value(value), state.without("normalize")
        kind = type(value)
        if is_atom(kind):
            return (self._sort(kind), value) if value == value else (kind, "NaN")  # noqa: PLR0124 - only NaN is not itself
        if kind is dict:
            return self._mapping(value, state, depth, outline)
        if kind is list or kind is tuple:
            return self._items(kind, value, state, depth, outline)
        inside = opened(value, _MOST - self._nodes)
        if inside is None:
            return (kind, value)
        if inside[0] == "set":
            return (kind, frozenset(self.freeze(each, None, depth + 1) for each in value))
        parts = list(inside[1]) if inside[0] == "items" else inside[1]
        frozen = self.freeze(parts, state, depth + 1, outline=outline)
        return (kind, frozen) if self._strict else frozen

    def _sort(self, kind: type) -> object:
        """What of an atom's class counts: 1 and 1.0 are equal where types are not strict."""
        return complex if not self._strict and issubclass(kind, (int, float, complex)) else kind

    def _mapping(self, value: dict[Any, Any], state: State | None, depth: int, outline: bool) -> Hashable:
        kept = ((key, each, _below(state, key)) for key, each in value.items())
        return (
            dict,
            frozenset(
                (type(key) if self._strict else None, key, self.freeze(each, below, depth + 1, outline=outline))
                for key, each, below in kept
                if not _skipped(below)
            ),
        )

    def _items(self, kind: type, value: Sequence[Any], state: State | None, depth: int, outline: bool) -> Hashable:
        bag = state is not None and ("unordered" in state.rules or (outline and "by_key" in state.rules))
        if state is not None and state.indexed and not bag:
            parts = [self.freeze(each, state.step(index), depth + 1, outline=outline) for index, each in enumerate(value)]
        else:
            inside = _below(state, INDEX)
            parts = [self.freeze(each, inside, depth + 1, outline=outline) for each in value]
        return (kind if self._strict else list, frozenset(Counter(parts).items()) if bag else tuple(parts))


def _forgiven(value: Any, state: State) -> bool:
    """Whether a rule here may pass over a difference in `value` itself: it says nothing about who its partner is then."""
    rules = state.rules.keys()
    if isinstance(value, (dict, list, tuple)):
        return "subset" in rules or (state.indexed and bool(rules & {"unordered", "by_key"}))
    if isinstance(value, AbstractSet):
        return True  # its elements are a bag of their own
    return bool(rules & {"within", "opaque", "subset"}) or ("tolerance" in rules and isinstance(value, (int, float, Decimal)))


def _below(state: State | None, key: Any) -> State | None:
    return None if state is None else state.step(key)


def _skipped(below: State | None) -> bool:
    return below is not None and "ignore" in below.rules
