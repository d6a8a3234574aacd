"""
Running somebody's coroutine in a loop we do not own: step by step, timed, and able to let go of it.

A plain task would be at the candidate's mercy. One that computes freezes the loop and no timeout notices, so each step is
timed. One that swallows CancelledError makes asyncio.run wait for ever, so this drives the coroutine itself: told to stop,
it passes the cancellation on, allows a grace, and then walks away from the coroutine, finished or not. Not every
cancellation is an end: anyio cancels the task it runs in to leave a scope, and takes that back; what is still standing
after the grace was meant.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import Context
from typing import Any, Final

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.lanes._scale import scale
from progflags.darklaunch.record import Observation, place

__all__ = ["LONG_STEP", "Drive", "start"]

LONG_STEP: Final = 0.02  # seconds without yielding that count as blocking the loop

# Coroutines that would not close. Collecting one would call into it again and print; a few are kept instead.
_unclosable: deque[Any] = deque(maxlen=256)


class Drive:
    """
    One coroutine on its way. `blocked` counts its long steps, `longest` is the longest of them; `cpu` is what its steps used,
    `abandoned` whether it was left, `grown` by how much the process had grown when it was told to stop for that.
    """

    __slots__ = (
        "_grace",
        "_handles",
        "_loop",
        "_pending",
        "_task",
        "_told",
        "abandoned",
        "blocked",
        "cpu",
        "expired",
        "grown",
        "leaving",
        "longest",
        "resident",
        "seconds",
    )

    def __init__(self, grace: float, grew: Callable[[int], object]) -> None:
        self._grace = grace
        self._told = grew
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._handles: list[asyncio.TimerHandle] = []
        self._pending = False
        self.abandoned = False
        self.expired = False
        self.leaving = False
        self.blocked = 0
        self.longest = 0.0
        self.cpu = 0.0
        self.seconds = 0.0
        self.resident = self.grown = 0

    async def run(self, call: Callable[[], Awaitable[Any]], deadline: float) -> Observation:
        """
        Await what `call()` returns, for at most `deadline` seconds and a grace.

        Raises:
            asyncio.CancelledError: somebody else (the loop at its end) cancelled the task we run in.
            KeyboardInterrupt: a real one; it is the user's, and ends the loop as it would have.
        """
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._handles.append(self._loop.call_later(deadline, self._expire))
        scale.put(self)
        began = time.perf_counter()
        try:
            value = await _Steps(self, call)
        except _GivenUp:
            if not self.expired:
                raise asyncio.CancelledError from None
            return Observation(error=TimeoutError(), seconds=time.perf_counter() - began)
        except asyncio.CancelledError as error:
            if not self.expired and self._task is not None and self._task.cancelling():
                raise
            where = place(error)
            return Observation(error=error.with_traceback(None), seconds=time.perf_counter() - began, where=where)
        except BaseException as error:
            if is_delivered(error):
                raise
            where = place(error)
            return Observation(error=error.with_traceback(None), seconds=time.perf_counter() - began, where=where)
        finally:
            scale.take(self)
            for handle in self._handles:
                handle.cancel()
            self._task = None
        return Observation(value, None, time.perf_counter() - began)

    def _expire(self) -> None:
        if self._task is not None:  # else it has just ended
            self.expired = True
            self._task.cancel()

    def grew(self, size: int) -> None:
        """The process has grown by so much since this began: end it, as at its deadline. Called in another thread."""
        self.grown = size
        self._told(size)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._expire)

    def cancelled(self) -> None:
        """A cancellation was passed on. If it still stands after the grace, the coroutine is left."""
        if self._loop is not None and not self._pending:
            self._pending = True
            self._handles.append(self._loop.call_later(self._grace if self.expired else 10 * self._grace, self._leave))

    def _leave(self) -> None:
        self._pending = False
        if self._task is not None and self._task.cancelling():
            self.leaving = True
            self._task.cancel()


class _GivenUp(BaseException):
    """The coroutine was left behind."""


class _Steps:
    """The awaitable that sends into the coroutine by hand."""

    __slots__ = ("_call", "_drive")

    def __init__(self, drive: Drive, call: Callable[[], Awaitable[Any]]) -> None:
        self._drive = drive
        self._call = call

    def __await__(self) -> Generator[Any, Any, Any]:
        drive = self._drive
        waiting: Any = None
        thrown: BaseException | None = None
        generator: Any = None
        while True:
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                if generator is None:
                    generator = self._call().__await__()
                if thrown is not None:
                    error, thrown = thrown, None
                    future = generator.throw(error)
                else:
                    future = generator.send(waiting) if hasattr(generator, "send") else next(generator)
            except StopIteration as end:
                return end.value
            finally:
                drive.cpu += time.thread_time() - cpu
                took = time.perf_counter() - began
                if took > LONG_STEP:
                    drive.blocked += 1
                    drive.longest = max(drive.longest, took)
            try:
                waiting = yield future
            except asyncio.CancelledError as error:
                if drive.leaving:
                    drive.abandoned = True
                    _leave(generator)
                    raise _GivenUp from None
                thrown = error
                drive.cancelled()
            except GeneratorExit:
                _leave(generator)
                raise
            except BaseException as error:
                thrown = error


def _leave(generator: Any) -> None:
    try:
        generator.close()
    except BaseException:  # it refuses to be closed: never ask again
        _unclosable.append(generator)


def start(loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context) -> asyncio.Task[Any]:
    """A task of its own in `context`, never begun within this call, whatever task factory the application set."""
    return asyncio.Task(coroutine, loop=loop, name="progflags-shadow", context=context)
