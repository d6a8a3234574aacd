"""
What was swallowed: counted always, logged once a minute per cause.

A request never sees us raise, a listener cannot hurt its neighbours, a background thread survives. Each of those
promises has an `except Exception` behind it, and each of those calls `swallow`, so nothing disappears: `counts()` tells
how often, the log tells what, and how many lines were suppressed since.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from progflags._printed import printable

__all__ = ["LOG", "counts", "ends", "say", "swallow"]

LOG = logging.getLogger("progflags")
_EVERY = 60.0  # seconds between two lines of one cause
_NAMED = 240  # bytes of a place's and of a cause's name
_VARYING = re.compile(r"""\d+|'[^']*'|"[^"]*\"""")
_KEPT = 1024  # causes remembered; beyond it the oldest line budget is forgotten, never its count

_lock = threading.RLock()  # re-entrant: a log handler may evaluate a flag that fails the same way
_counts: dict[str, int] = {}
_lines: dict[tuple[str, str], tuple[float, int]] = {}  # not cachetools': its import takes 10 ms, and every program loads this


def swallow(where: str, error: BaseException) -> None:
    """Note that `error` ended here instead of with the caller. Never raises."""
    with _lock:
        _counts[where] = _counts.get(where, 0) + 1
    say(where, f"{type(error).__name__}: {_text(error)}", level=logging.WARNING, cause=type(error).__name__, error=error)


def say(where: str, message: str, *, level: int = logging.WARNING, cause: str = "", error: BaseException | None = None) -> None:
    """
    Log one line for (`where`, `cause`) at most once a minute, with the number left out since. Never raises.

    Without a `cause` it is what `message` begins with, up to its first colon, and no number or quoted word in it: a line number
    that moves with every edit makes no new cause.
    """
    cause = cause or _VARYING.sub("", message.partition(": ")[0])
    key = (printable(where, _NAMED), printable(cause, _NAMED))
    now = time.monotonic()
    with _lock:
        last, left_out = _lines.get(key, (-_EVERY, 0))
        if now - last < _EVERY:
            _lines[key] = (last, left_out + 1)
            return
        if len(_lines) >= _KEPT:
            _lines.pop(next(iter(_lines)))
        _lines[key] = (now, 0)
    suffix = f" ({left_out} more like it since)" if left_out else ""

    def write() -> None:
        _write(
            level,
            "%s: %s%s",
            key[0],
            printable(message),
            suffix,
            exc_info=_shown(error) if error is not None and LOG.isEnabledFor(logging.DEBUG) else None,
            extra={"progflags_where": key[0], "progflags_cause": key[1], "progflags_suppressed": left_out},
        )

    if beside is not None and threading.current_thread().name == "progflags":
        beside(write)  # a handler may hang, and must not do so where kills arrive
    else:
        write()


#: How a thread that carries live state has something written: in another one.
beside: Callable[[Callable[[], None]], object] | None = None


def _write(level: int, *text: str, **more: Any) -> None:
    try:
        LOG.log(level, *text, **more)
    except BaseException as failure:  # a broken log handler is not the application's problem either
        if ends(failure):
            raise
        with _lock:
            _counts["log"] = _counts.get("log", 0) + 1
            _counts[f"log.{type(failure).__name__}"] = _counts.get(f"log.{type(failure).__name__}", 0) + 1


def ends(error: BaseException) -> bool:
    """
    Whether `error` is none of ours to keep, because it is there to end the program or the request it was raised in.

    In a thread of ours nothing is: a function that exits there ends itself and no more. In any other a KeyboardInterrupt or a
    SystemExit may come from a signal's handler, and a greenlet may be told to end, while our code is what runs. A cancellation
    never comes so: asyncio raises it where a coroutine waits, and not in the middle of a function.
    """
    if isinstance(error, Exception) or threading.current_thread().name.startswith("progflags"):
        return False
    return type(error).__name__ != "CancelledError"


def counts() -> dict[str, int]:
    """How often something was swallowed, by place, since the process started."""
    with _lock:
        return dict(_counts)


def renew() -> None:
    """In a forked child: another thread of the parent may have held the lock, and it is not here to let go."""
    global _lock  # noqa: PLW0603 - a lock is renewed, not shared, across a fork
    _lock = threading.RLock()


class Swallowed(Exception):  # noqa: N818 - what it is, in a log
    """Stands for an exception in a log: its traceback, and its message as it may be printed."""


def _shown(error: BaseException) -> BaseException:
    return Swallowed(printable(f"{type(error).__name__}: {_text(error)}")).with_traceback(error.__traceback__)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<its message could not be read>"
