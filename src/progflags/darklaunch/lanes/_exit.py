"""All experiments of a process: for those who list them, and for its end, which none of them may hold up."""

from __future__ import annotations

import atexit
import time
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from progflags._trouble import swallow

__all__ = ["at_last", "remember", "remembered"]

WAIT: Final = 2.0  # seconds, for all experiments together


class Ending(Protocol):
    """What has an end that waits for its shadows: an experiment."""

    flag: str

    def close(self, timeout: float = ...) -> bool: ...


_all: weakref.WeakSet[Ending] = weakref.WeakSet()
_registered = False
_last: list[Callable[[], object]] = []


def remember(experiment: Ending) -> None:
    """Close this experiment when the process ends, if it still exists then."""
    global _registered  # noqa: PLW0603 - once per process
    _all.add(experiment)
    if not _registered:
        _registered = True
        try:
            atexit.register(_end)
        except RuntimeError as error:  # decorated while the interpreter is already ending
            swallow("dark launch at exit", error)


def at_last(end: Callable[[], object]) -> None:
    """
    Call `end` when the process ends, after the shadows had their time.

    Whatever the caller has just imported registered an end of its own, and the last to register is the first to be called:
    so we register again, or that one would take away what the shadows still use.
    """
    _last.append(end)
    atexit.unregister(_end)
    atexit.register(_end)


def remembered() -> tuple[Ending, ...]:
    """All of them that exist, ordered by flag."""
    return tuple(sorted(_all, key=lambda experiment: experiment.flag))


def _end() -> None:
    until = time.monotonic() + WAIT
    for experiment in remembered():
        experiment.close(max(0.0, until - time.monotonic()))
    for end in _last:
        try:
            end()
        except Exception as error:
            swallow("dark launch at exit", error)
