"""What goes wrong with a SQLite file, in our words: whose fault it is, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from progflags.errors import ProgflagsError, StoreError
from progflags.store._sqlite_schema import Damage

__all__ = ["BusyError", "Faults"]

T = TypeVar("T")

_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_REMEDIES: Final = {
    sqlite3.SQLITE_FULL: "free some space; the commit did not happen",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "check that the path is a file this user may read and write, in a folder it may write to",
    sqlite3.SQLITE_PERM: "make the file and its folder writable for this user",
    sqlite3.SQLITE_IOERR: "check the disk; the commit may or may not have happened",
    sqlite3.SQLITE_NOMEM: "free some memory; the commit did not happen",
    sqlite3.SQLITE_TOOBIG: "keep the document below a gigabyte",
}


class BusyError(Exception):
    """Another process holds the lock just now."""


class Faults:
    """
    Of the file at `url`. `let_go` closes the connection.

    A file that is damaged stays refused until another lies in its place (`anew`): nothing more is read from it or written to it.
    """

    def __init__(self, url: str, let_go: Callable[[], object]) -> None:
        self._url = url
        self._let_go = let_go
        self._refusal = ""

    def anew(self) -> None:
        """Another file lies there."""
        self._refusal = ""

    def check(self) -> None:
        """Raises StoreError where the file is damaged."""
        if self._refusal:
            raise StoreError(self._refusal)

    def guarded(self, act: Callable[[], T]) -> T:
        """
        What `act` returns.

        Raises:
            BusyError: another process holds the lock just now.
            StoreError: what else is wrong with the file, and a ProgflagsError of the act's own as it is.
        """
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
            raise StoreError(f"{self._url} can't be reached: {error}") from error

    def _explain(self, error: sqlite3.Error) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            raise BusyError(str(error)) from error
        if code not in _REMEDIES:  # corrupt, no database, no such table, a constraint broken by a torn index
            self._refuse(str(error), error)
        # After an I/O error the state of the connection's cache is anybody's guess: read everything anew next time.
        self._let_go()
        raise StoreError(f"{self._url}: {error}: {_REMEDIES[code]}") from error

    def _refuse(self, what: str, cause: Exception) -> NoReturn:
        self._let_go()
        self._refusal = (
            f"{self._url} is damaged ({what}); nothing more is read from it or written to it. Stop the programs that use it, move it"
            " aside with its -journal and -wal (keep them: `sqlite3 FILE .recover` may help), restore a copy or begin with an empty one"
        )
        raise StoreError(self._refusal) from cause
