"""
The one background reader: a daemon thread that runs a few jobs, each again and again.

A job that fails is tried again later and later; one that is late (a laptop slept, a job before it took long) runs once, not
once per missed time. After a fork the child starts a thread of its own, without anybody's help; the parent notices nothing.
The thread is never waited for at exit. It outlives whatever a job raises; should it end all the same, whoever looks (`ensure`)
starts it again, and `health` says so, as it says of a job that hangs, is late or fails again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from progflags._beside import RUNNING
from progflags._printed import quoted
from progflags._process import Thread, here, in_child, look, outdated, preparing
from progflags._trouble import say, swallow
from progflags.sources._job import LONGEST, Job, behind, spread

__all__ = ["Refresher"]

_AGAIN = 5.0  # seconds between two tries to start a thread
_NOTED = 30.0  # seconds that a thread's end is told of: longer than most people look away


class Refresher:
    """
    Runs jobs in a thread named `progflags`, from `start` to `stop`.

    Where no thread can be started (uWSGI without threads, a system at its limit) it says so once, and `run_due`, called
    from time to time by whoever has a thread, does the work.
    """

    def __init__(self) -> None:
        self._jobs: tuple[Job, ...] = ()
        self._thread: threading.Thread | None = None
        self._running = False  # whether there ought to be a thread
        self._wake = threading.Event()
        self._turn = threading.Lock()  # one runs jobs at a time
        self._starting = threading.Lock()
        self._tried = 0.0  # when a thread was last started, or should have been
        self._why = ""  # why there is none
        self._end: tuple[str, float] = ("", -_NOTED)  # how the last one ended, and when that was noticed
        self._peers: Callable[[], object] = bool
        in_child(self, starts_threads=True)

    def every(
        self,
        seconds: float,
        run: Callable[[], object],
        *,
        name: str,
        slowest: float = LONGEST,
        pace: Callable[[], float] | None = None,
    ) -> None:
        """
        Run `run` every `seconds` from now on, the first time after as long; `slowest` apart at most while it fails. `pace`: after each
        run, how many seconds it may rest if nobody wakes it, where that is longer. To be called before `start`.
        """
        if not seconds > 0:
            raise ValueError(f"{name}: every {quoted(seconds)} seconds is not an interval; poll=None means never")
        self._jobs = (*self._jobs, Job(name, seconds, run, time.monotonic() + spread(seconds), slowest, pace))

    def beside(self, peers: Callable[[], object]) -> None:
        """Call `peers` in every round: the threads of one client look after each other."""
        self._peers = peers

    def start(self) -> None:
        """Start the thread; again does nothing."""
        look()
        if self._running:
            return
        self._running = True
        self._start_thread()

    def stop(self, timeout: float = 2.0) -> bool:
        """End the thread, waiting at most `timeout` seconds for the job it is in; whether it ended. Idempotent."""
        look()
        self._running = False
        self._wake.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread() or not here(thread):
            return True
        thread.join(max(0.0, timeout))
        return not thread.is_alive()

    def wake(self) -> None:
        """Run every job now instead of when it is due."""
        for job in self._jobs:
            job.wake()
        self._wake.set()

    @property
    def alive(self) -> bool:
        """Whether the thread is there, and this process's."""
        return here(self._thread)

    def ensure(self) -> None:
        """Start the thread again if it ought to run and does not. Costs next to nothing while it does."""
        if not self._running or self.alive or outdated() or time.monotonic() - self._tried < (_AGAIN if self._why else 0.0):
            return
        with self._starting:
            if self._running and not self.alive:
                if self._thread is not None:
                    self._end = (self._end[0] if self._end[0] and self._end[1] > self._tried else "it ended", time.monotonic())
                    say("refresher", f"a background thread is started again: {self._end[0]}", cause="ended")
                self._start_thread()

    def health(self) -> dict[str, str]:
        """By job: `running` (perhaps with more about how), or why not."""
        now = time.monotonic()
        if not self._running:
            return {}
        told = {job.name: job.health(now) for job in self._jobs}
        ended, at = self._end
        for name, health in told.items():
            if health == RUNNING and now - at < _NOTED:
                told[name] = f"was started again {now - at:.0f} s ago: {ended}"
            elif health == RUNNING and self._why:
                told[name] = f"{RUNNING} in requests and calls of status(), for there is no thread: {self._why}"
        return told

    def run_due(self) -> int:
        """Run what is due in the caller's thread, and say how many jobs that was; none when somebody else is at it."""
        look()
        turn = self._turn  # by name: a job may be the first to notice that gevent came, and then there is another
        if not turn.acquire(blocking=False):
            return 0
        try:
            due = [job for job in self._jobs if job.due <= time.monotonic()]
            for job in due:
                job.go(self._struck)
            return len(due)
        finally:
            turn.release()

    def after_fork(self) -> None:
        """A child has the jobs and not the thread: give it one."""
        self._thread, self._wake, self._turn = None, threading.Event(), threading.Lock()
        self._starting, self._why, self._end = threading.Lock(), "", ("", -_NOTED)
        for job in self._jobs:
            job.since, job.due = 0.0, time.monotonic()
        if self._running:
            self._start_thread()

    def _start_thread(self) -> None:
        self._wake.clear()
        if preparing():
            return  # whoever is forked from here, or begins to serve, starts its own
        self._tried = time.monotonic()
        thread = Thread(self._loop, name="progflags")
        try:
            thread.start()
        except RuntimeError as error:
            self._why = str(error)
            say("refresher", f"no background thread here ({error}): flags are refreshed by refresh() and run_due() only")
        else:
            self._thread, self._why = thread, ""

    def _loop(self) -> None:
        wake = self._wake
        while self._running and wake is self._wake and not outdated():  # another one since: a fork, gevent, a stop and a start
            try:
                self._round(wake)
            except BaseException as error:  # whatever it is, kills must go on arriving; and this loop has no caller to tell
                if outdated():
                    return
                self._struck(error)
                swallow("refresher", error)
                if type(error).__name__ == "GreenletExit":  # whoever ends greenlets waits for their end
                    return
                time.sleep(_PAUSE)

    def _struck(self, error: BaseException) -> None:
        self._end = (f"{type(behind(error)).__name__} was raised in it", time.monotonic())

    def _round(self, wake: threading.Event) -> None:
        self.run_due()
        self._peers()
        soonest = min((job.due for job in self._jobs), default=time.monotonic() + LONGEST)
        wake.wait(max(0.0, soonest - time.monotonic()))
        if self._running:
            wake.clear()  # before the next round looks what is due: whoever sets it has said so before


_PAUSE = 0.05  # seconds after something that ought to have ended the loop
