"""Somebody's coroutine, stepped by hand so that what its steps cost is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Metered"]

T = TypeVar("T")


class Metered(Generic[T]):
    """Awaits `coroutine`; `charge` is told the processor time of all its steps together when it ends, however that is."""

    __slots__ = ("_charge", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], charge: Callable[[float], object]) -> None:
        self._coroutine = coroutine
        self._charge = charge

    def __await__(self) -> Generator[Any, Any, T]:
        used, value, thrown = 0.0, None, None
        try:
            while True:
                began = time.thread_time()
                try:
                    future = self._coroutine.send(value) if thrown is None else self._coroutine.throw(thrown)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                finally:
                    used += time.thread_time() - began
                value, thrown = None, None
                try:
                    value = yield future
                except GeneratorExit:
                    self._coroutine.close()
                    raise
                except BaseException as error:
                    thrown = error
        finally:
            self._charge(used)
