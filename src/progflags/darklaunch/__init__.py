"""
Run the new beside the old, and say how they differ.

Callers always get the old one's answer, the very object; what the new one says is compared and thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from progflags.darklaunch import _guards as guards
from progflags.darklaunch import shadow
from progflags.darklaunch._comparison import Budget, Comparison, Difference
from progflags.darklaunch._conclude import Comparer
from progflags.darklaunch._diff import diff
from progflags.darklaunch._engine import Engine, engine
from progflags.darklaunch._exit import experiments
from progflags.darklaunch._experiment import Experiment
from progflags.darklaunch._latency import Latency
from progflags.darklaunch._marker import around_shadows
from progflags.darklaunch._migration import Migration, Stage, Unrepaired
from progflags.darklaunch._mismatch import DarkLaunchMismatch
from progflags.darklaunch._noise import Proposal
from progflags.darklaunch._options import DoorOptions, Options
from progflags.darklaunch._outcome import Outcome, Shed
from progflags.darklaunch._record import DarkLaunchStats
from progflags.darklaunch._rules import Rule, by_key, compile_rules, ignore, normalize, opaque, subset, tolerance, unordered, within
from progflags.darklaunch._sink import JsonLines
from progflags.darklaunch._verdict import DarkLaunchVerdict, Safety
from progflags.darklaunch._views import register

if TYPE_CHECKING:
    from progflags.darklaunch._decorator import dark_launch as dark_launch

__all__ = [
    "Budget",
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
    "shadow",
    "subset",
    "tolerance",
    "unordered",
    "within",
]


def __getattr__(name: str) -> object:
    if name == "dark_launch":  # wrapt, which the middleware and the diff do without
        from progflags.darklaunch._decorator import dark_launch

        return dark_launch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
