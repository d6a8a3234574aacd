"""
What was swallowed: counted always, logged once a minute per cause.

A request never sees us raise, a listener cannot hurt its neighbours, a background thread survives. Each of those
promises has an `except Exception` behind it, and each of those calls `swallow`, so nothing disappears: `counts()` tells
how often, the log tells what, and how many lines were suppressed since.
"""

from __future__ import annotations

import logging
import os
import threading
import time

__all__ = ["LOG", "counts", "say", "swallow"]

LOG = logging.getLogger("progflags")
_EVERY = 60.0  # seconds between two lines of one cause
_KEPT = 1024  # causes remembered; beyond it the oldest line budget is forgotten, never its count

_lock = threading.RLock()  # re-entrant: a log handler may evaluate a flag that fails the same way
_counts: dict[str, int] = {}
_lines: dict[tuple[str, str], tuple[float, int]] = {}


def swallow(where: str, error: BaseException) -> None:
    """Note that `error` ended here instead of with the caller. Never raises."""
    with _lock:
        _counts[where] = _counts.get(where, 0) + 1
    say(where, f"{type(error).__name__}: {_text(error)}", level=logging.WARNING, cause=type(error).__name__, error=error)


def say(where: str, message: str, *, level: int = logging.WARNING, cause: str = "", error: BaseException | None = None) -> None:
    """Log one line for (`where`, `cause`) at most once a minute, with the number left out since. Never raises."""
    key = (where, cause or message)
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
    try:
        LOG.log(
            level,
            "%s: %s%s",
            where,
            printable(message),
            suffix,
            exc_info=error if error is not None and LOG.isEnabledFor(logging.DEBUG) else None,
            extra={"progflags_where": where, "progflags_cause": cause, "progflags_suppressed": left_out},
        )
    except Exception as failure:  # a broken log handler is not the application's problem either
        with _lock:
            _counts["log"] = _counts.get("log", 0) + 1
            _counts[f"log.{type(failure).__name__}"] = _counts.get(f"log.{type(failure).__name__}", 0) + 1


def printable(text: str) -> str:
    """`text` without control characters, so that a user's value can't repaint somebody's terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def counts() -> dict[str, int]:
    """How often something was swallowed, by place, since the process started."""
    with _lock:
        return dict(_counts)


def _renew() -> None:
    """In a forked child: another thread of the parent may have held the lock, and it is not here to let go."""
    global _lock  # noqa: PLW0603 - a lock is renewed, not shared, across a fork
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<its message could not be read>"
