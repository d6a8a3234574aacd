"""
The store in PostgreSQL: `postgresql://host/database`; for many hosts, and the one to prefer when there is a choice.

Install `progflags[postgres]`. A commit is one transaction that holds the row of its namespace (`?namespace=`, else
`progflags`), so commits come one after another and each sees the last; it is sent as one message, so none waits for a client.
The tables `progflags_*` are made when absent; a role that may only read and write rows is enough once they are there. It needs
no session state: PgBouncer in transaction mode is fine, and there is nothing to LISTEN to, a look at the revision costs a tenth
of a millisecond. Point it at the primary: a replica answers with the past.
"""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

from progflags._clock import SYSTEM, Clock
from progflags._deadline import left, spent, within
from progflags._process import in_child, look
from progflags.errors import StoreError, missing
from progflags.store import Commit, Document, Entry, Row, ServerStore, aside, conflict, texts

try:
    import psycopg
    import psycopg.conninfo
    import psycopg.errors
except ImportError as error:
    raise missing(error, "psycopg", "psycopg", "postgres") from error

from progflags.contrib._postgres_sql import TABLES, VERSION, limited_to, message

__all__ = ["PostgresStore"]

T = TypeVar("T")

_CONNECT = 5.0  # seconds that a connection may take where nobody is in a hurry


