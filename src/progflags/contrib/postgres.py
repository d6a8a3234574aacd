"""
The store in PostgreSQL: `postgresql://host/database`; for many hosts, and the one to prefer when there is a choice.

Install `progflags[postgres]`. A commit is one transaction that holds the row of its namespace (`?namespace=`, else
`progflags`), so commits come one after another and each sees the last. The tables `progflags_*` are made when absent; a
role that may only read and write rows is enough once they are there. It needs no session state: PgBouncer in
transaction mode is fine, and there is nothing to LISTEN to, a look at the revision costs a tenth of a millisecond.
Point it at the primary: a replica answers with the past.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar
from uuid import uuid4

from progflags._clock import SYSTEM, Clock
from progflags._fork import in_child
from progflags.errors import MissingExtraError, StoreError
from progflags.store import Commit, Document, Entry, Row
from progflags.store._server import ServerStore
from progflags.store._writing import REMEMBERED, conflict, texts

try:
    import psycopg
    import psycopg.conninfo
except ImportError:
    raise MissingExtraError("psycopg", "postgres") from None

__all__ = ["PostgresStore"]

T = TypeVar("T")

_VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS progflags_state (namespace text PRIMARY KEY, version int NOT NULL, revision bigint NOT NULL);
CREATE TABLE IF NOT EXISTS progflags_documents (namespace text, key text COLLATE "C", revision bigint NOT NULL, body text NOT NULL,
  PRIMARY KEY (namespace, key));
CREATE TABLE IF NOT EXISTS progflags_history (namespace text, subject text COLLATE "C", number bigint, revision bigint NOT NULL,
  body text NOT NULL, PRIMARY KEY (namespace, subject, number));
CREATE TABLE IF NOT EXISTS progflags_commits (namespace text, id text COLLATE "C", revision bigint NOT NULL, PRIMARY KEY (namespace, id));
CREATE INDEX IF NOT EXISTS progflags_commits_by_age ON progflags_commits (namespace, revision);
CREATE UNLOGGED TABLE IF NOT EXISTS progflags_board (namespace text, topic text COLLATE "C", worker text COLLATE "C", seq bigint NOT NULL,
  at timestamptz NOT NULL, body bytea NOT NULL, PRIMARY KEY (namespace, topic, worker));
"""


