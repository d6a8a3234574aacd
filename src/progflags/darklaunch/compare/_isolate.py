"""
The copy of arguments and result that a shadow may touch.

Immutable values go as they are. A tree of builtins, the common case, is kept as its imprint: the caller pays for writing it
out at C speed, and a copy is made where the shadow runs, if it is needed at all. Other containers, dataclasses, attrs and
pydantic models and plain Python objects are copied field by field. Aliases and cycles stay what they were. What has no
honest copy (a lock, a file, a session, an iterator) is refused: the call is left out and counted, for a shadow that shares
such a thing could change the control's answer, and a comparison of a value its owner goes on editing is a wrong mismatch.
`share` names classes to hand over as they are.

Everything counts against a number of nodes or bytes, so a large argument costs the caller a bounded time and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final

from progflags._printed import quoted
from progflags.darklaunch.compare._copier import ATOMS, CONTAINERS, SMALL, Copier, NotIsolated
from progflags.darklaunch.compare._imprint import Imprint

__all__ = ["Given", "Isolator"]

PRINTED: Final = 512 << 10  # bytes of one imprint; they take the caller about as long as so many nodes

#: Arguments, isolated: (args, kwargs), or an imprint of them.
Given = tuple[tuple[Any, ...], dict[str, Any]] | Imprint


class Isolator:
    """How one experiment copies. `mode`: "auto" as described; "share" hands everything over; a function copies by itself."""

    __slots__ = ("_arguments", "_custom", "_results", "_share", "_shares_all")

    def __init__(self, mode: str | Callable[[Any], Any] = "auto", share: Iterable[type] = ()) -> None:
        if not callable(mode) and mode not in {"auto", "share"}:
            raise ValueError(f'isolate is "auto", "share" or a function that copies one value, not {quoted(mode)}')
        self._custom = mode if callable(mode) else None
        self._shares_all = mode == "share"
        self._share = tuple(share)
        prints = mode == "auto" and not any(kind.__module__ == "builtins" for kind in self._share)
        self._arguments = _Press(prints, aliases=True)
        self._results = _Press(prints)

    def copy(self, value: Any) -> Any:
        """
        A copy nobody else holds.

        Raises:
            NotIsolated: there is none, or it is too large.
        """
        return self.copied(value)[0]

    def kept(self, value: Any) -> tuple[Any, int]:
        """What a comparison needs of `value`: an Imprint of it, or as `copied`."""
        imprint = None if type(value) in ATOMS else self._results.print(value)
        return self.copied(value) if imprint is None else (imprint, imprint.size)

    def copied(self, value: Any) -> tuple[Any, int]:
        """The copy and roughly how many bytes it keeps alive. Raises as `copy` does."""
        if self._shares_all or type(value) in SMALL:
            return value, 0
        if self._custom is not None:
            return self._custom(value), 0
        copier = Copier(self._share)
        return copier.copy(value), copier.text + 64 * copier.nodes

    def spare(self, value: Any) -> Any:
        """A copy where one can be made, else the value itself: for functions that may edit what they only ought to read."""
        try:
            return self.copy(value)
        except NotIsolated:
            return value

    def reduced(self, value: Any, reduce: Callable[[Any], Any]) -> Any:
        """
        What `reduce` makes of `value`, which is the caller's: plain data is handed to it as a copy, a container of anything
        else as a copy of that container, the rest as it is.
        """
        kind = type(value)
        if self._shares_all or kind not in CONTAINERS:
            return reduce(value)
        imprint = Imprint.of(value, PRINTED)
        return reduce(copy(value) if imprint is None else imprint.value())

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Given, int]:
        """Both isolated as one, so that a list given twice stays one list; and their size. Raises as `copy` does."""
        if not kwargs and SMALL.issuperset(map(type, args)):
            return (args, kwargs), 64
        imprint = self._arguments.print((args, kwargs))
        return self.copied((args, kwargs)) if imprint is None else (imprint, imprint.size)

    def fresh(self, given: Given, *, last: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments for one run. `last`: nobody will read them as they were after it."""
        if isinstance(given, Imprint):
            args, kwargs = given.value()
        else:
            args, kwargs = given if last else self.copy(given)
        return args, kwargs


_RARELY: Final = 10  # misses in a row after which one value in 2^10 is tried


class _Press:
    """Takes imprints, and tries less and less often where there are none: a large text is found only by having been written out."""

    __slots__ = ("_aliases", "_misses", "_prints", "_skip")

    def __init__(self, prints: bool, *, aliases: bool = False) -> None:
        self._prints = prints
        self._aliases = aliases
        self._misses = 0
        self._skip = 0

    def print(self, value: Any) -> Imprint | None:
        if not self._prints:
            return None
        if self._skip > 0:
            self._skip -= 1
            return None
        imprint = Imprint.of(value, PRINTED, aliases=self._aliases)
        if imprint is None:
            self._misses = min(self._misses + 1, _RARELY)
            self._skip = 2**self._misses
        else:
            self._misses = 0
        return imprint
