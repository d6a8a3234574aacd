"""Overriding: which of a client's answers are overridden, for the task or thread that asks, or for the whole process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from progflags._process import look
from progflags.flags._overrides import Layer, layers, resolve_pins
from progflags.flags.serving import Ruleset, Workshop

__all__ = ["Overriding"]


class Overriding:
    """
    One client's. `swap(more)` is the client's: under its lock, so many more layers are in use than before, and what serves is
    chosen anew.
    """

    __slots__ = ("_made", "_swap", "_token", "active", "everywhere", "workshop")

    def __init__(self, workshop: Workshop, swap: Callable[[int], None]) -> None:
        self.workshop = workshop
        self.active = 0  # layers in use in any task or thread
        self.everywhere: Mapping[str, str] = {}
        self._swap = swap
        self._token = object()
        self._made: Layer | None = None  # of `everywhere`

    @property
    def used(self) -> bool:
        """Whether anybody's answers are overridden; while nobody's are, none of this is asked."""
        return bool(self.active or self.everywhere)

    @property
    def here(self) -> Layer | None:
        """The layer of this task or thread."""
        return (layers.get() or {}).get(self._token)

    def over(self, base: Ruleset) -> Ruleset:
        """What answers here, where `base` would without overrides."""
        layer = self.here
        if layer is not None:
            return layer.over(base)
        if not self.everywhere:
            return base
        made = self._made
        if made is None:
            made = self._made = Layer(self.everywhere, self.workshop)
        return made.over(base)

    @contextmanager
    def pinned(self, pins: Mapping[str, Any], base: Ruleset) -> Iterator[None]:
        """These pins as well as those there are here, until the block ends."""
        here, snapshot = self.here, self.over(base).snapshot
        resolved = resolve_pins(pins, {} if snapshot is None else snapshot.flags)
        outer = self.everywhere if here is None else here.pins
        with self.laid(Layer({**outer, **resolved}, self.workshop, None if here is None else here.base)):
            yield

    def kept(self, ruleset: Ruleset) -> Layer:
        """The layer that answers from this ruleset whatever is loaded, under the pins there are here."""
        here = self.here
        return Layer({} if here is None else here.pins, self.workshop, ruleset)

    @contextmanager
    def laid(self, layer: Layer) -> Iterator[None]:
        look()
        self._swap(1)
        token = layers.set({**(layers.get() or {}), self._token: layer})
        try:
            yield
        finally:
            with suppress(ValueError):  # left in another context than it was entered in: nothing to put back
                layers.reset(token)
            self._swap(-1)

    def pin_everywhere(self, pins: Mapping[str, str]) -> None:
        """For the whole process, in place of what was pinned so before. Under the client's lock."""
        self.everywhere, self._made = pins, None
