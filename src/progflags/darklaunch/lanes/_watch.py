"""A thread of ours that looks after what runs, while anything does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from progflags._process import Thread, here
from progflags.darklaunch.record import mute

__all__ = ["Watch"]

_IDLE: Final = 1.0


class Watch:
    """
    `look` is called every `tick` seconds from `wake` on, and says whether there is still something to look at.

    A second after there is nothing any more nobody looks, until `wake` is called again. Of one process: a child makes its own.
    """

    def __init__(self, name: str, tick: float, look: Callable[[], bool]) -> None:
        self._name = name
        self._tick = tick
        self._look = look
        self._awake = threading.Event()
        self._lock = threading.RLock()  # a signal's handler may call what is shadowed
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Something began. Cheap where somebody looks already."""
        if self._awake.is_set():
            return
        self._awake.set()
        with self._lock:
            if not here(self._thread):
                self._begin()

    def _begin(self) -> None:
        thread = Thread(self._run, name=f"progflags-shadow-{self._name}")
        try:
            thread.start()
        except RuntimeError as error:  # no thread to be had: nobody looks, unless there is one next time
            self._awake.clear()
            if threading.main_thread().is_alive():  # else the interpreter ends, which from Python 3.12 on starts no threads
                mute(f"dark launch {self._name}", error)
            return
        self._thread = thread

    def _run(self) -> None:
        while True:
            try:
                self._looking()
            except BaseException as error:  # it came from outside, or from a log handler
                mute(f"dark launch {self._name}", error)
                time.sleep(self._tick)

    def _looking(self) -> None:
        last = time.monotonic()
        while True:
            self._awake.wait()
            time.sleep(self._tick)
            if self._look():
                last = time.monotonic()
            elif time.monotonic() - last > _IDLE:
                self._awake.clear()
                if self._look():
                    self._awake.set()  # begun just now, by one who saw us awake
