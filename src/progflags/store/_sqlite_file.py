"""
One database file and this process' connection to it: opened late, used by one thread at a time, closed around a fork.

Why closed, and not merely forgotten by the child: SQLite keeps a table of the files a process has open, with the locks it
believes to hold. A child inherits the table and not the locks, and would trust them. So the parent lets go just before
it forks (others hold back; it waits a second for a running statement, no longer) and opens again at its next call, a
fraction of a millisecond. A child of a fork that could not wait so long refuses to use the store instead of risking the file.

A fork made in C announces itself to nobody. uWSGI's is foreseen: while it only prepares workers, nothing is left open between
two statements. Any other child finds a connection that is idle, or one in a statement. An idle one holds nothing that is being
written, and closing it takes SQLite's belief away with it (what it asks the system to unlock is the child's, who has no locks);
one in a statement is treated as above.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from progflags._chance import chance
from progflags._deadline import left, within
from progflags._process import in_child, look, preparing
from progflags.errors import ProgflagsError, StoreError, WentBackError
from progflags.store._sqlite_schema import Damage, prepare

__all__ = ["DatabaseFile"]

T = TypeVar("T")
Statement = Callable[[sqlite3.Connection], T]

_TRY = (0.0005, 0.003)  # seconds, at random, between two tries for a lock; SQLite's own wait would keep other threads out
_FORK = 1.0  # seconds a fork waits for a running statement: a commit takes a few milliseconds, a failing disk for ever


class DatabaseFile:
    """Runs functions on the connection, in a transaction or without, and says in our words what went wrong."""

    def __init__(self, path: str | os.PathLike[str], *, busy: float) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed: they may be swapped later
        self.url = f"sqlite:///{self.path.as_posix()}"
        self._busy = busy
        self._lock = threading.RLock()
        self._moved = threading.Condition(threading.Lock())
        self._connection: sqlite3.Connection | None = None
        self._opened_in = 0  # process
        self._identity: tuple[int, int] | None = None  # device and inode of the file that was opened
        self._new = True  # not opened yet: only then may a file be made
        self._highest = 0  # the highest revision this process has met; a store does not go back
        self._refusal = ""
        self._closed = False
        self.run(_nothing)
        _files.add(self)
        in_child(self)

    def run(self, statement: Statement[T], *, begin: str = "") -> T:
        """
        What `statement` returns, run in a transaction of that kind if any, again and again while another process writes.

        Raises:
            StoreError: in every other case than a ProgflagsError of the statement's own.
        """
        look()
        with within(self._busy):
            began = time.monotonic()
            until = began + left(self._busy)
            while True:
                if not _gate.is_set():  # somebody is about to fork: one statement is enough to wait for
                    _gate.wait(left(_FORK))
                try:
                    with self._held():
                        return self._guarded(lambda: self._once(statement, begin, until))
                except _BusyError as busy:
                    if time.monotonic() >= until:
                        waited = f"{time.monotonic() - began:.1f} s"
                        raise StoreError(f"{self.url} has been locked by another process for {waited}: try again") from busy
                    time.sleep(chance.uniform(*_TRY))

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lock, waited for no longer than anything else: whoever has it may be waiting for a disk that fails."""
        if not self._lock.acquire(timeout=left(self._busy)):
            raise StoreError(f"{self.url}: an earlier call of this process still waits for the disk, and the time is up: try again")
        try:
            yield
        finally:
            if self._closed or preparing():  # closed meanwhile, by somebody who did not wait
                self._let_go()
            self._lock.release()

    def pause(self, seconds: float) -> None:
        """Sleep that long, or until this process commits."""
        with self._moved:
            self._moved.wait(seconds)

    def met(self, revision: int) -> None:
        """Note a revision read from the file; refuse the file if it is older than what was there before."""
        if revision < self._highest:
            raise WentBackError(
                f"{self.url} went back from revision {self._highest} to {revision}: an older copy was put in its place;"
                " put the newer one back, or restart every program that uses it"
            )
        self._highest = revision

    def accept(self) -> None:
        """Take the file as it is for what it should be, although there once was more in it."""
        self._highest = 0

    def noted(self, revision: int) -> None:
        """Note a revision that was committed here, or once was."""
        self._highest = max(self._highest, revision)

    def close(self) -> None:
        """Let go of the file for good. Idempotent."""
        look()
        self._closed = True
        if self._lock.acquire(timeout=left(self._busy)):  # else whoever has it lets go of the file
            try:
                self._let_go()
            finally:
                self._lock.release()
        with self._moved:
            self._moved.notify_all()

    def after_fork(self) -> None:
        """In the child: a lock of its own. A connection that was in a statement at the fork is not closed here."""
        _new_gate()
        if self in _held:
            _held.remove(self)
        elif self._lock.acquire(blocking=self._opened_in == os.getpid()):
            self._let_go()
        else:
            _tainted.add(self._identity or _identify(self.path))
            _abandoned.append(self._connection)  # closing it would roll back what the parent is writing
            self._connection = None
        self._lock, self._moved = threading.RLock(), threading.Condition(threading.Lock())

    # What happens under the lock.

    def _once(self, statement: Statement[T], begin: str, until: float) -> T:
        connection = self._ready()
        if not begin:
            return statement(connection)
        connection.execute(f"BEGIN {begin}")
        try:
            result = statement(connection)
            _commit(connection, until)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if begin == "IMMEDIATE":
            with self._moved:
                self._moved.notify_all()
        return result

    def _ready(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{self.url} is closed: open it again")
        identity = _identify(self.path)
        if identity != self._identity:
            self._let_go()
            self._identity, self._refusal = identity, ""
        if identity is None and not self._new:
            raise StoreError(f"{self.url} is gone: put it back, or restart the program to begin with an empty one")
        if identity is not None and identity in _tainted:
            raise StoreError(f"{self.url} can't be used here: this process was forked during a statement that did not end; fork it again")
        if self._refusal:
            raise StoreError(self._refusal)
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise StoreError(f"{self.url}: the folder {self.path.parent} does not exist: make it, or name another")
        uri = f"{self.path.as_uri()}?mode={'rwc' if self._new else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            prepare(connection, self.url, create=self._new)
            self.met(connection.execute("SELECT revision FROM state").fetchone()[0])
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity, self._new = connection, _identify(self.path), False
        self._opened_in = os.getpid()
        return connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except sqlite3.Error as error:
            self._explain(error)
        except ProgflagsError:
            raise
        except UnicodeEncodeError:
            raise  # the caller's text is none; the file has nothing to do with it
        except (Damage, ValueError, TypeError) as damage:  # a row that is missing, or of another type, is damage as well
            self._refuse(str(damage), damage)
        except OSError as error:
            raise StoreError(f"{self.url} can't be reached: {error}") from error

    def _explain(self, error: sqlite3.Error) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            raise _BusyError(str(error)) from error
        if code not in _REMEDIES:  # corrupt, no database, no such table, a constraint broken by a torn index
            self._refuse(str(error), error)
        # After an I/O error the state of the connection's cache is anybody's guess: read everything anew next time.
        self._let_go()
        raise StoreError(f"{self.url}: {error}: {_REMEDIES[code]}") from error

    def _refuse(self, what: str, cause: Exception) -> NoReturn:
        self._let_go()
        self._refusal = (
            f"{self.url} is damaged ({what}); nothing more is read from it or written to it. Stop the programs that use it, move it"
            " aside with its -journal and -wal (keep them: `sqlite3 FILE .recover` may help), restore a copy or begin with an empty one"
        )
        raise StoreError(self._refusal) from cause


class _BusyError(Exception):
    """Another process holds the lock just now."""


_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space; the commit did not happen",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "check that the path is a file this user may read and write, in a folder it may write to",
    sqlite3.SQLITE_PERM: "make the file and its folder writable for this user",
    sqlite3.SQLITE_IOERR: "check the disk; the commit may or may not have happened",
    sqlite3.SQLITE_NOMEM: "free some memory; the commit did not happen",
    sqlite3.SQLITE_TOOBIG: "keep the document below a gigabyte",
}


