"""
Threads for what a shadow hands to one: ours, never those the control needs.

`asyncio.to_thread`, anyio's `run_sync` (every `def` endpoint of Starlette and FastAPI) and asgiref's `sync_to_async` each run
in a small pool that belongs to the event loop. A coroutine can be left behind; a thread it waits for goes on. So a candidate
that hangs in such a thread took the control's: six of them, and the control's own `to_thread` never begins; and the
interpreter waits for all of them before it ends. In a shadow these three run here instead: in daemons, so many and no more,
charged to the CPU budget, and counted while they are stuck.

Executors of the application's own stay what they are; work given to one by a shadow is the shadow's, guards included.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

from progflags._process import Thread, in_child, look
from progflags.darklaunch.guards import replace
from progflags.darklaunch.lanes._workers import GRACE, STUCK, close_connections
from progflags.darklaunch.record import Shed, mute
from progflags.darklaunch.shadow import current

__all__ = ["Lent", "OneThread", "lent", "watch"]

MOST: Final = 32  # threads; the pools they stand in for have as many, or 40


class _Job:
    __slots__ = ("due", "future", "work")

    def __init__(self, work: Callable[[], Any], due: float) -> None:
        self.work = work
        self.due = due
        self.future: Future[Any] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            value = self.work()
        except StopIteration as error:  # no future of an event loop takes one
            failure = RuntimeError("a function raised StopIteration")
            failure.__cause__ = error
            self.future.set_exception(failure)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


class Lent:
    """The pool. A shadow's deadline says from when on a job of its is stuck; `charge` is told the processor time of each."""

    charge: Callable[[float], object] = float  # nobody's, until there is an engine

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child has none of its parent's threads."""
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._at: dict[threading.Thread, _Job | None] = {}
        self._unfinished = 0

    @property
    def stuck(self) -> int:
        """Threads whose shadow's time is up."""
        if not self._at:
            return 0
        late = time.monotonic() - GRACE
        return sum(job is not None and job.due < late for job in tuple(self._at.values()))

    def room(self) -> Shed | None:
        if self.stuck > STUCK:
            return Shed.STUCK
        return Shed.QUEUE if not self._queue.empty() and len(self._at) >= MOST else None

    def submit(self, work: Callable[[], Any], due: float) -> Future[Any]:
        """Have it run when a thread is free. Raises RuntimeError where no thread can be started and there is none yet."""
        look()
        with self._lock:
            if len(self._at) <= self._unfinished and len(self._at) < MOST:
                self._add()
            self._unfinished += 1
        job = _Job(work, due)
        self._queue.put(job)
        return job.future

    def _add(self) -> None:
        thread = Thread(self._serve, name="progflags-shadow-lent")
        self._at[thread] = None
        try:
            thread.start()
        except RuntimeError as error:
            del self._at[thread]
            if not self._at:
                raise
            mute("dark launch thread", error)  # the others will come to it

    def _serve(self) -> None:
        me = threading.current_thread()
        while True:
            self._at[me] = job = self._queue.get()
            began = time.thread_time()
            try:
                job.run()
                close_connections()
            except BaseException as error:  # whoever waits for the future may add a callback that exits
                mute("dark launch thread", error)
            self._at[me] = None
            with self._lock:
                self._unfinished -= 1
            self.charge(time.thread_time() - began)
            del job


lent: Final = Lent()


class OneThread:
    """An executor for one shadow: all it is given runs in one thread, in order, as a request of Django's does."""

    def __init__(self, due: float) -> None:
        self._due = due
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._begun = False

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        job = _Job(functools.partial(function, *args, **kwargs), self._due)
        self._queue.put(job)
        if not self._begun:
            self._begun = True
            lent.submit(self._serve, self._due)
        return job.future

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()

    def end(self) -> None:
        """The shadow is over: give the thread back when what it was given is done."""
        if self._begun:
            self._queue.put(None)


# What is watched.


def watch() -> None:
    """Have shadows use these threads from now on: where a thread is asked for, by what is imported by now."""
    replace("concurrent.futures.thread:ThreadPoolExecutor.submit", "lent", _submit)
    if "anyio.to_thread" in sys.modules:
        replace("anyio.to_thread:run_sync", "lent", _run_sync)


def _submit(original: Any) -> Any:
    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        here = current()
        if here is None:
            return original(self, fn, *args, **kwargs)  # type: ignore[no-any-return]
        # In a context of its own: the pool's threads begin with none, and would know nothing of guards.
        context = copy_context()
        if here.due is not None and _is_the_loops(self):
            return lent.submit(lambda: context.run(fn, *args, **kwargs), here.due)
        return original(self, context.run, fn, *args, **kwargs)  # type: ignore[no-any-return]

    return submit


_DEFAULT: Final = ThreadPoolExecutor()._max_workers  # it starts no thread before it is used


def _is_the_loops(executor: Any) -> bool:
    """Whether this is the running loop's default executor. uvloop does not tell: there it is one as nobody configured it."""
    loop = asyncio._get_running_loop()
    if loop is None or executor._initializer is not None:
        return False
    own = getattr(loop, "_default_executor", None)  # set by the time it is used, by CPython's loops
    if own is not None:
        return executor is own
    return bool(executor._max_workers == _DEFAULT)


def _run_sync(original: Any) -> Any:
    import anyio

    @functools.wraps(original)
    async def run_sync(func: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        here, loop = current(), asyncio._get_running_loop()
        if here is None or here.due is None or loop is None:
            return await original(func, *args, **options)
        context = copy_context()
        async with options.get("limiter") or _Unlimited():
            with anyio.CancelScope(shield=not (options.get("cancellable") or options.get("abandon_on_cancel"))):
                return await asyncio.wrap_future(lent.submit(lambda: context.run(_in_anyios_name, loop, func, args), here.due))

    return run_sync


class _Unlimited:
    """The default limiter counts the control's threads; there are so many of ours and no more."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def _in_anyios_name(loop: asyncio.AbstractEventLoop, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run as one of anyio's own worker threads does, so that `anyio.from_thread` finds its way back to the loop."""
    from anyio._core import _eventloop as core

    claim, here = getattr(core, "claim_worker_thread", None), getattr(core, "threadlocals", None)
    if claim is None or here is None:  # an anyio built otherwise: without the way back
        return func(*args)
    from anyio._backends._asyncio import AsyncIOBackend

    forget = getattr(core, "set_current_async_library", None)
    if forget is not None:
        forget(None)
    with claim(AsyncIOBackend, loop):
        here.current_cancel_scope = None
        try:
            return func(*args)
        finally:
            del here.current_cancel_scope
