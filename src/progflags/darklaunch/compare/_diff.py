"""
diff(control, candidate) → differences, each with a path and a kind. Pure, bounded, and it never raises.

Three tiers. The same object is the same value. Equal imprints are equal documents: most calls end there, at C speed. Only
then a walk, side by side, that asks the rules at each path; it is iterative, so depth is no danger, and stops at a number of
nodes, differences and CPU seconds. Where a list is long, its elements are looked at in columns first (`_columns`), and only
those the columns don't prove the same are walked.

Strict: `True`, `1` and `1.0` are three values, a list is no tuple. NaN equals NaN. What can't be compared (an iterator, a
hostile `__eq__`, a cycle beyond the budget) is reported as uncomparable, never as equal and never as different.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.compare._allow import allowed, close
from progflags.darklaunch.compare._arrays import SAME, Leeway, SpecialDiff
from progflags.darklaunch.compare._bag import Freezer, TooMuchError, by_size, grouped, pair
from progflags.darklaunch.compare._columns import MANY, Columns
from progflags.darklaunch.compare._comparison import Budget, Comparison, Difference
from progflags.darklaunch.compare._imprint import same, value_of
from progflags.darklaunch.compare._paths import INDEX, KEY, MANY_KEYS, Path, render
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare._views import is_atom, is_closed, opened, special

__all__ = ["diff"]


_SAME: Final = Comparison()
_BUDGET: Final = Budget()
_DEEPEST: Final = 32  # lists whose elements are paired, within each other
_TRIES: Final = 16  # branches in a row whose imprints may differ before no more are taken
_TEXT: Final[frozenset[type]] = frozenset({str})
_PLAIN: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None)})


def diff(control: Any, candidate: Any, rules: State | None = None, *, budget: Budget = _BUDGET, strict: bool = True) -> Comparison:
    """
    Compare two values, or imprints of them, under `rules` (see compile_rules) and within `budget`.

    `strict=False` lets numbers of equal value be equal whatever their class, and sequences and mappings whatever theirs.
    """
    if control is candidate:
        return _SAME
    until = time.thread_time() + budget.seconds
    if same(control, candidate, until):
        return _SAME
    return _Walk(budget, strict, until).run(value_of(control), value_of(candidate), rules)


_ABSENT: Final = object()
_Pair = tuple[Any, Any, Path, State | None]


def _equal(a: Any, b: Any) -> bool:
    """Equality of atoms; a NaN is the one atom that is not itself."""
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - only NaN answers so


class _Stop(Exception):  # noqa: N818 - an end, not an error
    """A budget is used up."""


class _Walk:
    """One comparison in progress."""

    __slots__ = (
        "_above",
        "_budget",
        "_columns",
        "_differences",
        "_kept",
        "_luck",
        "_nodes",
        "_seen",
        "_stack",
        "_strict",
        "_uncomparable",
        "_until",
        "_used",
    )

    def __init__(self, budget: Budget, strict: bool, until: float, above: tuple[set[tuple[int, int, int]], ...] = ()) -> None:
        self._above = above  # pairs that the walks around this one are at
        self._budget = budget
        self._strict = strict
        self._stack: list[_Pair] = []
        self._seen: set[tuple[int, int, int]] = set()
        self._kept: list[Any] = []  # views made on the way: alive until the end, or their ids would come again
        self._nodes = 0
        self._until = until
        self._luck = _TRIES
        self._differences: list[Difference] = []
        self._uncomparable: list[tuple[str, str]] = []
        self._used: set[str] = set()
        self._columns = Columns(budget.nodes, until, self._used)

    def run(self, control: Any, candidate: Any, state: State | None) -> Comparison:
        return self.run_all([(control, candidate, None, state)])

    def run_all(self, found: list[_Pair]) -> Comparison:
        self._stack += reversed(found)
        truncated = False
        try:
            self._walk()
        except _Stop:
            truncated = True
        return Comparison(tuple(self._differences), tuple(self._uncomparable), truncated, frozenset(self._used))

    def _walk(self) -> None:
        while self._stack:
            a, b, path, state = self._stack.pop()
            try:
                if state is not None and state.rules:
                    left = self._ruled(a, b, state)
                    if left is None:
                        continue
                    a, b, state = left
                self._pair(a, b, path, state)
            except _Stop:
                raise
            except BaseException as error:
                if is_delivered(error):
                    raise
                self._give_up(path, a, b)

    # One pair of values.

    def _pair(self, a: Any, b: Any, path: Path, state: State | None) -> None:
        kind = type(a)
        if kind is not type(b):
            self._other_type(a, b, path, state)
        elif kind is dict:
            if self._enter(a, b, state):
                self._mapping(a, b, path, state)
        elif kind is list or kind is tuple:
            if self._enter(a, b, state):
                self._sequence(a, b, path, state)
        elif is_atom(kind):
            if not _equal(a, b):
                self._differ(path, "value", a, b)
        else:
            self._object(a, b, path, state)

    def _mapping(self, a: dict[Any, Any], b: dict[Any, Any], path: Path, state: State | None) -> None:
        many = len(a) > MANY_KEYS
        found: list[_Pair] = []
        missing = 0
        for key, left in a.items():
            right = b.get(key, _ABSENT)
            kind = type(left)
            if kind is type(right) and kind in _PLAIN and left == right:
                continue
            if right is _ABSENT:
                missing += 1
                if not self._ignored(state, key):
                    self._differ((path, KEY if many else key), "missing", left, None)
            else:
                below = None if state is None else state.step(key)
                if below is None or not self._close(left, right, below):
                    found.append((left, right, (path, KEY if many else key), below))
        self._descend(found)
        for key, other in self._retyped(a, b):
            self._differ((path, KEY if many else key), "type", key, other)
        if len(b) != len(a) - missing and not self._use(state, "subset"):
            for key, right in b.items():
                if key not in a and not self._ignored(state, key):
                    self._differ((path, KEY if many else key), "extra", None, right)

    def _sequence(self, a: Any, b: Any, path: Path, state: State | None) -> None:
        if state is not None and state.rules.keys() & {"by_key", "unordered"}:
            return self._regrouped(a, b, path, state)
        if len(a) != len(b):
            return self._differ(path, "length", len(a), len(b))
        found, columns = self._in_order(a, b, path, state)
        if state is None and len(found) > 1 and self._only_order(found):
            return self._differ(path, "order", None, None)
        if columns:
            self._stack += reversed(found)
            return None
        return self._descend(found)

    def _in_order(self, a: Any, b: Any, path: Path, state: State | None) -> tuple[list[_Pair], bool]:
        """The pairs at one place that are worth walking, and whether columns have left them."""
        below = (path, INDEX)
        inside = None if state is None or state.indexed else state.step(INDEX)
        found: list[_Pair] = []
        columns = len(a) >= MANY and not (state is not None and state.indexed)
        for index in self._columns.left(a, b, inside) if columns else range(len(a)):
            left, right = a[index], b[index]
            kind = type(left)
            # Two NaNs are no difference here either, or a list of them would pass for one in another order.
            if kind is type(right) and kind in _PLAIN and (left == right or (left != left and right != right)):  # noqa: PLR0124
                continue
            if state is not None and state.indexed:
                inside = state.step(index)
            if inside is None or not self._close(left, right, inside):
                found.append((left, right, below, inside))
        return found, columns

    def _descend(self, found: list[_Pair]) -> None:
        """What is worth walking goes on the stack, first one on top. An only child is: its parent's imprint differed."""
        if len(found) >= MANY and all(pair[3] is found[0][3] for pair in found):
            left = self._columns.left([pair[0] for pair in found], [pair[1] for pair in found], found[0][3])
            found = [found[index] for index in left]
        elif len(found) > 1:
            found = [pair for pair in found if not self._twins(pair[0], pair[1])]
        self._stack += reversed(found)

    def _twins(self, a: Any, b: Any) -> bool:
        """Whether a branch need not be walked. Asked no more where nearly every branch differs, for asking costs as much as walking."""
        if a is b:
            return True
        if self._luck < 0:
            return False
        if same(a, b, self._until):
            self._luck = min(self._luck + 1, _TRIES)
            return True
        self._luck -= 1
        return False

    def _only_order(self, found: list[_Pair]) -> bool:
        a, b = [pair[0] for pair in found], [pair[1] for pair in found]
        if not (_PLAIN.issuperset(map(type, a)) and _PLAIN.issuperset(map(type, b))):
            return False
        return len(Freezer().twins(a, b, None)) == len(a)

    # Elements that are paired otherwise than by place.

    def _regrouped(self, a: Any, b: Any, path: Path, state: State) -> None:
        """`unordered`, `by_key` or both: they only ever allow, so what is the same in order, or as a bag, stays the same."""
        in_order = "by_key" in state.rules or state.indexed
        if in_order and len(a) == len(b) and self._fits(self._in_order(a, b, path, state)[0]):
            return None
        if "by_key" in state.rules and not ("unordered" in state.rules and self._bag(a, b, path, state.step(INDEX)) == ([], [])):
            return self._by_key(a, b, path, state)
        return self._unordered(a, b, path, state)

    def _unordered(self, a: Any, b: Any, path: Path, state: State) -> None:
        self._use(state, "unordered")
        found = self._bag(a, b, path, state.step(INDEX))
        if found is not None:
            self._apart(*found, path, state)

    def _by_key(self, a: Any, b: Any, path: Path, state: State) -> None:
        keys, inside = state.rules["by_key"].value, state.step(INDEX)
        freezer = Freezer(strict=self._strict)
        left, right = grouped(a, keys, freezer, inside), grouped(b, keys, freezer, inside)
        self._use(state, "by_key")
        found: list[_Pair] = []
        for key in dict.fromkeys((*left, *right)):
            these, those = left.get(key, []), right.get(key, [])
            if len(these) == 1 == len(those):
                found.append((these[0], those[0], (path, INDEX), inside))
            else:
                rest = self._bag(these, those, path, inside)
                if rest is not None:
                    self._apart(*rest, path, state)
        self._descend(found)

    def _apart(self, left: list[Any], right: list[Any], path: Path, state: State) -> None:
        """Elements without a partner: held against each other where that says more than that they are not there."""
        below, inside = (path, INDEX), state.step(INDEX)
        tolerant = inside is not None and bool(inside.rules.keys() & {"tolerance", "within", "opaque", "normalize"})
        if len(left) == len(right) and (tolerant or len(left) == 1 or "by_key" in state.rules):
            return self._descend([(x, y, below, inside) for x, y in zip(by_size(left), by_size(right), strict=True)])
        for value in left:
            self._differ(below, "missing", value, None)
        for value in right:
            self._differ(below, "extra", None, value)
        return None

    def _bag(self, a: Sequence[Any], b: Sequence[Any], path: Path, inside: State | None) -> tuple[list[Any], list[Any]] | None:
        """The elements of each that have no partner in the other. None: it can't be told, and that was said."""
        doubts = len(self._uncomparable)
        without: tuple[list[Any], list[Any]] = ([], [])
        for these, those in Freezer(strict=self._strict).blocks(a, b, inside):
            try:
                left, right = self._block(these, those, inside)
            except TooMuchError as error:
                self._give_up(path, a, b, str(error))
                return None
            without[0].extend(left)
            without[1].extend(right)
        if without == ([], []):
            del self._uncomparable[doubts:]  # of pairs that need not be
        elif len(self._uncomparable) > doubts:
            return None
        return without

    def _block(self, a: list[Any], b: list[Any], inside: State | None) -> tuple[list[Any], list[Any]]:
        if not a or not b:
            return a, b
        if inside is not None:
            a, b = by_size(a), by_size(b)
        twins = Freezer(strict=self._strict).twins(a, b, inside)
        left, right = pair(len(a), len(b), lambda one, other: self._fits([(a[one], b[other], None, inside)]), twins)
        return [a[one] for one in left], [b[other] for other in right]

    def _fits(self, found: list[_Pair]) -> bool:
        """Whether all these pairs are the same under their rules, asked in a walk of its own within the same budget."""
        inner = _Walk(replace(self._budget, differences=1), self._strict, self._until, (self._seen, *self._above))
        if len(inner._above) > _DEEPEST:
            raise _Stop
        inner._nodes, inner._columns = self._nodes, self._columns
        said = inner.run_all(found)
        self._nodes = inner._nodes
        if said.same:
            self._used |= said.used
        elif not said.differences:
            if said.truncated and not said.uncomparable:
                raise _Stop
            self._uncomparable += said.uncomparable
        return said.same

    def _object(self, a: Any, b: Any, path: Path, state: State | None) -> None:
        compare = special(a)
        if compare is not None and self._special(compare, a, b, path, state):
            return None
        inside = self._open(a, b)
        if inside is not None:
            return self._inside(*inside, path, state) if self._new(a, b, state) else None
        if isinstance(a, BaseException):
            return None if a.args == b.args else self._differ(path, "exception", a, b)
        if is_closed(a):
            return self._give_up(path, a, b)
        answer = a == b
        if answer is True:
            return None
        return self._differ(path, "value", a, b) if answer is False else self._give_up(path, a, b)

    def _special(self, compare: SpecialDiff, a: Any, b: Any, path: Path, state: State | None) -> bool:
        """Whether its own comparison has decided; else it is looked into."""
        absolute, relative = state.rules["tolerance"].value if state is not None and "tolerance" in state.rules else (Decimal(0), 0.0)
        kind = compare(a, b, Leeway(absolute, relative, self._strict))
        if kind is None:
            return False
        if kind != SAME:
            self._differ(path, kind, a, b)
        elif absolute or relative:
            self._use(state, "tolerance")
        return True

    def _open(self, a: Any, b: Any) -> tuple[str, Any, Any] | None:
        room = self._budget.nodes - self._nodes + 1
        left = opened(a, room)
        right = None if left is None else opened(b, room)
        if left is None or right is None or left[0] != right[0]:
            return None
        self._kept += (left[1], right[1])
        return left[0], left[1], right[1]

    def _inside(self, shape: str, a: Any, b: Any, path: Path, state: State | None) -> None:
        self._count(len(a) + len(b))
        if shape == "items":
            self._sequence(a, b, path, state)
        elif shape == "set":
            self._set(a, b, path, state)
        elif set(a) == {"view"} == set(b):
            self._stack.append((a["view"], b["view"], path, state))
        else:
            self._mapping(a, b, path, state)

    def _set(self, a: Any, b: Any, path: Path, state: State | None) -> None:
        below, inside = (path, INDEX), None if state is None else state.step(INDEX)
        if inside is not None:
            found = self._bag(list(a), list(b), path, inside)
            if found is None:
                return
            a, b = set(found[0]), set(found[1])
        for value, other in self._retyped(a, b):
            self._differ(below, "type", value, other)
        for value in a - b:
            self._differ(below, "missing", value, None)
        if not (b <= a) and not self._use(state, "subset"):
            for value in b - a:
                self._differ(below, "extra", None, value)

    def _retyped(self, a: Collection[Any], b: Collection[Any]) -> list[tuple[Any, Any]]:
        """Keys that are equal and of two classes: 1 and True are one key to a dict, and two values."""
        if not self._strict or _TEXT.issuperset(map(type, a)):
            return []
        others = {key: key for key in b}
        return [(key, others[key]) for key in a if type(others.get(key, key)) is not type(key)]

    def _other_type(self, a: Any, b: Any, path: Path, state: State | None) -> None:
        if not self._strict:
            if isinstance(a, (int, float, complex)) and isinstance(b, (int, float, complex)):
                return None if _equal(a, b) else self._differ(path, "value", a, b)
            if isinstance(a, str) and isinstance(b, str):
                return None if str.__eq__(a, b) else self._differ(path, "value", a, b)
            inside = self._loose(a, b)
            if inside is not None:
                return self._inside(*inside, path, state) if self._new(a, b, state) else None
        return self._differ(path, "type", a, b)

    def _loose(self, a: Any, b: Any) -> tuple[str, Any, Any] | None:
        room = self._budget.nodes - self._nodes + 1
        left, right = opened(a, room), opened(b, room)
        names = {"fields": "mapping"}
        if left is None or right is None or names.get(left[0], left[0]) != names.get(right[0], right[0]):
            return None
        self._kept += (left[1], right[1])
        return left[0], left[1], right[1]

    # Rules.

    def _ruled(self, a: Any, b: Any, state: State) -> tuple[Any, Any, State | None] | None:
        """What is left to compare, and under which state; None: the rules have decided."""
        if self._close(a, b, state):
            return None
        rules = state.rules
        if "ignore" in rules:
            self._use(state, "ignore")
            return None
        if "normalize" in rules:
            function = rules["normalize"].value
            self._use(state, "normalize")
            a, b, state = function(a), function(b), state.without("normalize")
            self._kept += (a, b)
        rule = allowed(a, b, state)
        if rule is not None:
            self._used.add(str(rule))
            return None
        return a, b, state

    def _close(self, a: Any, b: Any, state: State) -> bool:
        near = state.near
        if near is None or not close(a, b, near):
            return False
        self._used.add(near[2])
        return True

    def _ignored(self, state: State | None, key: Any) -> bool:
        below = None if state is None else state.step(key)
        return below is not None and self._use(below, "ignore")

    def _use(self, state: State | None, kind: str) -> bool:
        if state is not None and kind in state.rules:
            self._used.add(str(state.rules[kind]))
            return True
        return False

    # Book-keeping.

    def _enter(self, a: Any, b: Any, state: State | None) -> bool:
        """Whether this pair is new: a cycle, or the thousandth alias of one list, is walked once."""
        if not self._new(a, b, state):
            return False
        self._count(len(a) + len(b))
        return True

    def _new(self, a: Any, b: Any, state: State | None) -> bool:
        met = (id(a), id(b), id(state))
        if met in self._seen or any(met in seen for seen in self._above):
            return False
        self._seen.add(met)
        return True

    def _count(self, nodes: int) -> None:
        before = self._nodes
        self._nodes += nodes + 1
        if self._nodes > self._budget.nodes:
            raise _Stop
        if before >> 9 != self._nodes >> 9 and time.thread_time() > self._until:
            raise _Stop

    def _differ(self, path: Path, kind: str, a: Any, b: Any) -> None:
        self._differences.append(Difference(render(path), kind, a, b))
        if len(self._differences) >= self._budget.differences:
            raise _Stop

    def _give_up(self, path: Path, a: Any, b: Any, why: str = "") -> None:
        left, right = type(a).__qualname__, type(b).__qualname__
        self._uncomparable.append((render(path), why or (left if left == right else f"{left}, {right}")))
        if len(self._uncomparable) >= self._budget.differences:
            raise _Stop
