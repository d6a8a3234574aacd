"""
diff(control, candidate) → differences, each with a path and a kind. Pure, bounded, and it never raises.

Three tiers. The same object is the same value. Equal imprints are equal documents: most calls end there, at C speed. Only
then a walk, side by side, that asks the rules at each path (`walk`). Where a list is long, its elements are looked at in columns
first (`walk/_columns`), and only those the columns don't prove the same are walked.

Strict: `True`, `1` and `1.0` are three values, a list is no tuple. NaN equals NaN. What can't be compared (an iterator, a
hostile `__eq__`, a cycle beyond the budget) is reported as uncomparable, never as equal and never as different.
"""

from __future__ import annotations

import time
from typing import Any, Final

from progflags.darklaunch.compare._comparison import Budget, Comparison
from progflags.darklaunch.compare._imprint import same, value_of
from progflags.darklaunch.compare._rules import State
from progflags.darklaunch.compare._views import ATOMS, is_atom
from progflags.darklaunch.compare.walk import Handler, Kinds, Walk, mapping, objects, of_two_types, scalar, sequence

__all__ = ["diff"]


_SAME: Final = Comparison()
_BUDGET: Final = Budget()


def _otherwise(kind: type) -> Handler:
    return scalar if is_atom(kind) else objects


#: What is done with two values of one exact class; what opens into a list, a set or a mapping goes the way of those (`walk/_objects`).
_KINDS: Final = Kinds({**dict.fromkeys(ATOMS, scalar), dict: mapping, list: sequence, tuple: sequence}, _otherwise, of_two_types)


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
    return Walk(_KINDS, budget, strict=strict, until=until).run([(value_of(control), value_of(candidate), None, rules)])
