"""Where coroutines run: as free tasks in the caller's loop, or in a loop of ours for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol

from progflags._process import Thread, in_child, look
from progflags._trouble import say
from progflags.darklaunch.lanes._driver import start
from progflags.darklaunch.lanes._lane import Job
from progflags.darklaunch.lanes._lent import lent
from progflags.darklaunch.record import Shed, mute

__all__ = ["AsyncJob", "BackgroundLoop", "Tasks"]


class AsyncJob(Job, Protocol):
    """A job whose candidate is a coroutine function."""

    context: Context
    loop: asyncio.AbstractEventLoop | None

    def walk(self) -> Coroutine[Any, Any, None]:
        """The job as a coroutine. Must not raise, except CancelledError when its loop ends."""
        ...


class Tasks:
    """
    A lane of free tasks in the running loop: nobody's children, so no TaskGroup can be hurt by one, and held here until
    they end, because a loop refers to its tasks only weakly.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def room(self, owner: object = None) -> Shed | None:  # noqa: ARG002 - a loop has no queue to take turns at
        return lent.room()

    def submit(self, job: AsyncJob) -> Shed | None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return Shed.NO_LOOP
        self.begin(loop, job)
        return None

    def begin(self, loop: asyncio.AbstractEventLoop, job: AsyncJob) -> None:
        job.loop = loop
        task = start(loop, job.walk(), job.context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


class BackgroundLoop:
    """A lane for coroutine candidates of synchronous callers: one daemon thread, one loop, started by the first job."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.RLock()
        self._tasks = Tasks()

    def room(self, owner: object = None) -> Shed | None:  # noqa: ARG002 - a loop has no queue to take turns at
        return lent.room()

    def submit(self, job: AsyncJob) -> Shed | None:
        look()
        try:
            loop = self._loop or self._start()
        except RuntimeError as error:
            if threading.main_thread().is_alive():  # else the interpreter ends, which from Python 3.12 on starts no threads
                say("dark launch", f"no thread can be started here ({error}): nothing is shadowed", cause="thread")
            return Shed.NO_THREAD
        loop.call_soon_threadsafe(self._tasks.begin, loop, job)
        return None

    def run(self, work: Callable[[asyncio.AbstractEventLoop], object]) -> None:
        """Call `work(loop)` in the loop's thread."""
        look()
        loop = self._loop or self._start()
        loop.call_soon_threadsafe(work, loop)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                try:
                    Thread(_forever, args=(loop,), name="progflags-shadow-loop").start()
                except RuntimeError:
                    loop.close()
                    raise
                self._loop = loop
            return self._loop


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException as error:  # asyncio lets a task's SystemExit out of the loop; the others go on
            mute("dark launch loop", error)
