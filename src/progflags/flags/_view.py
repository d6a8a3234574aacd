"""View: a client's answers, frozen."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from progflags.flags._model import Snapshot
from progflags.flags._overrides import Layer
from progflags.flags._overriding import Overriding
from progflags.flags._reader import Reader

__all__ = ["View"]


class View(Reader):
    """
    A client's answers frozen at one moment: the same methods, one revision.

    Used in a `with`, the client itself answers from it in this task or thread, so that code further down sees the same.
    """

    __slots__ = ("_open", "_overriding")

    def __init__(self, client: Reader, overriding: Overriding) -> None:
        super().__init__(client._now(), client._counters, stale=client._stale)
        self._overriding = overriding
        self._open: list[tuple[Layer, Any]] = []

    @property
    def definitions(self) -> Snapshot | None:
        """The definitions it answers from."""
        return self._ruleset.snapshot

    def __enter__(self) -> Self:
        layer = self._overriding.kept(self._ruleset)
        held = self._overriding.laid(layer)
        held.__enter__()
        self._open.append((layer, held))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Several threads or tasks may be in it at once: what ends is what this one began, whoever came in since.
        here = self._overriding.here
        own = next((at for at in reversed(range(len(self._open))) if self._open[at][0] is here), -1)
        self._open.pop(own)[1].__exit__(kind, error, trace)
