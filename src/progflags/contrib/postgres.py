"""
The store in PostgreSQL: `postgresql://host/database`; for many hosts, and the one to prefer when there is a choice.

Install `progflags[postgres]`. A commit is one transaction that holds the row of its namespace (`?namespace=`, else
`progflags`), so commits come one after another and each sees the last; it is sent as one message, so none waits for a client.
The tables `progflags_*` are made when absent; a role that may only read and write rows is enough once they are there
(`progflags store tables` prints them). Its
one connection LISTENs to what others commit. Nothing depends on that: behind PgBouncer in transaction mode, where it can't, the
store is looked at more often. Point it at the primary: a replica answers with the past.
"""

from __future__ import annotations

from typing import Any

from progflags._clock import SYSTEM, Clock
from progflags._deadline import left
from progflags._process import in_child
from progflags.errors import StoreError, missing
from progflags.store import Commit, Document, Entry, Row, ServerStore, conflict

try:
    import psycopg
    import psycopg.errors
except ImportError as error:
    raise missing(error, "psycopg", "psycopg", "postgres") from error

from progflags.contrib._postgres_connection import Connection
from progflags.contrib._postgres_hints import Hints
from progflags.contrib._postgres_sql import Message, limited_to
from progflags.contrib._postgres_tables import TABLES, VERSION

__all__ = ["PostgresStore"]


class PostgresStore(ServerStore):
    """
    A store in the database that `url` names. `timeout` is how many seconds a call may take as a whole, the wait for a lock included.

        store = PostgresStore("postgresql://shop@db.example.com/shop", timeout=1.0)
        flags = pf.connect("flags.toml", store=store)
    """

    _went_back = "it was restored, or this is a replica"

    def __init__(self, url: str, *, timeout: float = 2.0, clock: Clock = SYSTEM) -> None:  # noqa: ARG002 - the server's clock counts
        super().__init__(url)
        self._timeout = timeout
        self._server = Connection(self._address, self.url, timeout, self._prepare)
        self._board = _PostgresBoard(self)
        self._hints = Hints(self._server, self._namespace)
        in_child(self)
        try:
            self._server.run(bool)
        except BaseException:
            self.close()
            raise

    def after_fork(self) -> None:
        """The parent's connection is the parent's."""
        self._server.after_fork()

    def revision(self) -> int:
        before = self._highest
        return self._met(
            self._server.run(lambda cursor: self._one(cursor, "SELECT revision FROM progflags_state WHERE namespace = %s")), before
        )

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        query = """SELECT s.revision, d.key, d.revision, d.body FROM progflags_state s
                   LEFT JOIN progflags_documents d ON d.namespace = s.namespace AND starts_with(d.key, %s)
                   WHERE s.namespace = %s ORDER BY d.key"""  # one statement, one moment
        before = self._highest
        rows = self._server.run(lambda cursor: cursor.execute(query, (prefix, self._namespace)).fetchall())
        found = {key: Document(key, at, self._body(text)) for _, key, at, text in rows if key is not None}
        return self._met(rows[0][0] if rows else 0, before), found

    def commit(self, commit: Commit) -> int:
        """
        See Store. It goes to the server as one message that begins and ends the transaction: a writer that is frozen, whenever that
        happens, has either not begun or is done without it.
        """
        message = Message(self._namespace, commit, before := self._highest)
        there, taken, found, done = self._server.run(lambda cursor: self._take(cursor, message))
        if taken is not None:
            return int(taken)
        if done is None:
            self._met(there, before)
            conflict(self.url, commit, found)
            raise StoreError(f"{self.url} did not take a commit and does not say why: read again and decide again")
        self._highest = max(self._highest, int(done))
        return int(done)

    def _take(self, cursor: Any, message: Message) -> tuple[int, Any, dict[str, int], Any]:
        """What the state was, what this id got if it was taken before, the revisions of what was expected, and the new revision."""
        try:
            cursor.execute(message.composed(_limits(left(self._timeout))))
            rows = []
            while True:
                rows.append(cursor.fetchall() if cursor.description else [])
                if not cursor.nextset():
                    break
        except psycopg.Error:
            self._server.roll_back()
            raise
        there, taken, found, done = rows[3:7]
        return (
            int(there[0][0]) if there else 0,
            taken[0][0] if taken else None,
            {key: int(at) for key, at in found},
            done[0][0] if done else None,
        )

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        query = """SELECT number, revision, body FROM progflags_history WHERE namespace = %s AND subject = %s AND number > %s
                   ORDER BY number LIMIT %s"""
        values = (self._namespace, subject, max(0, after), max(0, limit))
        rows = self._server.run(lambda cursor: cursor.execute(query, values).fetchall())
        return tuple(Entry(subject, number, at, self._body(text)) for number, at, text in rows)

    def trim(self, subject: str, through: int) -> int:
        gone = """DELETE FROM progflags_history WHERE namespace = %s AND subject = %s AND number <= %s
                  AND number < (SELECT max(number) FROM progflags_history WHERE namespace = %s AND subject = %s)"""
        which = (self._namespace, subject)

        def cut(cursor: Any) -> int:
            cursor.execute(gone, (*which, through, *which))
            first = cursor.execute("SELECT min(number) FROM progflags_history WHERE namespace = %s AND subject = %s", which).fetchone()[0]
            return 1 if first is None else int(first)

        return self._server.run(cut)

    def now(self) -> float:
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        return float(self._server.run(lambda cursor: cursor.execute(query).fetchone()[0]))

    @property
    def deaf(self) -> str:
        return self._hints.deaf

    def hint(self, timeout: float) -> bool:
        return self._hints.wait(timeout)

    def rouse(self) -> None:
        """End the wait for a hint now."""
        self._hints.rouse()

    def close(self) -> None:
        self._server.close()
        self._hints.close()

    def _prepare(self, cursor: Any) -> None:
        """The tables and our row in them, made where they are absent, and looked at only where they are not: a server may be read-only."""
        cursor.execute(limited_to(_limits(left(self._timeout))))
        if self._one(cursor, "SELECT to_regclass('progflags_board')::text WHERE %s <> ''", default=None) is None:
            self._make(cursor)
        version = self._one(cursor, "SELECT version FROM progflags_state WHERE namespace = %s", default=None)
        if version is None:
            cursor.execute("INSERT INTO progflags_state VALUES (%s, %s, 0) ON CONFLICT DO NOTHING", (self._namespace, VERSION))
            version = self._one(cursor, "SELECT version FROM progflags_state WHERE namespace = %s")
        if version > VERSION:
            raise StoreError(f"{self.url} was written by a newer progflags (tables {version}, known here {VERSION}): upgrade this one")

    def _make(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('progflags'))")  # two programs making the tables at once
        try:
            cursor.execute(TABLES)
        except psycopg.errors.InsufficientPrivilege as error:
            what = "has no tables of progflags, and this role may not make them"
            raise StoreError(f"{self.url} {what}: let the owner run what `progflags store tables` prints") from error

    def _one(self, cursor: Any, query: str, *values: Any, default: Any = 0) -> Any:
        row = cursor.execute(query, (self._namespace, *values)).fetchone()
        return default if row is None else row[0]


