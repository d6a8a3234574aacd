"""
Annals: what the histories of definitions say of single flags: when each was first seen, and what became of it since.

A line names the flags that are other than before, where whoever wrote it knew what was before. A process that begins with a file
that has changed since does not, and a change to thousands names not all: such a line is blind, and all it says of a flag is that it
was there by then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from progflags._process import in_child
from progflags._trouble import swallow
from progflags.sources._defined import DEFINED, Changed
from progflags.sources._store import DOCUMENT
from progflags.store import Store

__all__ = ["Annals", "Seen"]

_KEPT: Final = 20  # changes of one flag that are remembered


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What is known of one flag's definition: at `at` (wall time) it was `added`, or else was there already. `changes`: when, and what
    became of it, the newest last, 20 at most; `blind`: when definitions last changed without a word about which flags.
    """

    at: float
    added: bool
    changes: tuple[tuple[float, str], ...] = ()
    blind: float = 0.0


class Annals:
    """Reads each line once: ask again, and only what was written since is read."""

    def __init__(self) -> None:
        self._read: dict[str, int] = {}  # by subject: lines
        self._of: dict[str, Seen] = {}
        self._blind = 0.0
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._reading = threading.Lock()

    def read(self, store: Store) -> None:
        """
        What the store has, of all sources; what of it can't be read is left out and said.

        Raises:
            StoreError: the store is out of reach; what was read is kept.
        """
        subjects = (DOCUMENT, *store.read(DEFINED)[1])
        with self._reading:
            if any(key not in subjects or not store.history(key, after=number - 1, limit=1) for key, number in self._read.items()):
                self._read, self._of, self._blind = {}, {}, 0.0  # the store has begun again
            for key in subjects:
                self._subject(store, key)

    def tell(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Lines, oldest first."""
        for body in bodies:
            self._line(body)

    def of(self, flag: str) -> Seen | None:
        """None: no history reaches it."""
        known = self._of.get(flag)
        if known is not None:
            return replace(known, blind=self._blind)
        return Seen(self._blind, False, (), self._blind) if self._blind else None

    def _subject(self, store: Store, key: str) -> None:
        while entries := store.history(key, after=self._read.get(key, 0)):
            for entry in entries:
                try:
                    self._line(entry.body)
                except (TypeError, ValueError, AttributeError) as error:
                    swallow(f"history of {key}", error)
                self._read[key] = entry.number

    def _line(self, body: Mapping[str, Any]) -> None:
        at, changed = float(body.get("at", 0.0)), Changed.of(body)
        if changed.more or not changed.flags or not body.get("before"):
            self._blind = max(self._blind, at)
        for flag, what in changed.flags.items():
            known = self._of.get(flag) or Seen(at if what == "added" else self._blind or at, what == "added")
            self._of[flag] = replace(known, changes=(*known.changes, (at, what))[-_KEPT:])