class PostgresStore(ServerStore):
    """A store in the database that `url` names. `timeout` is how many seconds a call may take as a whole, the wait for a lock included."""

    _went_back = "it was restored, or this is a replica"

    def __init__(self, url: str, *, timeout: float = 2.0, clock: Clock = SYSTEM) -> None:  # noqa: ARG002 - the server's clock counts
        super().__init__(url)
        self._timeout = timeout
        self._connection: Any = None
        self._abandoned: list[Any] = []
        self._lock = threading.RLock()
        self._board = _PostgresBoard(self)
        in_child(self)
        try:
            self._run(bool)
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
        """
        See Store. It goes to the server as one message that begins and ends the transaction: a writer that is frozen, whenever that
        happens, has either not begun or is done without it.
        """
        writes, lines = texts(commit)
        id_ = commit.id or uuid4().hex  # an id always: a lost connection is tried again
        before = self._highest
        there, taken, found, done = self._run(lambda cursor: self._take(cursor, commit, writes, lines, id_, before))
        if taken is not None:
            return int(taken)
        if done is None:
            self._met(there, before)
            conflict(self.url, commit, found)
            raise StoreError(f"{self.url} did not take a commit and does not say why: read again and decide again")
        self._highest = max(self._highest, int(done))
        return int(done)

    def _take(  # noqa: PLR0917 - the parts of one message
        self, cursor: Any, commit: Commit, writes: dict[str, str | None], lines: list[tuple[str, str]], id_: str, before: int
    ) -> tuple[int, Any, dict[str, int], Any]:
        """What the state was, what this id got if it was taken before, the revisions of what was expected, and the new revision."""
        try:
            cursor.execute(message(self._namespace, commit, writes, lines, id_, before, limits=_limits(left(self._timeout))))
            rows = []
            while True:
                rows.append(cursor.fetchall() if cursor.description else [])
                if not cursor.nextset():
                    break
        except psycopg.Error:
            if not self._connection.broken:
                self._connection.rollback()
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
        rows = self._run(lambda cursor: cursor.execute(query, values).fetchall())
        return tuple(Entry(subject, number, at, self._body(text)) for number, at, text in rows)

    def now(self) -> float:
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        return float(self._run(lambda cursor: cursor.execute(query).fetchone()[0]))

    def close(self) -> None:
        look()
        self._closed = True
        if self._lock.acquire(timeout=left(self._timeout)):  # else whoever has it lets go of the connection
            try:
                self._let_go()
            finally:
                self._lock.release()

    # Talking to the server.

    def _run(self, act: Callable[[Any], T]) -> T:
        """What `act` returns; once more on a new connection if the one it had turns out broken."""
        look()
        with within(self._timeout), self._held():
            try:
                if self._connection is not None:
                    try:
                        return self._once(act)
                    except psycopg.OperationalError:
                        if not self._connection.broken or spent():
                            raise
                        self._let_go()
                return self._once(act)
            except (psycopg.Error, TimeoutError) as error:
                # Tables that are gone, as of a database that was made anew, are made by the next connection.
                if self._connection is not None and (self._connection.broken or isinstance(error, psycopg.errors.UndefinedTable)):
                    self._let_go()
                late = ", and the time was up" if spent() else ""
                what, remedy = " ".join(str(error).split()), "see that the server is up and lets us in"
                raise StoreError(f"{self.url} can't be used: {type(error).__name__}: {what}{late}: {remedy}") from error

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lock, waited for no longer than anything else: whoever has it may be waiting for a server that is silent."""
        if not self._lock.acquire(timeout=left(self._timeout)):
            raise StoreError(f"{self.url} can't be used: an earlier call of this process still waits for it, and the time is up: try again")
        try:
            if self._closed:
                raise StoreError(f"{self.url} is closed: open it again")
            yield
        finally:
            if self._closed:  # meanwhile, by somebody who did not wait
                self._let_go()
            self._lock.release()

    def _once(self, act: Callable[[Any], T]) -> T:
        connection = self._connection = self._connection or self._connect()
        with connection.cursor() as cursor:
            return act(cursor)

    def _connect(self) -> Any:
        # Aside, for to find out the address of a name takes as long as it takes.
        connection = aside(self._dial, left(_CONNECT), late=lambda opened: opened.close())
        # Whatever this role's or database's default is: under a stricter level the loser of a race meets an error, not a conflict.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        try:
            with connection.transaction(), connection.cursor() as cursor:
                self._prepare(cursor)
        except BaseException:
            connection.close()
            raise
        return connection

    def _dial(self) -> Any:
        # No prepared statements: behind PgBouncer the next one may meet another session. A silent server is given up by TCP.
        patience = {"connect_timeout": max(2, round(self._timeout)), "tcp_user_timeout": round(self._timeout * 1000)}
        address = psycopg.conninfo.make_conninfo(self._address, application_name="progflags", **patience)
        return _Impatient.connect(address, prepare_threshold=None, autocommit=True)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, cursor: Any) -> None:
        """The tables and our row in them, made where they are absent, and looked at only where they are not: a server may be read-only."""
        cursor.execute(limited_to(_limits(left(self._timeout))))
        if self._one(cursor, "SELECT to_regclass('progflags_board')::text WHERE %s <> ''", default=None) is None:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('progflags'))")  # two programs making the tables at once
            cursor.execute(TABLES)
        version = self._one(cursor, "SELECT version FROM progflags_state WHERE namespace = %s", default=None)
        if version is None:
            cursor.execute("INSERT INTO progflags_state VALUES (%s, %s, 0) ON CONFLICT DO NOTHING", (self._namespace, VERSION))
            version = self._one(cursor, "SELECT version FROM progflags_state WHERE namespace = %s")
        if version > VERSION:
            raise StoreError(f"{self.url} was written by a newer progflags (tables {version}, known here {VERSION}): upgrade this one")

    def _one(self, cursor: Any, query: str, *values: Any, default: Any = 0) -> Any:
        row = cursor.execute(query, (self._namespace, *values)).fetchone()
        return default if row is None else row[0]


def _limits(seconds: float) -> int:
    """Milliseconds that the server may take: it gives up a little before we do, which leaves the connection usable."""
    return max(50, round(seconds * 900))


class _Impatient(psycopg.Connection[Any]):
    """Hangs up on a server that does not answer before the deadline: to TCP one that acknowledges every packet is alive."""

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(self._limited(gen), *args, **options)

    def _limited(self, gen: Any) -> Generator[Any, Any, Any]:
        try:
            state = next(gen)
            while True:
                ready = yield state  # psycopg looks in ten times a second, whether or not there is anything
                if spent() and not self._there(state):
                    self.pgconn.finish()
                    raise psycopg.OperationalError("no answer before the time was up")
                state = gen.send(ready)
        except StopIteration as done:
            return done.value

    def _there(self, state: int) -> bool:
        """Whether the socket has what is waited for. Asked of the system, for psycopg 3.2 says so whenever it has looked in."""
        with selectors.DefaultSelector() as system:
            system.register(self.pgconn.socket, state)  # psycopg's states are the selectors' events
            return bool(system.select(0))


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
