"""
The store in one SQLite file: what the processes of one host share.

Every commit is one IMMEDIATE transaction with `synchronous=FULL`: whole or not at all, on disk when it returns. Rows carry
checksums and the documents a seal, so that a damaged file is noticed instead of served; and a damaged, vanished or
foreign file is never written to, repaired or replaced by us. A person decides.

The journal. SQLite 3.7.0 to 3.51.2 can corrupt a database in WAL mode when two connections meet at a WAL reset (fixed in
3.51.3, 3.50.7 and 3.44.6), and Python 3.11 on a stable system finds such a version. So a new file gets WAL only where that is
fixed and a rollback journal elsewhere: slower by a fraction of a millisecond per commit, nothing a rollout could feel.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import ClassVar

from progflags._clock import SYSTEM, Clock
from progflags.store._contract import Board, Commit, Document, Entry
from progflags.store._sqlite_board import LIVES, SQLiteBoard
from progflags.store._sqlite_file import DatabaseFile
from progflags.store._sqlite_schema import Damage, body, row_sum, seal
from progflags.store._writing import REMEMBERED, conflict, texts

__all__ = ["SQLiteStore"]

_GONE = "trimmed: "  # before a subject, among the heads: the number of the last line that was cut from its history
_LOOK = 0.01  # seconds between two looks at the file while waiting; a look takes about 10 µs


class SQLiteStore:
    """
    A store in the file `path` (made when absent; its folder must exist). For one host: never put it on a network file system.

    `busy` is how many seconds a call waits at most, for another process' commit above all. `durable`: a commit is on disk when it
    returns; else it may be lost, and the file torn, when the machine loses its power. `clock` dates the Board's rows, and tells
    the store's time. One connection per process, used by one thread at a time; around a fork it is closed, and each side opens its own.
    """

    _lives: ClassVar[float] = LIVES

    def __init__(self, path: str | os.PathLike[str], *, busy: float = 2.0, durable: bool = True, clock: Clock = SYSTEM) -> None:
        self._file = DatabaseFile(path, busy=busy, durable=durable)
        self._board = SQLiteBoard(self._file, clock, self._lives)
        self._known: tuple[sqlite3.Connection, int, int] | None = None  # connection, its data_version, the revision then

    @property
    def url(self) -> str:
        return self._file.url

    @property
    def path(self) -> Path:
        """The database file."""
        return self._file.path

    @property
    def board(self) -> Board:
        return self._board

    def revision(self) -> int:
        return self._file.run(self._revision)

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        def look(connection: sqlite3.Connection) -> tuple[int, dict[str, Document]]:
            revision = self._sealed(connection)
            found = connection.execute(
                "SELECT key, revision, sum, body FROM documents WHERE substr(key, 1, ?) = ? ORDER BY key", (len(prefix), prefix)
            )
            return revision, {key: Document(key, at, body(key, at, total, text)) for key, at, total, text in found}

        return self._file.run(look, begin="DEFERRED")

    def commit(self, commit: Commit) -> int:
        writes, lines = texts(commit)

        def take(connection: sqlite3.Connection) -> int:
            if commit.id and (taken := connection.execute("SELECT revision FROM commits WHERE id = ?", (commit.id,)).fetchone()):
                return int(taken[0])
            at = "SELECT revision FROM documents WHERE key = ?"
            conflict(self.url, commit, {key: (connection.execute(at, (key,)).fetchone() or (0,))[0] for key in commit.expects})
            revision = self._sealed(connection) + 1
            for key, text in writes.items():
                self._put(connection, key, revision, text)
            for subject, text in lines:
                _append(connection, subject, revision, text)
            if commit.id:
                connection.execute("INSERT INTO commits (id, revision) VALUES (?, ?)", (commit.id, revision))
                connection.execute("DELETE FROM commits WHERE revision <= ?", (revision - REMEMBERED,))
            self._seal(connection, revision)
            return revision

        revision = self._file.run(take, begin="IMMEDIATE")
        self._file.noted(revision)
        return revision

    def wait(self, revision: int, timeout: float) -> int:
        until = time.monotonic() + timeout
        while (now := self.revision()) <= revision and (left := until - time.monotonic()) > 0:
            self._file.pause(min(_LOOK, left))
        return now

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        first, most = max(0, after), max(0, limit)

        def look(connection: sqlite3.Connection) -> tuple[Entry, ...]:
            found = connection.execute(
                "SELECT number, revision, sum, body FROM history WHERE subject = ? AND number > ? ORDER BY number LIMIT ?",
                (subject, first, most),
            ).fetchall()
            gone = _gone(connection, subject)
            expected = range(max(first, gone) + 1, min(_head(connection, subject), max(first, gone) + most) + 1)
            if [row[0] for row in found] != list(expected):
                raise Damage(f"an entry is missing from the history of {subject}")
            return tuple(Entry(subject, n, at, body(f"{subject}#{n}", at, total, text)) for n, at, total, text in found)

        return self._file.run(look, begin="DEFERRED")

    def trim(self, subject: str, through: int) -> int:
        def cut(connection: sqlite3.Connection) -> int:
            gone = max(_gone(connection, subject), min(through, _head(connection, subject) - 1))
            connection.execute("DELETE FROM history WHERE subject = ? AND number <= ?", (subject, gone))
            _note(connection, _GONE + subject, gone)
            return gone + 1

        return self._file.run(cut, begin="IMMEDIATE")

    def now(self) -> float:
        """This host's wall clock as it was at the first question since the machine started, and from there the clock that never jumps."""
        return self._board.now()

    def accept(self) -> None:
        """Go on with a file that went back, see `met`: whoever calls this has looked at what was lost."""
        self._file.accept()

    def close(self) -> None:
        self._file.close()

    def _revision(self, connection: sqlite3.Connection) -> int:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        known = self._known
        if known is not None and known[0] is connection and known[1] == version:
            return known[2]
        (revision,) = connection.execute("SELECT revision FROM state").fetchone()
        self._file.met(revision)
        self._known = (connection, version, revision)
        return int(revision)

    def _sealed(self, connection: sqlite3.Connection) -> int:
        """The revision, after a look whether the documents are the ones it was sealed with."""
        revision, sealed = connection.execute("SELECT revision, seal FROM state").fetchone()
        if sealed != seal(revision, connection.execute("SELECT sum FROM documents")):
            raise Damage("its documents do not match their seal")
        self._file.met(revision)
        return int(revision)

    def _seal(self, connection: sqlite3.Connection, revision: int) -> None:
        """What is written stands at `revision`."""
        sealed = seal(revision, connection.execute("SELECT sum FROM documents"))
        connection.execute("UPDATE state SET revision = ?, seal = ?", (revision, sealed))
        self._known = None  # data_version tells of others' commits, not of our own

    @staticmethod
    def _put(connection: sqlite3.Connection, key: str, revision: int, text: str | None) -> None:
        if text is None:
            connection.execute("DELETE FROM documents WHERE key = ?", (key,))
        else:
            row = (key, revision, row_sum(key, revision, text), text)
            connection.execute("INSERT OR REPLACE INTO documents (key, revision, sum, body) VALUES (?, ?, ?, ?)", row)


def _append(connection: sqlite3.Connection, subject: str, revision: int, text: str) -> None:
    number = _head(connection, subject) + 1
    row = (subject, number, revision, row_sum(f"{subject}#{number}", revision, text), text)
    connection.execute("INSERT INTO history (subject, number, revision, sum, body) VALUES (?, ?, ?, ?, ?)", row)
    _note(connection, subject, number)


def _note(connection: sqlite3.Connection, subject: str, number: int) -> None:
    head = (subject, number, row_sum(subject, number, ""))
    connection.execute("INSERT OR REPLACE INTO heads (subject, number, sum) VALUES (?, ?, ?)", head)


def _gone(connection: sqlite3.Connection, subject: str) -> int:
    """The number of the last line of a history that was cut from it; 0 where none was."""
    return _head(connection, _GONE + subject)


def _head(connection: sqlite3.Connection, subject: str) -> int:
    """The number of the last line of a history."""
    number, total = connection.execute("SELECT number, sum FROM heads WHERE subject = ?", (subject,)).fetchone() or (0, None)
    if total is not None and total != row_sum(subject, number, ""):
        raise Damage(f"the history of {subject} does not match its checksum")
    return int(number)
