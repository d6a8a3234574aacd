"""
Was this exception meant for the caller, or did the code we run raise it?

A candidate that says `raise KeyboardInterrupt` is a broken candidate; a Ctrl-C that arrives while it runs inline is the
user's. Both look the same when caught. They differ in where they began: an explicit raise ends at a RAISE instruction,
a signal arrives between two instructions of whatever was running, or inside the handler the program installed.
"""

from __future__ import annotations

import dis
import signal
import threading
from types import TracebackType
from typing import Final

__all__ = ["is_delivered"]

_RAISE: Final = frozenset(dis.opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in dis.opmap)


def is_delivered(error: BaseException) -> bool:
    """Whether `error` is a signal's KeyboardInterrupt, which must go on to the caller. Only the main thread gets those."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    last: TracebackType | None = None
    frame = error.__traceback__
    while frame is not None:
        if handler is not None and frame.tb_frame.f_code is handler:
            return True
        last, frame = frame, frame.tb_next
    return last is not None and last.tb_frame.f_code.co_code[last.tb_lasti] not in _RAISE
