"""One side of a comparison: what it returned or raised, and how long it took. The only try/except around the candidate's code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final, NamedTuple

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.record._failure import place

__all__ = ["Observation", "observe", "same_error"]


class Observation(NamedTuple):
    """A value, or the exception raised instead, and the wall seconds it took; `where` it was raised ("search.py:41")."""

    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    where: str = ""


def observe(call: Callable[..., Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Observation:
    """
    Run `call` and tell how it went. Whatever it raises is an answer: SystemExit, GeneratorExit, RecursionError alike.

    Raises:
        KeyboardInterrupt: a real one, a Ctrl-C that arrived meanwhile in the main thread. That is the user's, not the candidate's.
    """
    began = perf_counter()
    try:
        value = call(*args, **(kwargs or {}))
    except BaseException as error:
        seconds = perf_counter() - began
        if is_delivered(error):
            raise
        # Its traceback would keep every frame, and every object in them, alive for as long as it waits to be compared.
        where = place(error)
        return Observation(error=error.with_traceback(None), seconds=seconds, where=where)
    return Observation(value, None, perf_counter() - began)


# What differs between two runs of one failing line: addresses, and long numbers.
_VARIES: Final = re.compile(r"0x[0-9a-fA-F]+|\d{4,}")


def same_error(a: BaseException, b: BaseException) -> bool:
    """Whether two failures are the same one: class and message, addresses and long numbers aside."""
    return type(a) is type(b) and _message(a) == _message(b)


def _message(error: BaseException) -> str:
    return _VARIES.sub("#", str(error))
