"""
One database file and this process' connection to it: opened late, used by one thread at a time, closed around a fork.

What a fork that announces itself means is told in `_sqlite_fork`. One made in C announces itself to nobody. uWSGI's is foreseen:
while it only prepares workers, nothing is left open between two statements. Any other child finds a connection that is idle, or
one in a statement. An idle one holds nothing that is being written, and closing it takes SQLite's belief away with it (what it
asks the system to unlock is the child's, who has no locks); one in a statement is treated as there.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from progflags._chance import chance
from progflags._deadline import left, within
from progflags._process import in_child, look, preparing
from progflags.errors import StoreError, WentBackError
from progflags.store._sqlite_faults import BusyError, Faults
from progflags.store._sqlite_fork import abandon, forget, hold_back, is_tainted, meet
from progflags.store._sqlite_schema import prepare

__all__ = ["DatabaseFile"]

T = TypeVar("T")
Statement = Callable[[sqlite3.Connection], T]

_TRY = (0.0005, 0.003)  # seconds, at random, between two tries for a lock; SQLite's own wait would keep other threads out


class DatabaseFile:
    """Runs functions on the connection, in a transaction or without, and says in our words what went wrong."""

    def __init__(self, path: str | os.PathLike[str], *, busy: float, durable: bool = True) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed: they may be swapped later
        self.url = f"sqlite:///{self.path.as_posix()}"
        self._busy = busy
        self._durable = durable
        self._lock = threading.RLock()
        self._moved = threading.Condition(threading.Lock())
        self._connection: sqlite3.Connection | None = None
        self._opened_in = 0  # process
        self._identity: tuple[int, int] | None = None  # device and inode of the file that was opened
        self._new = True  # not opened yet: only then may a file be made
        self._highest = 0  # the highest revision this process has met; a store does not go back
        self._faults = Faults(self.url, self._let_go)
        self._closed = False
        self.run(_nothing)
        meet(self)
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
                hold_back()
                try:
                    with self._held():
                        return self._faults.guarded(lambda: self._once(statement, begin, until))
                except BusyError as busy:
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
        if forget(self):
            pass  # the parent had let go of it
        elif self._lock.acquire(blocking=self._opened_in == os.getpid()):
            self._let_go()
        else:
            abandon(self._identity or _identify(self.path), self._connection)
            self._connection = None
        self._lock, self._moved = threading.RLock(), threading.Condition(threading.Lock())

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
            self._identity = identity
            self._faults.anew()
        if identity is None and not self._new:
            raise StoreError(f"{self.url} is gone: put it back, or restart the program to begin with an empty one")
        if is_tainted(identity):
            raise StoreError(f"{self.url} can't be used here: this process was forked during a statement that did not end; fork it again")
        self._faults.check()
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise StoreError(f"{self.url}: the folder {self.path.parent} does not exist: make it, or name another")
        uri = f"{self.path.as_uri()}?mode={'rwc' if self._new else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            prepare(connection, self.url, create=self._new, durable=self._durable)
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
