"""
Functions of the application's, run beside ours: each in a thread of its own, one call at a time, with a limit.

What a user hands over (a metric source, a shadow's judge, a listener, a sink) may sleep, hang, or raise what ends a thread. It
must not do so where kills and rollbacks of everybody else arrive. So whoever needs it asks here, waits a moment for the
answer, and otherwise goes on with the last one while it is fresh. The thread begins with the first call, ends when there has
been nothing to do for a while, and is started again by whoever comes next, should it have ended in some other way.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any, Final

from progflags import _trouble
from progflags._printed import printable
from progflags._process import Thread, here, in_child, look
from progflags._trouble import swallow

__all__ = ["LIMIT", "LOGGING", "RUNNING", "Asked", "Beside", "Late", "failing", "said"]

RUNNING: Final = "running"
LIMIT: Final = 10.0  # seconds after which a call is said to hang, and an answer is too old to be one
_IDLE: Final = 10.0  # seconds without work after which a thread ends
_SOME: Final = 3  # failures in a row that are worth a word

_Work = tuple[Callable[[], object], threading.Event]


class Beside:
    """
    A thread for one function: does what it is given, one piece after another, whatever that raises.

    At most `room` pieces wait or are under way; more are refused and counted in `dropped`. Where no thread can be started the
    caller does it, for otherwise nobody would.
    """

    def __init__(self, name: str, *, room: int = 1, limit: float = LIMIT) -> None:
        self.name = name
        self.dropped = 0
        self._room, self._limit = room, limit
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child has no thread, and what waited is the parent's to do."""
        self._lock = threading.RLock()  # a signal's handler may come back here
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open = 0
        self._since = 0.0
        self._failures, self._error = 0, ""

    @property
    def busy(self) -> bool:
        """Whether something waits or is under way."""
        return self._open > 0

    def do(self, work: Callable[[], object], *, wait: float = 0.0) -> bool:
        """Have `work` done; whether it was by the time this returns, which is after `wait` seconds at most, at once behind others."""
        first = not self._open
        done = self.begin(work)
        if done is None:
            self.dropped += 1
            return False
        return done.wait(wait) if first and wait > 0 else done.is_set()

    def begin(self, work: Callable[[], object]) -> threading.Event | None:
        """Have `work` done; what is set when it was, None where there is no room."""
        look()
        done = threading.Event()
        with self._lock:
            if self._open >= self._room:
                return None
            self._open += 1
            self._queue.put((work, done))
            served = self._served()
        if not served:
            self._next()
        return done

    def close(self) -> None:
        """End the thread once it has done what waits. It begins again with more work."""
        look()
        with self._lock:
            if here(self._thread):
                self._queue.put(None)

    def health(self) -> str:
        """`running`, or what is wrong."""
        since = self._since
        if since and time.monotonic() - since > self._limit:
            return f"has not come back for {time.monotonic() - since:.0f} s"
        return failing(self._failures, self._error) or RUNNING

    def _served(self) -> bool:
        """Whether a thread is there for what is in the queue (the lock is held)."""
        if here(self._thread):
            return True
        self._open = self._queue.qsize()
        self._since = 0.0
        thread = Thread(self._serve, args=(self._queue,), name="progflags-beside")
        try:
            thread.start()
        except RuntimeError:  # uWSGI without threads, a system at its limit; the threads that look say so
            return False
        self._thread = thread
        return True

    def _serve(self, waiting: queue.SimpleQueue[_Work | None]) -> None:
        while True:
            try:
                work = waiting.get(timeout=_IDLE)
            except Empty:
                work = None
            if work is not None:
                self._do(*work)
            elif self._ended(waiting):
                return

    def _ended(self, waiting: queue.SimpleQueue[_Work | None]) -> bool:
        with self._lock:
            if self._queue is waiting and not waiting.empty():
                return False
            if self._thread is threading.current_thread():
                self._thread = None
            return True

    def _next(self) -> None:
        try:
            work = self._queue.get_nowait()
        except Empty:
            return
        if work is not None:
            self._do(*work)

    def _do(self, work: Callable[[], object], done: threading.Event) -> None:
        self._since = time.monotonic()
        try:
            work()
        except BaseException as error:  # sys.exit(), a CancelledError: the function's end, and nobody else's
            self._failures += 1
            self._error = said(error)
            swallow(self.name, error)
        else:
            self._failures = 0
        finally:
            self._since = 0.0
            with self._lock:
                self._open = max(0, self._open - 1)
            done.set()


#: Where threads that carry live state have their log lines written, for a handler is the application's too.
LOGGING: Final = Beside("log", room=256)
_trouble.beside = partial(LOGGING.do, wait=0.05)


class Late(Exception):  # noqa: N818 - a state, told to whoever asked
    """There is no answer that is fresh."""


class Asked:
    """
    A function without arguments, asked beside: its answer, or its last one while that is younger than `limit` seconds.

    An answer is as old as its question. Never two questions at once: one that hangs is waited for by nobody.
    """

    def __init__(self, name: str, function: Callable[[], Any], *, limit: float = LIMIT) -> None:
        self._function = function
        self._limit = limit
        self._beside = Beside(name, limit=limit)
        self._answer: tuple[float, Any] | None = None
        self._asking: threading.Event | None = None
        self.close, self.health = self._beside.close, self._beside.health

    def begin(self) -> None:
        """Ask, unless a question is under way; for whoever asks several and waits for all of them at once."""
        self._asking = self._beside.begin(partial(self._call, time.monotonic()))

    def ask(self, wait: float) -> Any:
        """`begin` and `answer`."""
        self.begin()
        return self.answer(wait)

    def answer(self, wait: float) -> Any:
        """
        The answer to the question that `begin` put, waiting at most `wait` seconds for it; not for one that was put before.

        Raises:
            Late: there is none that is fresh, or the function raised.
        """
        if self._asking is not None:
            self._asking.wait(wait)
        answer = self._answer
        if answer is None:
            raise Late(f"{self._beside.name} has not answered yet")
        if (age := time.monotonic() - answer[0]) > self._limit:
            raise Late(f"the last answer of {self._beside.name} is {age:.0f} s old, and counts for {self._limit:g} s")
        return answer[1]

    def _call(self, asked: float) -> None:
        try:
            value = self._function()
        except BaseException:
            self._answer = None  # what raises now is not what it answered before
            raise
        self._answer = asked, value


def failing(failures: int, error: str) -> str:
    """What to say of something that failed so often in a row; empty while it is not worth a word."""
    return f"fails again and again, {failures} times in a row: {error}" if failures >= _SOME else ""


def said(error: BaseException) -> str:
    """What was raised, in one short line that can be printed."""
    try:
        return printable(f"{type(error).__name__}: {error}", 240)
    except Exception:
        return type(error).__name__
