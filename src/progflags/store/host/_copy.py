"""
The copy: what the server has, in a SQLite file of this host, kept by whoever has read it from the server last.

Sixteen processes write into it ten times a second, so nothing waits for the disk. What a process leaves that is killed is whole all the
same; what a machine leaves that loses its power may not be, and is not read again: each boot has a file of its own.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from progflags._json import canonical
from progflags._trouble import swallow
from progflags.store._contract import Document
from progflags.store._sqlite import SQLiteStore
from progflags.store._sqlite_board import boot

__all__ = ["Copy"]


class Copy(SQLiteStore):
    """A SQLite store that makes no revisions of its own. Histories are not in it, and of a topic no row goes before all of them do."""

    _lives = math.inf

    @classmethod
    def of_this_boot(cls, folder: Path, name: str) -> Copy:
        """
        The one in `folder`, made when absent; those of earlier boots are removed.

        Raises:
            StoreError: it can't be used.
        """
        at = boot().replace("-", "")[:12]
        copy = cls(folder / f"{name}-{at}.db", durable=not at)  # a system that does not tell its boots apart gets one for good
        for old in folder.glob(f"{name}-*.db*"):
            if not old.name.startswith(f"{name}-{at}.db"):
                try:
                    old.unlink(missing_ok=True)
                except OSError as error:
                    swallow(f"sweeping {folder}", error)
        return copy

    def up(self) -> dict[tuple[str, str], tuple[int, float]]:
        """What is up on the board, by topic and worker: its number, and how many seconds old it is."""
        return self._board.up()

    def take_down(self, seconds: float) -> None:
        """The topics on which nobody put anything up for so long."""
        self._board.take_down(seconds)

    def keep(self, revision: int, documents: Mapping[str, Document], *, back: bool = False) -> None:
        """
        What the server had at `revision`, unless something newer lies here. `back`: even so, for the server has gone back.

        Raises:
            StoreError: it can't be written.
        """
        if back:
            self.accept()

        def put(connection: sqlite3.Connection) -> bool:
            if self._sealed(connection) >= revision and not back:
                return False
            there = dict(connection.execute("SELECT key, revision FROM documents").fetchall())
            for key in there.keys() - documents.keys():
                self._put(connection, key, revision, None)
            for key, document in documents.items():
                if there.get(key) != document.revision:
                    self._put(connection, key, document.revision, canonical(document.body))
            self._seal(connection, revision)
            return True

        if back:
            self._file.run(put, begin="IMMEDIATE")
            self.accept()  # whoever reads it next meets what lies there now
        elif self.revision() < revision and self._file.run(put, begin="IMMEDIATE"):
            self._file.noted(revision)
