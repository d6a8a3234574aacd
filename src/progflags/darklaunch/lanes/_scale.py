"""
The process is weighed while coroutines run in its shadow, by a thread that no coroutine can hold up.

A thread of ours is weighed by the watch over threads (`_workers`). A coroutine runs in a loop that may be the application's, may
never come back from a step, or waits for a thread that hoards: so it is weighed from outside, twenty times a second, all of them at
once. A second after the last has ended nobody looks any more.
"""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

from progflags._process import Thread, here, in_child
from progflags.darklaunch.lanes._resident import resident
from progflags.darklaunch.record import mute

__all__ = ["GROWTH", "Scale", "Weighed", "scale"]

GROWTH: Final = 256 << 20  # bytes a process may grow by while one shadow runs
_TICK: Final = 0.05
_IDLE: Final = 1.0


class Weighed(Protocol):
    """What runs. `resident` is the process's size at the first look, 0 before it; `grew` is called once, in another thread."""

    resident: int

    def grew(self, size: int) -> None:
        """The process has grown by so many bytes since."""
        ...


class Scale:
    """Puts `on` what runs, and takes it off when it has ended."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child has none of its parent's threads, and runs none of its coroutines."""
        self._on: set[Weighed] = set()
        self._busy = threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def put(self, one: Weighed) -> None:
        self._on.add(one)
        if not self._busy.is_set():
            self._wake()

    def take(self, one: Weighed) -> None:
        self._on.discard(one)

    def _wake(self) -> None:
        self._busy.set()
        with self._lock:
            if here(self._thread):
                return
            thread = Thread(self._serve, name="progflags-shadow-scale")
            try:
                thread.start()
            except RuntimeError as error:  # no thread to be had: nobody weighs
                if threading.main_thread().is_alive():  # else the interpreter ends, which from Python 3.12 on starts no threads
                    mute("dark launch scale", error)
                return
            self._thread = thread

    def _serve(self) -> None:
        while True:
            try:
                self._look()
            except BaseException as error:  # it came from outside, or from a log handler
                mute("dark launch scale", error)
                time.sleep(_TICK)

    def _look(self) -> None:
        last = time.monotonic()
        while True:
            self._busy.wait()
            on = tuple(self._on)
            if on:
                last = time.monotonic()
                self._weigh(on)
            elif time.monotonic() - last > _IDLE:
                self._busy.clear()
                if self._on:
                    self._busy.set()  # put on just now, by one who saw us awake
            time.sleep(_TICK)

    def _weigh(self, on: tuple[Weighed, ...]) -> None:
        size = resident()
        for one in on:
            if not one.resident:
                one.resident = size
            elif size - one.resident > GROWTH:
                self.take(one)
                one.grew(size - one.resident)


scale: Final = Scale()
