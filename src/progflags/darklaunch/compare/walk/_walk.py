"""
Walk: one comparison in progress, side by side and from the top, that asks the rules at each path.

It is iterative, so depth is no danger, and stops at a number of nodes, differences and CPU seconds. What is done with a pair is
said by Kinds, a table of functions by type (see `_diff`); they get the Walk, both values, their path and the rules in force there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.compare._allow import allowed
from progflags.darklaunch.compare._comparison import Budget, Comparison
from progflags.darklaunch.compare._imprint import same
from progflags.darklaunch.compare._paths import Path
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare.walk._columns import MANY, Columns
from progflags.darklaunch.compare.walk._notes import Notes, Stop

__all__ = ["ABSENT", "PLAIN", "Kinds", "Pair", "Walk"]

_DEEPEST: Final = 32  # lists whose elements are paired, within each other
_TRIES: Final = 16  # branches in a row whose imprints may differ before no more are taken

#: Compared by `==` alone, and met so often that it is done on the spot.
PLAIN: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None)})
#: What stands where there is nothing.
ABSENT: Final = object()

#: control, candidate, where they are, and the rules in force there.
Pair = tuple[Any, Any, Path, State | None]


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is done with a pair: by the type of both, `otherwise` by its function, or `apart`, where the two have not the same."""

    of: Mapping[type, Handler]
    otherwise: Callable[[type], Handler]
    apart: Handler


class Walk(Notes):
    """`above`: the pairs that the walks around this one are at."""

    __slots__ = ("_above", "_kinds", "_luck", "_seen", "columns", "kept", "nodes", "stack", "strict", "until")

    def __init__(self, kinds: Kinds, budget: Budget, *, strict: bool, until: float) -> None:
        super().__init__(budget)
        self._kinds = kinds
        self._above: tuple[set[tuple[int, int, int]], ...] = ()
        self._seen: set[tuple[int, int, int]] = set()
        self._luck = _TRIES
        self.strict = strict
        self.until = until
        self.stack: list[Pair] = []
        self.kept: list[Any] = []  # views made on the way: alive until the end, or their ids would come again
        self.nodes = 0
        self.columns = Columns(budget.nodes, until, self.used)

    def run(self, found: list[Pair]) -> Comparison:
        self.stack += reversed(found)
        truncated = False
        try:
            self._walk()
        except Stop:
            truncated = True
        return Comparison(tuple(self.differences), tuple(self.uncomparable), truncated, frozenset(self.used))

    def _walk(self) -> None:
        stack, of = self.stack, self._kinds.of
        while stack:
            a, b, path, state = stack.pop()
            try:
                if state is not None and state.rules:
                    left = self._ruled(a, b, state)
                    if left is None:
                        continue
                    a, b, state = left
                kind = type(a)
                if kind is not type(b):
                    self._kinds.apart(self, a, b, path, state)
                else:
                    (of.get(kind) or self._kinds.otherwise(kind))(self, a, b, path, state)
            except Stop:
                raise
            except BaseException as error:
                if is_delivered(error):
                    raise
                self.give_up(path, a, b)

    def _ruled(self, a: Any, b: Any, state: State) -> tuple[Any, Any, State | None] | None:
        """What is left to compare, and under which state; None: the rules have decided."""
        if self.close(a, b, state):
            return None
        rules = state.rules
        if "ignore" in rules:
            self.use(state, "ignore")
            return None
        if "normalize" in rules:
            function = rules["normalize"].value
            self.use(state, "normalize")
            a, b, state = function(a), function(b), state.without("normalize")
            self.kept += (a, b)
        rule = allowed(a, b, state)
        if rule is not None:
            self.used.add(str(rule))
            return None
        return a, b, state

    # What the kinds ask for.

    def descend(self, found: list[Pair]) -> None:
        """What is worth walking goes on the stack, first one on top. An only child is: its parent's imprint differed."""
        if len(found) >= MANY and all(pair[3] is found[0][3] for pair in found):
            left = self.columns.left([pair[0] for pair in found], [pair[1] for pair in found], found[0][3])
            found = [found[index] for index in left]
        elif len(found) > 1:
            found = [pair for pair in found if not self._twins(pair[0], pair[1])]
        self.stack += reversed(found)

    def fits(self, found: list[Pair]) -> bool:
        """Whether all these pairs are the same under their rules, asked in a walk of its own within the same budget."""
        inner = Walk(self._kinds, replace(self.budget, differences=1), strict=self.strict, until=self.until)
        inner._above = (self._seen, *self._above)
        if len(inner._above) > _DEEPEST:
            raise Stop
        inner.nodes, inner.columns = self.nodes, self.columns
        said = inner.run(found)
        self.nodes = inner.nodes
        if said.same:
            self.used |= said.used
        elif not said.differences:
            if said.truncated and not said.uncomparable:
                raise Stop
            self.uncomparable += said.uncomparable
        return said.same

    def enter(self, a: Any, b: Any, state: State | None) -> bool:
        """Whether this pair is new: a cycle, or the thousandth alias of one list, is walked once."""
        if not self.new(a, b, state):
            return False
        self.count(len(a) + len(b))
        return True

    def new(self, a: Any, b: Any, state: State | None) -> bool:
        met = (id(a), id(b), id(state))
        if met in self._seen or any(met in seen for seen in self._above):
            return False
        self._seen.add(met)
        return True

    def count(self, nodes: int) -> None:
        before = self.nodes
        self.nodes += nodes + 1
        if self.nodes > self.budget.nodes:
            raise Stop
        if before >> 9 != self.nodes >> 9 and time.thread_time() > self.until:
            raise Stop

    def _twins(self, a: Any, b: Any) -> bool:
        """Whether a branch need not be walked. Asked no more where nearly every branch differs, for asking costs as much as walking."""
        if a is b:
            return True
        if self._luck < 0:
            return False
        if same(a, b, self.until):
            self._luck = min(self._luck + 1, _TRIES)
            return True
        self._luck -= 1
        return False


Handler = Callable[[Walk, Any, Any, Path, State | None], None]
