"""
Ending a candidate in its own thread, for those who ask for it: struck nowhere but in its own code, and twice at most.

CPython can raise an exception in another thread (`PyThreadState_SetAsyncExc`); it arrives between two bytecodes of that thread,
whatever these belong to by then. So the thread holds a lock whenever it is not in the candidate, and whoever strikes must have
that lock. It is let go, the candidate called and the lock taken again in one call of C code (`list(map(call, …))`), in which no
bytecode of ours runs; a strike that has not arrived by then is waited for. It is not withdrawn, for in CPython 3.11 that leaves the
interpreter looking for it for ever, and a traced function never begins.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from _thread import get_ident  # the system's, whatever gevent puts into `threading`
from collections.abc import Callable
from functools import partial
from operator import call
from typing import Any, Final

from progflags.darklaunch.record import standing

__all__ = ["Runaway", "Stopped"]

STRIKES: Final = 2  # the second is for a candidate that caught the first
PAUSE: Final = 1.0  # seconds between two
_STANDS_STILL: Final = sys.version_info < (3, 12)


class Stopped(BaseException):
    """Raised inside a candidate that did not come back in time, where `stop_runaways=True` asked for it."""


class Runaway:
    """
    One call of a candidate, which `run` makes in its thread and `strike`, from any other, ends.

    It ends where it next executes Python: not in a sleep, a lock's wait or native code before these return. What it holds by `with`
    is let go; what it was in the middle of changing stays as it is.
    """

    __slots__ = ("_away", "_due", "_left", "_thread")

    def __init__(self) -> None:
        self._away = threading.RLock()  # its thread's whenever that is not in the candidate
        self._thread = 0
        self._left = STRIKES
        self._due = 0.0

    @staticmethod
    def possible() -> bool:
        """
        Not where threads are gevent's: what is raised in one of the system's threads would end all of them. Nor, in CPython 3.11,
        under coverage or a debugger: as long as an exception waits for a thread in native code, no traced function begins, in any
        thread.
        """
        traced = sys.gettrace() is not None or threading.gettrace() is not None
        return threading.get_ident is get_ident and not (traced and _STANDS_STILL)

    def run(self, candidate: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """
        What `candidate` returns.

        Raises:
            BaseException: what it raised; Stopped among them.
        """
        self._away.acquire()
        self._thread = get_ident()
        steps: tuple[_Step, ...] = (self._away.release, partial(candidate, *args, **kwargs), self._away.acquire)
        value, failed = None, None
        # On an exception's way our own bytecode runs until the lock is held: one `try` for each strike that may fall there.
        try:
            try:
                try:
                    value = list(map(_call, steps))[1]
                except BaseException as error:
                    failed = error
                    self._away.acquire()
            except Stopped as error:
                failed = error
                self._away.acquire()
        except Stopped as error:
            failed = error
            self._away.acquire()
        try:
            while self._left < STRIKES:  # one may still be on its way: another takes its place, until one has come
                _raise(self._thread, Stopped)
        except Stopped:
            pass
        if failed is not None:
            raise failed
        return value

    def where(self) -> str:
        """Where its thread is just now (`search.py:41`); empty when that is nowhere."""
        frame = sys._current_frames().get(self._thread)
        return "" if frame is None else standing(frame)

    def strike(self) -> bool:
        """End the candidate if it is at work and the last strike was a second ago; False once there is no more to be tried."""
        if time.monotonic() < self._due:
            return True
        if self._left and self._away.acquire(blocking=False):
            try:
                if self._thread:
                    self._left -= 1
                    self._due = time.monotonic() + PAUSE
                    _raise(self._thread, Stopped)
            finally:
                self._away.release()
            return True
        return self._left > 0


_Step = Callable[[], Any]
_call: Callable[[_Step], Any] = call
_raise = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(("PyThreadState_SetAsyncExc", ctypes.pythonapi))
