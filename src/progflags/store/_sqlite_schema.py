"""
The tables of the SQLite store, and how a file is found to be ours, whole, and of a version we know.

`sum` is a CRC-32 over a row's key, revision and body; `seal` in `state` is one over the revision and every document's sum;
`heads` has the number of each history's last line. A flipped bit, a row that vanished, a page of an older copy: each breaks
one of the three.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from typing import Any

from progflags._json import loads
from progflags.errors import StoreError

__all__ = ["Damage", "body", "journal_for", "prepare", "row_sum", "seal"]

_APPLICATION = 0x70664C67  # "pfLg", in the file's header: whose database this is
_VERSION = 1  # of these tables; a newer one is refused, an older one would be migrated here in one transaction

_TABLES = (  # without row ids: one tree per table, so that no torn index can hide a row that a scan would find
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, seal INTEGER NOT NULL)",
    """CREATE TABLE documents (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, sum INTEGER NOT NULL, body TEXT NOT NULL)
       WITHOUT ROWID""",
    """CREATE TABLE history (subject TEXT NOT NULL, number INTEGER NOT NULL, revision INTEGER NOT NULL, sum INTEGER NOT NULL,
       body TEXT NOT NULL, PRIMARY KEY (subject, number)) WITHOUT ROWID""",
    "CREATE TABLE heads (subject TEXT PRIMARY KEY, number INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE commits (id TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX commits_by_age ON commits (revision)",
    """CREATE TABLE board (topic TEXT NOT NULL, worker TEXT NOT NULL, seq INTEGER NOT NULL, boot TEXT NOT NULL, monotonic REAL NOT NULL,
       wall REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (topic, worker)) WITHOUT ROWID""",
)


class Damage(Exception):  # noqa: N818 - never leaves the room: the store turns it into a StoreError
    """The file is not what was written."""


def row_sum(key: str, revision: int, text: str) -> int:
    """The checksum kept beside a row."""
    return zlib.crc32(f"{key}\0{revision}\0{text}".encode("utf-8", "surrogatepass"))


def seal(revision: int, sums: Iterable[tuple[int]]) -> int:
    """One number for the revision and all documents, in any order."""
    total = zlib.crc32(str(revision).encode())
    for (one,) in sums:
        total ^= one
    return total


def body(key: str, revision: int, total: int, text: str) -> Any:
    """
    The JSON of a row, if it is the JSON that was written.

    Raises:
        Damage: its sum says otherwise.
    """
    if not isinstance(text, str) or row_sum(key, revision, text) != total:
        raise Damage(f"the row of {key} does not match its checksum")
    return loads(text)


def journal_for(version: tuple[int, int, int]) -> str:
    """The journal a new file gets from this version of SQLite: `wal` where the WAL-reset bug is fixed, else `delete`."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    return "wal" if fixed else "delete"


def prepare(connection: sqlite3.Connection, url: str, *, create: bool, durable: bool = True) -> None:
    """
    Make the connection ours: settings, tables (only when `create`, only in an empty file), a check of the whole file. Commits wait for
    the disk if they are to be `durable`.

    Raises:
        Damage: the file is torn.
        StoreError: it is another program's, or a newer progflags', or is empty and should not be.
        sqlite3.Error: what SQLite could not do.
    """
    for pragma in (f"synchronous={'FULL' if durable else 'OFF'}", "trusted_schema=OFF", "cell_size_check=ON", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    if _is_empty(connection):
        if not create:
            raise StoreError(f"{url} is empty, and was not before: restore it, or restart the program to begin anew")
        _set_journal(connection, journal_for(sqlite3.sqlite_version_info), url)
        _create(connection)
    (application,), (version,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    if application != _APPLICATION:
        raise StoreError(f"{url} is another program's database: give progflags a file of its own")
    if version > _VERSION:
        raise StoreError(f"{url} was written by a newer progflags (tables {version}, known here {_VERSION}): upgrade this one")
    if journal_for(sqlite3.sqlite_version_info) != "wal":
        _set_journal(connection, "delete", url)
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Damage(" ".join(str(verdict).split()))


def _is_empty(connection: sqlite3.Connection) -> bool:
    return (
        not connection.execute("PRAGMA application_id").fetchone()[0] and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(connection):  # else another process was here between our look and our lock
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO state VALUES (1, 0, ?)", (seal(0, ()),))
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _set_journal(connection: sqlite3.Connection, mode: str, url: str) -> None:
    (now,) = connection.execute("PRAGMA journal_mode").fetchone()
    if now != mode:
        (now,) = connection.execute(f"PRAGMA journal_mode={mode}").fetchone()
    if now != mode:
        raise StoreError(
            f"{url} has a {now} journal and would not change it to {mode}, which SQLite {sqlite3.sqlite_version} needs to be safe:"
            " stop the other programs that have it open"
        )