def _limits(seconds: float) -> int:
    """Milliseconds that the server may take: it gives up a little before we do, which leaves the connection usable."""
    return max(50, round(seconds * 900))


class _PostgresBoard:
    """One row per topic and worker, in a table that a crash of the server may empty: the next window comes in seconds."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> int:
        query = """WITH put AS (INSERT INTO progflags_board AS b VALUES (%s, %s, %s, %s, clock_timestamp(), %s)
                   ON CONFLICT (namespace, topic, worker) DO UPDATE SET seq = excluded.seq, at = excluded.at, body = excluded.body
                   WHERE excluded.seq > b.seq) SELECT revision FROM progflags_state WHERE namespace = %s"""
        store = self._store
        before = store._highest
        values = (store._namespace, topic, worker, seq, bytes(body), store._namespace)
        row = store._server.run(lambda cursor: cursor.execute(query, values).fetchone())
        return store._met(0 if row is None else row[0], before)

    def collect(self, topic: str) -> tuple[Row, ...]:
        query = """SELECT worker, seq, body, greatest(0, extract(epoch FROM clock_timestamp() - at))::float8 FROM progflags_board
                   WHERE namespace = %s AND topic = %s ORDER BY worker"""
        store = self._store
        rows = store._server.run(lambda cursor: cursor.execute(query, (store._namespace, topic)).fetchall())
        return tuple(Row(worker, seq, bytes(body), age) for worker, seq, body, age in rows)

    def clear(self, topic: str) -> None:
        query = """DELETE FROM progflags_board WHERE namespace = %s
                   AND (topic = %s OR at < clock_timestamp() - interval '1 day')"""  # what who died in between has left for good
        store = self._store
        store._server.run(lambda cursor: cursor.execute(query, (store._namespace, topic)))
