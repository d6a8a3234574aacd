"""
What of the process a program may change for everybody in it, as far as that can be seen from outside.

A candidate's startup is somebody's whole application setting itself up beside the one that serves. Where it fails, what it
changed on the way is put back: the failure switches off the shadow and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from progflags import flags
from progflags._trouble import swallow

__all__ = ["Surroundings"]

_GONE: Final = object()


class Surroundings:
    """The process as it was when this was made, in the running loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before = self._now()

    def changed(self) -> list[str]:
        """What is otherwise now, in words: `os.environ['X']`, `the handler of SIGTERM`."""
        now = self._now()
        return [name for name in {**self._before, **now} if self._before.get(name, _GONE) != now.get(name, _GONE)]

    def put_back(self) -> list[str]:
        """Make it so again, and say what had been changed; what can't be put back is logged."""
        changed = self.changed()
        for name in changed:
            try:
                _setter(name, self._loop)(self._before.get(name, _GONE))
            except (ValueError, TypeError, OSError) as error:  # handlers are set in the main thread only; the folder is gone
                swallow(f"putting back {name}", error)
        return changed

    def _now(self) -> dict[str, Any]:
        root = logging.getLogger()
        return {
            **{f"os.environ[{name!r}]": value for name, value in os.environ.items()},
            **{f"the handler of {each.name}": signal.getsignal(each) for each in _signals()},
            "the working directory": _folder(),
            "the root logger's level": root.level,
            "the root logger's handlers": list(root.handlers),
            "sys.excepthook": sys.excepthook,
            "socket.setdefaulttimeout": socket.getdefaulttimeout(),
            "pf.set_default": flags.given(None),
            "the event loop's exception handler": self._loop.get_exception_handler(),
            "the event loop's task factory": self._loop.get_task_factory(),
        }


def _signals() -> list[signal.Signals]:
    return [each for each in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None), getattr(signal, "SIGUSR1", None)) if each]


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a plain name to compare and to go back to
    except OSError:
        return ""


def _setter(name: str, loop: asyncio.AbstractEventLoop) -> Callable[[Any], object]:
    if name.startswith("os.environ["):
        key = name[len("os.environ['") : -len("']")]
        return lambda value: os.environ.pop(key, None) if value is _GONE else os.environ.__setitem__(key, value)
    if name.startswith("the handler of "):
        return lambda value: signal.signal(signal.Signals[name.removeprefix("the handler of ")], value)
    root = logging.getLogger()
    setters: dict[str, Callable[[Any], object]] = {
        "the working directory": os.chdir,
        "the root logger's level": root.setLevel,
        "the root logger's handlers": lambda value: setattr(root, "handlers", value),
        "sys.excepthook": lambda value: setattr(sys, "excepthook", value),
        "socket.setdefaulttimeout": socket.setdefaulttimeout,
        "pf.set_default": flags.set_default,
        "the event loop's exception handler": loop.set_exception_handler,
        "the event loop's task factory": loop.set_task_factory,
    }
    return setters[name]