class PostgresStore(ServerStore):
    """A store in the database that `url` names. `timeout` is how many seconds one statement, or the wait for a lock, may take."""

    _went_back = "it was restored, or this is a replica"

    def __init__(self, url: str, *, timeout: float = 5.0, clock: Clock = SYSTEM) -> None:  # noqa: ARG002 - the server's clock counts
        super().__init__(url)
        self._timeout = timeout
        self._connection: Any = None
        self._abandoned: list[Any] = []
        self._lock = threading.RLock()
        self._board = _PostgresBoard(self)
        in_child(self)
        try:
            self._run(self._prepare, whole=True)
        except BaseException:
            self.close()
            raise

    def after_fork(self) -> None:
        """The parent's connection is the parent's: not even closed here, for that would end its session."""
        self._abandoned.append(self._connection)
        self._connection, self._lock = None, threading.RLock()

    def revision(self) -> int:
        before = self._highest
        return self._met(self._run(lambda cursor: self._one(cursor, "SELECT revision FROM progflags_state WHERE namespace = %s")), before)

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        query = """SELECT s.revision, d.key, d.revision, d.body FROM progflags_state s
                   LEFT JOIN progflags_documents d ON d.namespace = s.namespace AND starts_with(d.key, %s)
                   WHERE s.namespace = %s ORDER BY d.key"""  # one statement, one moment
        before = self._highest
        rows = self._run(lambda cursor: cursor.execute(query, (prefix, self._namespace)).fetchall())
        found = {key: Document(key, at, self._body(text)) for _, key, at, text in rows if key is not None}
        return self._met(rows[0][0] if rows else 0, before), found

    def commit(self, commit: Commit) -> int:
        writes, lines = texts(commit)
        id_ = commit.id or uuid4().hex  # an id always: a lost connection is tried again

        def take(cursor: Any) -> int:
            cursor.execute("SELECT revision FROM progflags_state WHERE namespace = %s FOR UPDATE", (self._namespace,))
            there = cursor.fetchone()
            taken = self._one(cursor, "SELECT revision FROM progflags_commits WHERE namespace = %s AND id = %s", id_, default=None)
            if taken is not None:
                return int(taken)
            query = "SELECT key, revision FROM progflags_documents WHERE namespace = %s AND key = ANY(%s)"
            conflict(self.url, commit, dict(cursor.execute(query, (self._namespace, list(commit.expects))).fetchall()))
            revision = self._met(there[0] if there else 0, self._highest) + 1
            cursor.execute("UPDATE progflags_state SET revision = %s WHERE namespace = %s", (revision, self._namespace))
            for key, text in writes.items():
                self._put(cursor, key, revision, text)
            for subject, text in lines:
                self._append(cursor, subject, revision, text)
            cursor.execute("INSERT INTO progflags_commits VALUES (%s, %s, %s)", (self._namespace, id_, revision))
            forget = "DELETE FROM progflags_commits WHERE namespace = %s AND revision <= %s"
            cursor.execute(forget, (self._namespace, revision - REMEMBERED))
            return revision

        revision = self._run(take, whole=True)
        self._highest = max(self._highest, revision)
        return revision

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        query = """SELECT number, revision, body FROM progflags_history WHERE namespace = %s AND subject = %s AND number > %s
                   ORDER BY number LIMIT %s"""
        values = (self._namespace, subject, max(0, after), max(0, limit))
        rows = self._run(lambda cursor: cursor.execute(query, values).fetchall())
        return tuple(Entry(subject, number, at, self._body(text)) for number, at, text in rows)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._let_go()

    # Talking to the server.

    def _run(self, act: Callable[[Any], T], *, whole: bool = False) -> T:
        """What `act` returns, in one transaction if `whole`; once more on a new connection if the one it had turns out broken."""
        with self._lock:
            if self._closed:
                raise StoreError(f"{self.url} is closed: open it again")
            try:
                if self._connection is not None:
                    try:
                        return self._once(act, whole)
                    except psycopg.OperationalError:
                        if not self._connection.broken:
                            raise
                        self._let_go()
                return self._once(act, whole)
            except psycopg.Error as error:
                if self._connection is not None and self._connection.broken:
                    self._let_go()
                what, remedy = " ".join(str(error).split()), "see that the server is up and lets us in"
                raise StoreError(f"{self.url} can't be used: {type(error).__name__}: {what}: {remedy}") from error

    def _once(self, act: Callable[[Any], T], whole: bool) -> T:
        connection = self._connection = self._connection or self._connect()
        with connection.cursor() as cursor:
            if not whole:
                return act(cursor)
            with connection.transaction():
                limit = f"{round(self._timeout * 1000)}ms"
                cursor.execute("SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)", (limit, limit))
                return act(cursor)

    def _connect(self) -> Any:
        # No prepared statements: behind PgBouncer the next one may meet another session. A silent server is given up by TCP.
        patience = {"connect_timeout": max(2, round(self._timeout)), "tcp_user_timeout": round(self._timeout * 1000)}
        address = psycopg.conninfo.make_conninfo(self._address, application_name="progflags", **patience)
        connection = _Impatient.connect(address, prepare_threshold=None, autocommit=True)
        # Whatever this role's or database's default is: under a stricter level the loser of a race meets an error, not a conflict.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.patience = self._timeout + 1.0  # the server's own limits come first: they leave the connection usable
        return connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, cursor: Any) -> None:
        if self._one(cursor, "SELECT to_regclass('progflags_board')::text WHERE %s <> ''", default=None) is None:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('progflags'))")  # two programs making the tables at once
            cursor.execute(_TABLES)
        cursor.execute("INSERT INTO progflags_state VALUES (%s, %s, 0) ON CONFLICT DO NOTHING", (self._namespace, _VERSION))
        version = self._one(cursor, "SELECT version FROM progflags_state WHERE namespace = %s")
        if version > _VERSION:
            raise StoreError(f"{self.url} was written by a newer progflags (tables {version}, known here {_VERSION}): upgrade this one")

    def _one(self, cursor: Any, query: str, *values: Any, default: Any = 0) -> Any:
        row = cursor.execute(query, (self._namespace, *values)).fetchone()
        return default if row is None else row[0]

    def _put(self, cursor: Any, key: str, revision: int, text: str | None) -> None:
        if text is None:
            cursor.execute("DELETE FROM progflags_documents WHERE namespace = %s AND key = %s", (self._namespace, key))
            return
        query = """INSERT INTO progflags_documents VALUES (%s, %s, %s, %s)
                   ON CONFLICT (namespace, key) DO UPDATE SET revision = excluded.revision, body = excluded.body"""
        cursor.execute(query, (self._namespace, key, revision, text))

    def _append(self, cursor: Any, subject: str, revision: int, text: str) -> None:
        query = """INSERT INTO progflags_history SELECT %(namespace)s, %(subject)s, coalesce(max(number), 0) + 1, %(revision)s, %(text)s
                   FROM progflags_history WHERE namespace = %(namespace)s AND subject = %(subject)s"""
        cursor.execute(query, {"namespace": self._namespace, "subject": subject, "revision": revision, "text": text})


class _Impatient(psycopg.Connection[Any]):
    """Hangs up on a server that neither answers nor hangs up: to TCP one that acknowledges every packet is alive."""

    patience = 6.0

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(self._limited(gen), *args, **options)

    def _limited(self, gen: Any) -> Generator[Any, Any, Any]:
        until = time.monotonic() + self.patience
        try:
            state = next(gen)
            while True:
                ready = yield state  # psycopg looks in ten times a second, whether or not there is anything
                if not ready and time.monotonic() >= until:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer for {self.patience:g} s")
                state = gen.send(ready)
        except StopIteration as done:
            return done.value


class _PostgresBoard:
    """One row per topic and worker, in a table that a crash of the server may empty: the next window comes in seconds."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> None:
        query = """INSERT INTO progflags_board AS b VALUES (%s, %s, %s, %s, clock_timestamp(), %s)
                   ON CONFLICT (namespace, topic, worker) DO UPDATE SET seq = excluded.seq, at = excluded.at, body = excluded.body
                   WHERE excluded.seq > b.seq"""
        store = self._store
        store._run(lambda cursor: cursor.execute(query, (store._namespace, topic, worker, seq, bytes(body))))

    def collect(self, topic: str) -> tuple[Row, ...]:
        query = """SELECT worker, seq, body, greatest(0, extract(epoch FROM clock_timestamp() - at))::float8 FROM progflags_board
                   WHERE namespace = %s AND topic = %s ORDER BY worker"""
        store = self._store
        rows = store._run(lambda cursor: cursor.execute(query, (store._namespace, topic)).fetchall())
        return tuple(Row(worker, seq, bytes(body), age) for worker, seq, body, age in rows)

    def clear(self, topic: str) -> None:
        query = "DELETE FROM progflags_board WHERE namespace = %s AND topic = %s"
        store = self._store
        store._run(lambda cursor: cursor.execute(query, (store._namespace, topic)))
