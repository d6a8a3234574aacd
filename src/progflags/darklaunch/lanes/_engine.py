"""What all experiments of a process share: threads, loops, the CPU budget, the bytes waiting."""

from __future__ import annotations

import threading
import time
from typing import Final

from progflags._process import Lock, in_child
from progflags.darklaunch.lanes._lent import lent
from progflags.darklaunch.lanes._limits import CpuBudget
from progflags.darklaunch.lanes._loops import BackgroundLoop, Tasks
from progflags.darklaunch.lanes._workers import QUEUED, Workers
from progflags.darklaunch.record import Shed

__all__ = ["Engine", "engine"]

BYTES: Final = 64 << 20


class Engine:
    """
    `workers` threads, `cpu` as a share of one core, `queued` jobs and `bytes` of copies waiting at most.

    One per process is right (`engine()`), for what it guards is the process; tests make their own.
    """

    def __init__(
        self, *, workers: int | None = None, cpu: float = 0.05, burst: float = 0.25, queued: int = QUEUED, waiting: int = BYTES
    ) -> None:
        self.workers = Workers(workers, queued)
        self.background = BackgroundLoop()
        self.tasks = Tasks()
        self.cpu = CpuBudget(time.monotonic, cpu, burst)
        self._most = waiting
        self._waiting = 0
        self._lock = threading.RLock()
        in_child(self)

    def after_fork(self) -> None:
        self._waiting = 0
        self._lock = threading.RLock()
        self.cpu = CpuBudget(time.monotonic, self.cpu.share, self.cpu.burst)

    def hold(self, size: int) -> bool:
        """Whether `size` more bytes may wait; they do, if so."""
        if not size:
            return True
        with self._lock:
            if self._waiting + size > self._most:
                return False
            self._waiting += size
            return True

    def release(self, size: int) -> None:
        if size:
            with self._lock:
                self._waiting -= size

    def room(self) -> Shed | None:
        """The limits every call is asked about."""
        if not self.cpu.allows():
            return Shed.CPU
        return Shed.BYTES if self._waiting >= self._most else None


_engine: Engine | None = None
_lock = Lock()


def engine() -> Engine:
    """The process's engine, made at first use; it starts no thread before the first shadow."""
    global _engine  # noqa: PLW0603 - one per process, on purpose
    if _engine is None:
        with _lock:
            _engine = _engine or Engine()
            lent.charge = _charge
    return _engine


def _charge(seconds: float) -> None:
    engine().cpu.spend(seconds)  # asked each time: a fork gives the engine another budget
