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

from progflags._process import Thread, in_child, look
from progflags._trouble import say
from progflags.darklaunch.lanes._fair import Fair
from progflags.darklaunch.lanes._lane import Job
from progflags.darklaunch.lanes._watch import Watch
from progflags.darklaunch.lanes._worker import HAS_CLOCKS, TICK, Worker
from progflags.darklaunch.record import Shed, mute

__all__ = ["GRACE", "STUCK", "Workers", "close_connections"]

GRACE: Final = 0.1  # seconds between a deadline and giving up
QUEUED: Final = 4096
STUCK: Final = 4  # abandoned threads that are replaced; with more than these nothing is taken in until one returns


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
        self._workers: list[Worker] = []
        self._watch = Watch("watch", TICK, self._look)
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
        worker = Worker()
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

    def _serve(self, worker: Worker) -> None:
        while True:
            try:
                self._work(worker)
            except BaseException as error:  # none of a job's: it came from outside, or from a log handler
                mute("dark launch worker", error)
                worker.job = None
            else:
                return

    def _work(self, worker: Worker) -> None:
        while True:
            job = self._queue.get()
            worker.take(job)
            self._watch.wake()
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

    def _look(self) -> bool:
        """Whether anybody is busy; who overruns is given up, and what it was at is concluded."""
        now, ended = time.monotonic(), list[Callable[[], None]]()
        with self._lock:
            self._empty_if_nobody_is_left(ended)
            busy = [self._look_at(worker, now, ended) for worker in tuple(self._workers)]
        if ended:
            _aside(ended)
        return any(busy)

    def _empty_if_nobody_is_left(self, ended: list[Callable[[], None]]) -> None:
        """With every thread stuck nobody takes from the queue; what waits there must not wait for ever."""
        while self._workers and all(worker.abandoned for worker in self._workers) and not self._queue.empty():
            ended.append(partial(self._queue.get().refuse, Shed.STUCK))

    def _look_at(self, worker: Worker, now: float, ended: list[Callable[[], None]]) -> bool:
        """Whether this worker is busy; what it uses is charged on the way, and it is given up when it overruns."""
        job, since = worker.job, worker.since
        if job is None or worker.gone:
            return False
        worker.account(job)
        if not worker.abandoned and now - since > job.deadline + GRACE and worker.job is job and worker.since == since:
            worker.abandoned = True
            ended.append(job.abandon)
            if self.stuck <= STUCK:
                self._added()
        return not worker.abandoned or job.stop() or HAS_CLOCKS


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
