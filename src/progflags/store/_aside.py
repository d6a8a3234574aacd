"""What nothing can hurry, a name server or somebody else's store, runs aside: it is left behind when the time is up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from progflags._process import Thread, in_child, look

__all__ = ["aside"]

T = TypeVar("T")

_MOST: Final = 16  # threads left behind at once; whoever finds so many does not add another


class _Behind:
    """How many threads of this process were left behind and have not come back."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self.count = 0


_behind: Final = _Behind()


def aside(act: Callable[[], T], seconds: float, late: Callable[[T], object] | None = None) -> T:
    """
    What `act` returns or raises, run in a thread of its own. `late` is handed what came too late, for somebody has to close it.

    Where no thread can be started it runs here, and takes as long as it takes.

    Raises:
        TimeoutError: it was not done after `seconds`, or too many others have not been for long.
    """
    look()
    if _behind.count >= _MOST:
        raise TimeoutError(f"{_behind.count} earlier calls have not come back")
    call = _Call(act, late)
    try:
        Thread(call.run, name="progflags-aside").start()
    except RuntimeError:  # a system at its limit, uWSGI without threads, an interpreter that is ending
        return act()
    return call.result(seconds)


class _Call(Generic[T]):
    """One call, and who it is for: its caller, or nobody any more."""

    def __init__(self, act: Callable[[], T], late: Callable[[T], object] | None) -> None:
        self._act = act
        self._late = late
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._left = False
        self._found: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._found.append(self._act())
        except BaseException as error:
            self._error = error
        with self._lock:
            self._done.set()
            left = self._left
            if left:
                _behind.count -= 1
        if left and self._late is not None and self._found:
            self._late(self._found[0])

    def result(self, seconds: float) -> T:
        self._done.wait(seconds)
        with self._lock:
            if not self._done.is_set():
                self._left = True
                _behind.count += 1
                raise TimeoutError(f"no answer for {seconds:.1f} s")
        if self._error is not None:
            raise self._error
        return self._found[0]
