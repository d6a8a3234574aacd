"""
Whether two trees of builtins are the same, at C speed: each is written out by pickle, and equal bytes are equal values.

Most comparisons end here. The bytes tell 1 from True from 1.0, a list from a tuple, b"" from bytearray(); an alias is written
as often as it occurs (`fast`), so it does not matter who else holds a string. (marshal is a little faster and gets both wrong:
its bytes depend on reference counts, and it writes an array as if it were a text.) Unequal bytes prove nothing: dicts in
another order, 0.0 and -0.0 are left to the walk.

A value that is no exact builtin is refused before any code of its class runs. The bytes come in frames of 64 KiB; at each the
budget is asked, and the first frame that differs ends it.
"""

from __future__ import annotations

import pickle
import time
from itertools import islice
from typing import Any, Final

__all__ = ["Imprint"]

_BRANCHES: Final[frozenset[type]] = frozenset({dict, list, tuple})
_TEXTS: Final[frozenset[type]] = frozenset({str, bytes})
_PROTOCOL: Final = 5  # framed: the bytes come in pieces, and bytearray has a code of its own
_BIG: Final = 1 << 16  # a text of this size pickle would copy; the walk compares it in place
_LOOK: Final = 16  # how many children are asked for their size beforehand
# Refused, cyclic, too deep, changed by its owner meanwhile: all of them mean that nothing is proved.
_UNPROVED: Final = (ValueError, TypeError, RuntimeError, MemoryError, OverflowError)


class _Refused(ValueError):  # noqa: N818 - an end, not an error
    """Not a builtin, not equal, or not worth the rest."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Asked about everything that is no exact builtin, before its class is."""
        raise _Refused(type(value).__qualname__)


class Imprint:
    """Compares by imprint until the thread's CPU time is `until`."""

    __slots__ = ("_frames", "_met", "_pickler", "_until")

    def __init__(self, until: float) -> None:
        self._until = until
        self._frames: list[bytes] = []
        self._met = -1  # how many frames of the second value met their like; −1: it is the first one's turn
        self._pickler: _Pickler | None = None

    def same(self, a: Any, b: Any) -> bool:
        """True proves that the two are strictly equal; False proves nothing."""
        kind = type(a)
        if kind not in _BRANCHES or kind is not type(b) or len(a) != len(b):
            return False
        if any(type(child) in _TEXTS and len(child) > _BIG for child in islice(a.values() if kind is dict else a, _LOOK)):
            return False
        try:
            return self._written(a, b)
        except _UNPROVED:
            self._pickler = None  # what an exception left it in is nobody's promise
            return False

    def _written(self, a: Any, b: Any) -> bool:
        pickler = self._pickler
        if pickler is None:
            pickler = self._pickler = _Pickler(self, _PROTOCOL)
            pickler.fast = True
        self._frames.clear()
        self._met = -1
        pickler.dump(a)
        self._met = 0
        pickler.dump(b)
        return self._met == len(self._frames)

    def write(self, frame: bytes) -> None:
        """A frame (or a large text, which comes by itself), from pickle."""
        met = self._met
        if met < 0:
            if len(frame) > 2 * _BIG:
                raise _Refused
            self._frames.append(frame)
        elif met < len(self._frames) and frame == self._frames[met]:
            self._met = met + 1
        else:
            raise _Refused
        if len(frame) >= _BIG and time.thread_time() > self._until:
            raise _Refused
