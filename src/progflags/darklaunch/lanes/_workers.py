"""
The threads shadows run in: daemons, few, fed by a bounded queue, replaced when one gets stuck.

concurrent.futures is no pool for this: one hung task keeps the interpreter alive for as long as it hangs, and after a
fork the inherited pool accepts work that nobody does. These threads start with the first job in each process, hold nothing
up at exit, and are counted when they are left behind. A thread can't be stopped, so a deadline here is soft: at its end
(and a grace for the orderly) the call is decided, and a fresh thread takes the stuck one's place, up to a limit.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from progflags._process import Thread, here, in_child, look
from progflags._trouble import say
from progflags.darklaunch.lanes._fair import Fair
from progflags.darklaunch.lanes._lane import Job
from progflags.darklaunch.lanes._resident import resident
from progflags.darklaunch.lanes._scale import GROWTH
from progflags.darklaunch.record import Shed, mute

__all__ = ["GRACE", "STUCK", "Workers", "close_connections"]

GRACE: Final = 0.1  # seconds between a deadline and giving up
QUEUED: Final = 4096
STUCK: Final = 4  # abandoned threads that are replaced; with more than these nothing is taken in until one returns
_TICK: Final = 0.02
_IDLE: Final = 1.0


class _Worker:
    """One thread and what it is at."""

    __slots__ = ("abandoned", "cpu", "gone", "job", "resident", "since", "thread")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.since = 0.0
        self.cpu = 0.0  # thread CPU already charged for this job
        self.abandoned = False
        self.gone = False
        self.resident = 0  # bytes of the process when this job began
        self.thread: threading.Thread | None = None


class Workers:
    """A lane of daemon threads; one serves all experiments of a process."""

    def __init__(self, size: int | None = None, queued: int = QUEUED) -> None:
        self.size = size or min(2, os.cpu_count() or 1)
        self._queued = queued
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child has none of its parent's threads, and must not do its parent's work."""
        self._queue: Fair[Job] = Fair()
        self._lock = threading.RLock()  # a signal's handler may call what is shadowed
        self._workers: list[_Worker] = []
        self._watching: threading.Thread | None = None
        self._busy = threading.Event()
        self._started = False

    @property
    def stuck(self) -> int:
        """How many threads have been left behind and have not come back."""
        return sum(worker.abandoned and not worker.gone for worker in self._workers)

    def room(self, owner: object = None) -> Shed | None:
        if self._queue.full(owner, self._queued):
            return Shed.QUEUE
        if self._started and self.stuck > STUCK:
            return Shed.STUCK
        return None

    def submit(self, job: Job) -> Shed | None:
        refused = self.room(job.owner)
        if refused is None:
            try:
                self.put(job)
            except RuntimeError as error:  # no thread to be had, and none there
                if threading.main_thread().is_alive():  # else the interpreter ends, which from Python 3.12 on starts no threads
                    say("dark launch", f"no thread can be started here ({error}): nothing is shadowed", cause="thread")
                return Shed.NO_THREAD
        return refused

    def put(self, job: Job) -> None:
        """
        Take a job whatever the queue's length: for the second half of one that was admitted elsewhere.

        Raises:
            RuntimeError: no thread can be started here, and none is there.
        """
        look()
        if not self._started:
            self._start()
        self._queue.put(job.owner, job)

    def _start(self) -> None:
        with self._lock:
            while len(self._workers) < self.size:
                if not self._workers:
                    self._add()
                elif not self._added():
                    break  # fewer, then
            self._started = True

    def _add(self) -> None:
        worker = _Worker()
        worker.thread = Thread(self._serve, args=(worker,), name="progflags-shadow")
        worker.thread.start()  # where none can be started there is none to be counted on
        self._workers.append(worker)

    def _added(self) -> bool:
        """As `_add`, for the threads themselves, which must outlive a system that has no more."""
        try:
            self._add()
        except RuntimeError as error:
            mute("dark launch thread", error)
            return False
        return True

    def _serve(self, worker: _Worker) -> None:
        while True:
            try:
                self._work(worker)
            except BaseException as error:  # none of a job's: it came from outside, or from a log handler
                mute("dark launch worker", error)
                worker.job = None
            else:
                return

    def _work(self, worker: _Worker) -> None:
        while True:
            job = self._queue.get()
            worker.since, worker.cpu = time.monotonic(), time.thread_time()
            worker.resident, worker.job = 0, job
            self._watch()
            try:
                job.work()
            except BaseException as error:  # the job's promise is not to raise; a worker must outlive a broken promise
                mute("dark launch worker", error)
            worker.job = None
            close_connections()
            with self._lock:
                job.spent(time.thread_time() - worker.cpu)
                if worker.abandoned:
                    # Back at last. Its replacement works already, so this thread ends; `gone` under the lock, because
                    # nobody may ask for the clock of a thread that no longer exists.
                    worker.gone = True
                    if sum(not other.abandoned for other in self._workers) >= self.size or self._added():
                        self._workers.remove(worker)
                        return
                    worker.abandoned = worker.gone = False  # no thread to be had: go on being one
                    worker.job = None
            del job

    def _watch(self) -> None:
        if self._busy.is_set():
            return
        self._busy.set()
        with self._lock:
            if not here(self._watching):
                watching = Thread(self._look, name="progflags-shadow-watch")
                try:
                    watching.start()
                except RuntimeError:
                    if threading.main_thread().is_alive():
                        raise
                    return  # the interpreter ends: from Python 3.12 on it starts no threads by then, and there is nobody to wait for
                self._watching = watching

    def _look(self) -> None:
        while True:
            try:
                self._watched()
            except BaseException as error:
                mute("dark launch watch", error)
                time.sleep(_TICK)

    def _watched(self) -> None:
        idle_since = time.monotonic()
        while True:
            self._busy.wait()
            time.sleep(_TICK)
            now = time.monotonic()
            ended: list[Callable[[], None]] = []
            with self._lock:
                self._empty_if_nobody_is_left(ended)
                busy = [self._look_at(worker, now, ended) for worker in tuple(self._workers)]
                if any(busy):
                    idle_since = now
                elif now - idle_since > _IDLE:
                    self._busy.clear()
                    if any(worker.job is not None for worker in self._workers):
                        self._busy.set()  # taken up just now, by one who saw us awake
            if ended:
                _aside(ended)

    def _empty_if_nobody_is_left(self, ended: list[Callable[[], None]]) -> None:
        """With every thread stuck nobody takes from the queue; what waits there must not wait for ever."""
        while self._workers and all(worker.abandoned for worker in self._workers) and not self._queue.empty():
            ended.append(partial(self._queue.get().refuse, Shed.STUCK))

    def _look_at(self, worker: _Worker, now: float, ended: list[Callable[[], None]]) -> bool:
        """Whether this worker is busy; what it uses is charged on the way, and it is given up when it overruns."""
        job, since = worker.job, worker.since
        if job is None or worker.gone:
            return False
        self._charge(worker, job)
        self._weigh(worker, job)
        if not worker.abandoned and now - since > job.deadline + GRACE and worker.job is job and worker.since == since:
            worker.abandoned = True
            ended.append(job.abandon)
            if self.stuck <= STUCK:
                self._added()
        return not worker.abandoned or job.stop() or _HAS_CLOCKS

    def _weigh(self, worker: _Worker, job: Job) -> None:
        """A candidate that hoards must not take the process with it."""
        size = resident()
        if not worker.resident:
            worker.resident = size
        elif size - worker.resident > GROWTH:
            job.grew(size - worker.resident)
            worker.resident = size

    def _charge(self, worker: _Worker, job: Job) -> None:
        """A candidate that spins must not have spun for free until it returns."""
        if not _HAS_CLOCKS or worker.thread is None or worker.thread.ident is None:
            return
        used = time.clock_gettime(time.pthread_getcpuclockid(worker.thread.ident))
        if worker.cpu and used - worker.cpu > _TICK / 4 and worker.job is job:
            job.spent(used - worker.cpu)
            worker.cpu = used


def _aside(ended: list[Callable[[], None]]) -> None:
    """
    Conclude what was given up in a thread of its own: whoever is told (a sink, a listener) may hang, and must not take the
    watch with him.
    """

    def conclude() -> None:
        for end in ended:
            try:
                end()
            except BaseException as error:  # as in a worker
                mute("dark launch worker", error)

    try:
        Thread(conclude, name="progflags-shadow-end").start()
    except RuntimeError:
        conclude()


def close_connections() -> None:
    """Django's, of this thread, if Django is in use. What goes wrong is muted: the job is done."""
    if "django.db" in sys.modules:
        from progflags.darklaunch.guards import close_connections

        try:
            close_connections()
        except Exception as error:
            mute("dark launch connections", error)


_HAS_CLOCKS: Final = hasattr(time, "pthread_getcpuclockid")
