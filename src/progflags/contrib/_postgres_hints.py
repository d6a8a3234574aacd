"""
What others commit, as PostgreSQL tells it: LISTEN on the store's one connection, which statements go on to use.

Whoever waits watches the connection's socket without holding it. An answer to a statement of another thread wakes it for nothing; it
finds no hint then, and waits on. A hint that came with such an answer was read by that thread, which rings.
"""

from __future__ import annotations

import time
from typing import Any, Final

from psycopg.sql import SQL, Identifier

from progflags.contrib._postgres_connection import Connection
from progflags.contrib._postgres_sql import channel_of
from progflags.store import Bell

__all__ = ["Hints"]

_POOLED: Final = "a pooler stands between, and another session may be ours with every transaction: connect to the server itself for hints"


class Hints:
    """Of one namespace. `deaf`: why none can be had, empty where they can."""

    def __init__(self, server: Connection, namespace: str) -> None:
        self._server = server
        self._channel = Identifier(channel_of(namespace))
        self._listening = False
        self._bell = Bell()
        self._roused = False
        self._heard = False  # set by whichever thread's statement brings a hint along
        self.deaf = ""

    def wait(self, timeout: float) -> bool:
        """
        See `progflags.store.Hinting`.

        Raises:
            StoreError: the server is out of reach.
        """
        if not self._listening:
            self._server.opened = self._opened
            self._server.run(lambda cursor: self._opened(cursor.connection))
            self._listening = True
        until = time.monotonic() + timeout
        while not self._heard and not self._roused and (left := until - time.monotonic()) > 0:
            socket = self._server.socket
            # Rung, it may be for a hint that the wait before this one has told of already: then there is none, and it goes on.
            if (socket is None or self._bell.wait(socket, left)) and self._server.run(_take_in):
                self._heard = True
        heard, self._heard, self._roused = self._heard, False, False
        return heard

    def rouse(self) -> None:
        """End the wait now, whoever is in it."""
        self._roused = True
        self._bell.ring()

    def close(self) -> None:
        """Let go of what waiting needs."""
        self.rouse()
        self._bell.close()

    def _opened(self, connection: Any) -> None:
        """A pooler tells its clients of a backend that is none: its own number, not that of the session behind it."""
        row = connection.execute(SQL("SELECT pg_backend_pid()")).fetchone()
        self.deaf = "" if row[0] == connection.info.backend_pid else _POOLED
        self._heard = True
        connection.add_notify_handler(self._on_notify)
        if not self.deaf:
            connection.execute(SQL("LISTEN {}").format(self._channel))

    def _on_notify(self, _: object) -> None:
        self._heard = True
        self._bell.ring()


def _take_in(cursor: Any) -> bool:
    """Whether the server has sent something by itself."""
    pgconn, heard = cursor.connection.pgconn, False
    pgconn.consume_input()
    while pgconn.notifies() is not None:
        heard = True
    return heard
