"""
The one background reader: a daemon thread that runs a few jobs, each again and again.

A job that fails is tried again later and later; one that is late (a laptop slept, a job before it took long) runs once, not
once per missed time. After a fork the child starts a thread of its own, without anybody's help; the parent notices nothing.
The thread is never waited for at exit.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from progflags._fork import in_child
from progflags._trouble import say, swallow

__all__ = ["Refresher"]

_JITTER = 0.1  # a tenth, so that the processes of a host do not all look at the same instant
_LONGEST = 30.0  # seconds a failing job waits at most


@dataclass(slots=True)
class _Job:
    """What to run every so many seconds. `due` is on the monotonic clock; `failures` in a row."""

    name: str
    every: float
    run: Callable[[], object]
    due: float
    failures: int = 0


class Refresher:
    """
    Runs jobs in a thread named `progflags`, from `start` to `stop`.

    Where no thread can be started (uWSGI without threads, a system at its limit) it says so once, and `run_due`, called
    from time to time by whoever has a thread, does the work.
    """

    def __init__(self) -> None:
        self._jobs: tuple[_Job, ...] = ()
        self._thread: threading.Thread | None = None
        self._running = False  # whether there ought to be a thread
        self._wake = threading.Event()
        self._turn = threading.Lock()  # one runs jobs at a time
        in_child(self, starts_threads=True)

    def every(self, seconds: float, run: Callable[[], object], *, name: str) -> None:
        """Run `run` every `seconds` from now on, the first time after as long. To be called before `start`."""
        if not seconds > 0:
            raise ValueError(f"{name}: every {seconds!r} seconds is not an interval; poll=None means never")
        self._jobs = (*self._jobs, _Job(name, seconds, run, time.monotonic() + _spread(seconds)))

    def start(self) -> None:
        """Start the thread; again does nothing."""
        if self._running:
            return
        self._running = True
        self._start_thread()

    def stop(self, timeout: float = 2.0) -> bool:
        """End the thread, waiting at most `timeout` seconds for the job it is in; whether it ended. Idempotent."""
        self._running = False
        self._wake.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, timeout))
        return not thread.is_alive()

    def wake(self) -> None:
        """Run every job now instead of when it is due."""
        for job in self._jobs:
            job.due = 0.0
        self._wake.set()

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def run_due(self) -> int:
        """Run what is due in the caller's thread, and say how many jobs that was; none when somebody else is at it."""
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            due = [job for job in self._jobs if job.due <= time.monotonic()]
            for job in due:
                _run(job)
            return len(due)
        finally:
            self._turn.release()

    def after_fork(self) -> None:
        """A child has the jobs and not the thread: give it one."""
        self._thread, self._wake, self._turn = None, threading.Event(), threading.Lock()
        if self._running:
            self._start_thread()

    def _start_thread(self) -> None:
        self._wake.clear()
        thread = threading.Thread(target=self._loop, name="progflags", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            say("refresher", f"no background thread here ({error}): flags are refreshed by refresh() and run_due() only")
        else:
            self._thread = thread

    def _loop(self) -> None:
        wake = self._wake
        while self._running and wake is self._wake:  # another one since: a fork, or a stop and a start
            self.run_due()
            soonest = min((job.due for job in self._jobs), default=time.monotonic() + _LONGEST)
            wake.wait(max(0.0, soonest - time.monotonic()))
            if self._running:
                wake.clear()


def _run(job: _Job) -> None:
    try:
        job.run()
    except Exception as error:
        job.failures += 1
        swallow(f"refresher, {job.name}", error)
    else:
        job.failures = 0
    job.due = time.monotonic() + _spread(min(job.every * 2 ** min(job.failures, 10), max(job.every, _LONGEST)))


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)
