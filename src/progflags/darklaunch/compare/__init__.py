"""Two results side by side: what differs, where, by which rules, and how much that matters."""

from progflags.darklaunch.compare._comparison import Budget, Comparison, Difference
from progflags.darklaunch.compare._copier import TEXT, NotIsolated
from progflags.darklaunch.compare._diff import diff
from progflags.darklaunch.compare._exchange import MAX_BODY, METHODS, Answer, Heard, Reader, answer, heard, rooted, skipped
from progflags.darklaunch.compare._imprint import value_of
from progflags.darklaunch.compare._isolate import Given, Isolator
from progflags.darklaunch.compare._mean import Mean
from progflags.darklaunch.compare._mismatch import DarkLaunchMismatch
from progflags.darklaunch.compare._noise import Noise, Proposal
from progflags.darklaunch.compare._rules import (
    Rule,
    State,
    by_key,
    compile_rules,
    ignore,
    normalize,
    opaque,
    subset,
    tolerance,
    unordered,
    within,
)
from progflags.darklaunch.compare._scores import LARGEST, Scored, Scores
from progflags.darklaunch.compare._views import register
from progflags.darklaunch.compare.walk import Freezer

__all__ = [
    "LARGEST",
    "MAX_BODY",
    "METHODS",
    "TEXT",
    "Answer",
    "Budget",
    "Comparison",
    "DarkLaunchMismatch",
    "Difference",
    "Freezer",
    "Given",
    "Heard",
    "Isolator",
    "Mean",
    "Noise",
    "NotIsolated",
    "Proposal",
    "Reader",
    "Rule",
    "Scored",
    "Scores",
    "State",
    "answer",
    "by_key",
    "compile_rules",
    "diff",
    "heard",
    "ignore",
    "normalize",
    "opaque",
    "register",
    "rooted",
    "skipped",
    "subset",
    "tolerance",
    "unordered",
    "value_of",
    "within",
]
