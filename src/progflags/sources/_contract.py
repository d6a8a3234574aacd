"""
From anywhere to a Snapshot: what a source gives, and what became of a look at it.

A source only fetches: pieces of text, cheap to compare with the last ones. `Loader` is the one place that thinks: it
merges the pieces, parses, guards against documents that lost something on the way, keeps the last known good, and
answers every look with a `Loaded`:

    loader = Loader(source_of("flags.toml"))     # a path, a dict, a Source, or a list of them, lowest layer first
    client.install(loader.first())               # raises DefinitionError: nothing can be served
    loaded = loader.load()                       # never raises; `loaded.snapshot` is what to install, if anything
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol, runtime_checkable

from progflags.errors import Problem
from progflags.flags import Snapshot
from progflags.store import Store

__all__ = ["Lively", "Loaded", "Piece", "Source"]


@dataclass(frozen=True, slots=True)
class Piece:
    """
    One file, dict or stored text as it was found; equal when nothing changed.

    `form` is `toml`, `json`, `yaml`, `env`, `data`, or empty for "look at it". `text` is what was read (of data: its canonical
    JSON, so that two can be compared). Of two layers the higher one wins; within one layer nothing may be said twice. `age` is
    how long (in seconds) nobody has touched it, where that can be asked: somebody may still be writing a young one.
    """

    file: str
    form: str
    text: bytes
    document: Mapping[str, Any] | None = None
    layer: int = 0
    age: float = field(default=inf, compare=False)


@runtime_checkable
class Source(Protocol):
    """
    Somewhere definitions come from. `read` does I/O, never blocks for long, and may be called from any thread.

    One that holds something open may have a `close`, which is called when the client is closed; a `read` after it opens it again.

        class Settings:
            name = "the table of settings"

            def read(self):
                return [Piece(self.name, "toml", settings["flags"].encode())]

        flags = pf.connect(Settings(), poll=30.0)
    """

    @property
    def name(self) -> str:
        """How a person would call it: the path as given, `<dict>`, a store's URL."""
        ...

    def read(self) -> Sequence[Piece]:
        """
        What is there now, lowest layer first, as of one moment.

        Raises:
            DefinitionError: it is not there, can't be read, or is too large; the problems say which and why.
            StoreError: the store it lives in is out of reach.
        """
        ...


@runtime_checkable
class Lively(Source, Protocol):
    """What a source may have besides: it brings the live state along, as a published snapshot does."""

    def brought(self, pieces: Sequence[Piece]) -> bool:
        """Whether these pieces of its own came with live state."""
        ...

    def live(self) -> Store | None:
        """
        The store of that live state, which can only be read; None: this time there are definitions alone.

        Raises:
            StoreError: nobody knows yet. Once this has returned it stays so.
        """
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What came of one look.

    `snapshot` is what to serve from now on, None when nothing is to be changed. `stale`: what is there now was refused or is
    gone, and the last known good serves on; `problems` says why. `saved_at` is set when the snapshot comes from the
    persisted last known good: the wall time at which it was written.
    """

    snapshot: Snapshot | None = None
    stale: bool = False
    problems: tuple[Problem, ...] = ()
    saved_at: float | None = None
