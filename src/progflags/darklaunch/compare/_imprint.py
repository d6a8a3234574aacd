"""
A tree of builtins written out by pickle, at C speed: to tell whether two are the same, and to keep one as it was.

Equal bytes are equal values, and most comparisons end there. The bytes tell 1 from True from 1.0, a list from a tuple, b"" from
bytearray(); an alias is written as often as it occurs (`fast`), so it does not matter who else holds a string. (marshal is a
little faster and gets both wrong: its bytes depend on reference counts, and it writes an array as if it were a text.) Unequal
bytes prove nothing: dicts in another order, 0.0 and -0.0 are left to the walk.

A value that is no exact builtin is refused before any code of its class runs. The bytes come in frames of 64 KiB; at each a
limit is asked, and the first frame that differs ends it.
"""

from __future__ import annotations

import pickle
import time
from itertools import islice
from typing import Any, Final

__all__ = ["Imprint", "same", "value_of"]

_BRANCHES: Final[frozenset[type]] = frozenset({dict, list, tuple})
_TEXTS: Final[frozenset[type]] = frozenset({str, bytes})
_PROTOCOL: Final = 5  # framed: the bytes come in pieces, and bytearray has a code of its own
_BIG: Final = 1 << 16  # a text of this size pickle would copy; the walk compares it in place, the copier shares it
_LOOK: Final = 16  # how many children are asked for their size beforehand
_NEVER: Final = float("inf")
# Refused, cyclic, too deep, changed by its owner meanwhile: all of them mean that there is no imprint. (A KeyError comes after
# fifty frozensets: CPython's fast mode counts each as a level of depth that it never leaves.)
_NONE: Final = (ValueError, TypeError, RuntimeError, MemoryError, OverflowError, KeyError)


class _Refused(ValueError):  # noqa: N818 - an end, not an error
    """Not a builtin, not equal, or not worth the rest."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Asked about everything that is no exact builtin, before its class is."""
        raise _Refused(type(value).__qualname__)


class Imprint:
    """One value as bytes: `value()` is a copy that nobody else holds, a new one at every call."""

    __slots__ = ("_frames", "size")

    def __init__(self, frames: list[bytes], size: int) -> None:
        self._frames = frames
        self.size = size

    @classmethod
    def of(cls, value: Any, most: float = _NEVER, *, until: float = _NEVER, aliases: bool = False) -> Imprint | None:
        """
        `value` as it is now; None when it is no tree of builtins, has more than `most` bytes, or the thread's CPU time passes `until`.

        With `aliases` what occurs twice is one thing in the copy as well; such an imprint is for keeping, not for comparing.
        """
        taking = _Taking(most, until)
        return cls(taking.frames, taking.size) if _worth(value) and _dumped(value, taking, fast=not aliases) else None

    def value(self) -> Any:
        return pickle.loads(b"".join(self._frames))  # noqa: S301 - written above, and never out of this process

    def is_of(self, value: Any, until: float = _NEVER) -> bool:
        """True proves that `value` is strictly equal to the one this was taken of; False proves nothing."""
        if type(value) not in _BRANCHES:
            return False
        meeting = _Meeting(self._frames, until)  # large texts are no matter here: what differs ends at the frame before
        return _dumped(value, meeting) and meeting.met == len(self._frames)


def same(a: Any, b: Any, until: float = _NEVER) -> bool:
    """True proves that the two are strictly equal; False proves nothing. Either may be an imprint already."""
    if isinstance(a, Imprint):
        return a.is_of(b, until)
    if isinstance(b, Imprint):
        return b.is_of(a, until)
    if type(a) is not type(b) or type(a) not in _BRANCHES or len(a) != len(b):
        return False
    imprint = Imprint.of(a, until=until)
    return imprint is not None and imprint.is_of(b, until)


def value_of(kept: Any) -> Any:
    """A value that may have been kept as its imprint."""
    return kept.value() if isinstance(kept, Imprint) else kept


def _dumped(value: Any, sink: _Taking | _Meeting, *, fast: bool = True) -> bool:
    """Whether the whole of `value` went into the sink."""
    pickler = _Pickler(sink, _PROTOCOL)
    pickler.fast = fast
    try:
        pickler.dump(value)
    except _NONE:
        return False
    return True


def _worth(value: Any) -> bool:
    """Whether it is a branch, and at first sight not one of large texts."""
    kind = type(value)
    if kind not in _BRANCHES:
        return False
    for child in islice(value.values() if kind is dict else value, _LOOK):  # noqa: SIM110 - a generator would cost twice as much
        if type(child) in _TEXTS and len(child) > _BIG:
            return False
    return True


class _Taking:
    """Keeps the frames (and the large texts, which come by themselves) that pickle writes."""

    __slots__ = ("_most", "_until", "frames", "size")

    def __init__(self, most: float, until: float) -> None:
        self.frames: list[bytes] = []
        self.size = 0
        self._most = most
        self._until = until

    def write(self, frame: bytes) -> None:
        self.size += len(frame)
        if len(frame) > 2 * _BIG or self.size > self._most:
            raise _Refused
        # A large bytearray comes as itself: its owner goes on editing it.
        self.frames.append(frame if type(frame) is bytes else bytes(frame))
        _in_time(frame, self._until)


class _Meeting:
    """Holds the frames that pickle writes against those of another value."""

    __slots__ = ("_frames", "_until", "met")

    def __init__(self, frames: list[bytes], until: float) -> None:
        self._frames = frames
        self.met = 0  # how many of them have met their like
        self._until = until

    def write(self, frame: bytes) -> None:
        if self.met == len(self._frames) or frame != self._frames[self.met]:
            raise _Refused
        self.met += 1
        _in_time(frame, self._until)


def _in_time(frame: bytes, until: float) -> None:
    if len(frame) >= _BIG and time.thread_time() > until:
        raise _Refused