def _nothing(_: sqlite3.Connection) -> None:
    """Enough to open the file, and to hear what is wrong with it."""


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat costs three times as much, a hundred times a second
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _commit(connection: sqlite3.Connection, until: float) -> None:
    """COMMIT, waiting for readers: what they hold is short, and a commit given up would have to be done all over."""
    while True:
        try:
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_TRY[0])
        else:
            return


# Around a fork.

_files: weakref.WeakSet[DatabaseFile] = weakref.WeakSet()
_held: list[DatabaseFile] = []


_gate = threading.Event()
_gate.set()


def _before_fork() -> None:
    _gate.clear()
    for file in tuple(_files):
        # In slices: to a process that was stopped in between, one long wait has passed before the statement's thread ran again.
        if any(file._lock.acquire(timeout=_FORK / 20) for _ in range(20)):
            file._let_go()
            _held.append(file)


def _in_parent() -> None:
    while _held:
        _held.pop()._lock.release()
    _gate.set()


def _new_gate() -> None:
    global _gate  # noqa: PLW0603 - renewed, for a thread that is not here may have been in it
    _gate = threading.Event()
    _gate.set()


_abandoned: list[sqlite3.Connection | None] = []
_tainted: set[tuple[int, int] | None] = set()  # files SQLite believes to have locked in this child

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    # The child too, though it may hold no file yet: the one it opens first must find the gate open.
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_new_gate)
