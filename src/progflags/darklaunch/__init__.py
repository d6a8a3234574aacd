"""
Run the new beside the old, and say how they differ.

Callers always get the old one's answer, the very object; what the new one says is compared and thrown away.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from progflags.darklaunch import guards, score, shadow
from progflags.darklaunch._experiment import Experiment, experiments
from progflags.darklaunch._migration import Migration, Stage, Unrepaired
from progflags.darklaunch._options import DoorOptions, Options
from progflags.darklaunch.compare import (
    Budget,
    Comparison,
    DarkLaunchMismatch,
    Difference,
    Proposal,
    Rule,
    by_key,
    compile_rules,
    diff,
    ignore,
    normalize,
    opaque,
    register,
    subset,
    tolerance,
    unordered,
    within,
)
from progflags.darklaunch.guards import around_shadows
from progflags.darklaunch.lanes import Engine, engine
from progflags.darklaunch.record import (
    Comparer,
    DarkLaunchStats,
    DarkLaunchVerdict,
    JsonLines,
    Latency,
    Outcome,
    Safety,
    ShadowSummary,
    Shed,
)

if TYPE_CHECKING:
    from progflags.darklaunch._decorator import dark_launch as dark_launch
    from progflags.darklaunch._replay import find as find
    from progflags.darklaunch._replay import replay as replay

from progflags.darklaunch._call import Call

__all__ = [
    "Budget",
    "Call",
    "Comparer",
    "Comparison",
    "DarkLaunchMismatch",
    "DarkLaunchStats",
    "DarkLaunchVerdict",
    "Difference",
    "DoorOptions",
    "Engine",
    "Experiment",
    "JsonLines",
    "Latency",
    "Migration",
    "Options",
    "Outcome",
    "Proposal",
    "Rule",
    "Safety",
    "ShadowSummary",
    "Shed",
    "Stage",
    "Unrepaired",
    "around_shadows",
    "by_key",
    "compile_rules",
    "dark_launch",
    "diff",
    "engine",
    "experiments",
    "guards",
    "ignore",
    "normalize",
    "opaque",
    "register",
    "score",
    "shadow",
    "subset",
    "tolerance",
    "unordered",
    "within",
]


_LATE = {"dark_launch": "_decorator", "find": "_replay", "replay": "_replay"}  # wrapt, which the middleware and the diff do without


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"progflags.darklaunch.{_LATE[name]}"), name)
