"""All experiments of a process: for those who list them, and for its end, which none of them may hold up."""

from __future__ import annotations

import atexit
import time
import weakref
from typing import TYPE_CHECKING, Final

from progflags._trouble import swallow

if TYPE_CHECKING:
    from progflags.darklaunch._experiment import Experiment

__all__ = ["experiments", "remember"]

WAIT: Final = 2.0  # seconds, for all experiments together

_all: weakref.WeakSet[Experiment] = weakref.WeakSet()
_registered = False


def remember(experiment: Experiment) -> None:
    """Close this experiment when the process ends, if it still exists then."""
    global _registered  # noqa: PLW0603 - once per process
    _all.add(experiment)
    if not _registered:
        _registered = True
        try:
            atexit.register(_end)
        except RuntimeError as error:  # decorated while the interpreter is already ending
            swallow("dark launch at exit", error)


def experiments() -> tuple[Experiment, ...]:
    """Every dark launch of this process, ordered by flag."""
    return tuple(sorted(_all, key=lambda experiment: experiment.flag))


def _end() -> None:
    until = time.monotonic() + WAIT
    for experiment in experiments():
        experiment.close(max(0.0, until - time.monotonic()))
