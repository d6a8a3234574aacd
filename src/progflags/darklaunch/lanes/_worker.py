"""One thread that shadows run in: what it is at, and what that has cost so far."""

from __future__ import annotations

import threading
import time
from typing import Final

from progflags.darklaunch.lanes._lane import Job
from progflags.darklaunch.lanes._resident import resident
from progflags.darklaunch.lanes._scale import GROWTH

__all__ = ["HAS_CLOCKS", "TICK", "Worker"]

TICK: Final = 0.02  # seconds between two looks at it
HAS_CLOCKS: Final = hasattr(time, "pthread_getcpuclockid")


class Worker:
    """Looked at by the watch while it works; a job that has ended meanwhile is charged by the thread itself."""

    __slots__ = ("abandoned", "cpu", "gone", "job", "resident", "since", "thread")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.since = 0.0
        self.cpu = 0.0  # thread CPU already charged for this job
        self.abandoned = False
        self.gone = False
        self.resident = 0  # bytes of the process when this job began
        self.thread: threading.Thread | None = None

    def take(self, job: Job) -> None:
        """In the thread itself: begin."""
        self.since, self.cpu = time.monotonic(), time.thread_time()
        self.resident, self.job = 0, job

    def account(self, job: Job) -> None:
        """From outside: what the job has used since the last look, and by how much the process has grown."""
        self._charge(job)
        self._weigh(job)

    def _weigh(self, job: Job) -> None:
        """A candidate that hoards must not take the process with it."""
        size = resident()
        if not self.resident:
            self.resident = size
        elif size - self.resident > GROWTH:
            job.grew(size - self.resident)
            self.resident = size

    def _charge(self, job: Job) -> None:
        """A candidate that spins must not have spun for free until it returns."""
        if not HAS_CLOCKS or self.thread is None or self.thread.ident is None:
            return
        used = time.clock_gettime(time.pthread_getcpuclockid(self.thread.ident))
        if self.cpu and used - self.cpu > TICK / 4 and self.job is job:
            job.spent(used - self.cpu)
            self.cpu = used
