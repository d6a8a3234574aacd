"""
Many pairs at one path, compared key by key instead of pair by pair.

A list of a thousand orders is a thousand prices and a thousand names: columns, each compared as one list at C speed, with
the rules asked only where two cells differ. Columns only ever prove pairs the same. What they leave (another shape, a class
of somebody's, a real difference) is walked, and the walk says what it is; so there is one place that finds differences.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import accumulate, chain, compress
from operator import eq, is_, itemgetter, ne
from time import thread_time
from typing import Any, Final

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.compare._allow import allowed, close
from progflags.darklaunch.compare._paths import INDEX
from progflags.darklaunch.compare._rules import Rule, State
from progflags.darklaunch.compare._views import ATOMS

__all__ = ["MANY", "Columns"]

MANY: Final = 8  # pairs from which columns pay
_CELLS: Final = 8  # cells are looked at in the time of one walked node
_DEEPEST: Final = 32  # a cycle would go on for ever
_TEXT: Final = frozenset({str})

Values = Sequence[Any]
Left = Collection[int]  # positions of pairs that are not proved the same
_NONE: Final[Left] = ()


class Columns:
    """
    For one comparison: as many cells as `nodes` are worth, until the thread's CPU time is `until`.

    The names of rules that let something pass go to `used`.
    """

    __slots__ = ("_room", "_until", "_used")

    def __init__(self, nodes: int, until: float, used: set[str]) -> None:
        self._room = nodes * _CELLS
        self._until = until
        self._used = used

    def left(self, a: Values, b: Values, state: State | None) -> Sequence[int]:
        """The positions, in order, at which `a[i]` and `b[i]`, both under `state`, are not proved the same."""
        try:
            return sorted(self._left(a, b, state, 0))
        except BaseException as error:  # an `==`, a hash or a key of somebody's: the walk deals with each by itself
            if is_delivered(error):
                raise
            return range(len(a))

    def _left(self, a: Values, b: Values, state: State | None, depth: int) -> Left:
        self._room -= len(a)
        if self._room < 0 or depth > _DEEPEST or thread_time() > self._until:
            return range(len(a))
        kinds = list(map(type, a))
        alike = list(map(is_, kinds, map(type, b)))
        sorts = set(kinds)
        atoms = sorts <= ATOMS
        if atoms and all(alike) and a == b:
            return _NONE
        if state is not None and "ignore" in state.rules:
            self._used.add(str(state.rules["ignore"]))
            return _NONE
        if atoms and all(alike):
            return self._cells(a, b, state)
        if not all(alike) or len(sorts) > 1:
            labels = (None if not same else ATOMS if kind in ATOMS else kind for kind, same in zip(kinds, alike, strict=True))
            return self._apart(labels, a, b, state, depth)
        if state is not None and "normalize" in state.rules:
            return range(len(a))
        (kind,) = sorts
        if kind is dict:
            return self._mappings(a, b, state, depth)
        if kind is list or kind is tuple:
            return self._sequences(a, b, state, depth)
        return range(len(a))

    def _cells(self, a: Values, b: Values, state: State | None) -> Left:
        """Atoms, each of the same class as its partner."""
        near = None if state is None else state.near
        left: list[int] = []
        passed: Rule | None = None
        for index in compress(range(len(a)), map(ne, a, b)):
            x, y = a[index], b[index]
            if x != x and y != y:  # noqa: PLR0124 - NaN equals NaN
                continue
            if near is not None and close(x, y, near):
                self._used.add(near[2])
                continue
            rule = None if state is None or "normalize" in state.rules else allowed(x, y, state)
            if rule is None:
                left.append(index)
            elif rule is not passed:
                self._used.add(str(rule))
                passed = rule
        return left

    def _mappings(self, a: Values, b: Values, state: State | None, depth: int) -> Left:
        keys = list(a[0])
        if not _TEXT.issuperset(map(type, keys)):
            return range(len(a))
        many = len(a) * len(keys)
        if sum(map(len, a)) != many or sum(map(len, b)) != many:
            return self._by_shape(a, b, state, depth)
        left: set[int] = set()
        for key in keys:
            cell = itemgetter(key)
            try:
                x, y = list(map(cell, a)), list(map(cell, b))
            except KeyError:
                return self._by_shape(a, b, state, depth)
            left.update(self._left(x, y, None if state is None else state.step(key), depth + 1))
        return left

    def _sequences(self, a: Values, b: Values, state: State | None, depth: int) -> Left:
        lengths = list(map(len, a))
        same = list(map(eq, lengths, map(len, b)))
        if not all(same):
            return self._apart((True if each else None for each in same), a, b, state, depth)
        if (state is not None and state.indexed) or sum(lengths) > self._room:
            return range(len(a))
        # Side by side is not how these are paired, so here no rule may be used: only the very same order proves anything.
        paired = state is None or not state.rules.keys() & {"unordered", "by_key"}
        inside = state.step(INDEX) if state is not None and paired else None
        left = self._left(list(chain.from_iterable(a)), list(chain.from_iterable(b)), inside, depth + 1)
        ends = list(accumulate(lengths)) if left else []
        return {bisect_right(ends, index) for index in left}

    def _by_shape(self, a: Values, b: Values, state: State | None, depth: int) -> Left:
        labels = (tuple(x) if x.keys() == y.keys() else None for x, y in zip(a, b, strict=True))
        return self._apart(labels, a, b, state, depth)

    def _apart(self, labels: Iterable[Hashable], a: Values, b: Values, state: State | None, depth: int) -> Left:
        """Pairs of one label are a column of their own; None: that pair is left."""
        left: list[int] = []
        groups: dict[Hashable, list[int]] = {}
        for index, label in enumerate(labels):
            (left if label is None else groups.setdefault(label, [])).append(index)
        if 2 * len(groups) > len(a):
            return range(len(a))
        for group in groups.values():
            found = self._left([a[index] for index in group], [b[index] for index in group], state, depth + 1)
            left.extend(group[index] for index in found)
        return left
