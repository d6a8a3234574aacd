"""
One connection to a PostgreSQL server: opened late, by one thread at a time, anew when it broke, and never for longer than a call may take.

A child of a fork opens its own: the parent's is not even closed there, for that would end its session.
"""

from __future__ import annotations

import selectors
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
import psycopg.conninfo
import psycopg.errors

from progflags._deadline import left, spent, within
from progflags._process import look
from progflags.errors import StoreError
from progflags.store import aside

__all__ = ["Connection"]

T = TypeVar("T")

_CONNECT: Final = 5.0  # seconds that a connection may take where nobody is in a hurry


class Connection:
    """`address` is for the driver, `url` for people; `prepare` is run on each new connection, in a transaction of its own."""

    def __init__(self, address: str, url: str, timeout: float, prepare: Callable[[Any], object]) -> None:
        self._address = address
        self._url = url
        self._timeout = timeout
        self._prepare = prepare
        self.opened: Callable[[Any], object] = bool  # is called with each new connection, prepared
        self._connection: Any = None
        self._abandoned: list[Any] = []
        self._lock = threading.RLock()
        self._closed = False

    def after_fork(self) -> None:
        """The parent's connection is the parent's: not even closed here, for that would end its session."""
        self._abandoned.append(self._connection)
        self._connection, self._lock = None, threading.RLock()

    @property
    def socket(self) -> int | None:
        """The file descriptor of the connection there is just now."""
        connection = self._connection
        return None if connection is None or connection.closed else int(connection.fileno())

    def run(self, act: Callable[[Any], T]) -> T:
        """What `act` returns, given a cursor; once more on a new connection if the one it had turns out broken."""
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
                raise StoreError(f"{self._url} can't be used: {type(error).__name__}: {what}{late}: {remedy}") from error

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lock, waited for no longer than anything else: whoever has it may be waiting for a server that is silent."""
        lock = self._lock  # after a fork, and once gevent has come, there is another
        if not lock.acquire(timeout=left(self._timeout)):
            raise StoreError(
                f"{self._url} can't be used: an earlier call of this process still waits for it, and the time is up: try again"
            )
        try:
            if self._closed:
                raise StoreError(f"{self._url} is closed: open it again")
            yield
        finally:
            if self._closed:  # meanwhile, by somebody who did not wait
                self._let_go()
            lock.release()

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
            self.opened(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _dial(self) -> Any:
        # No prepared statements: behind PgBouncer the next one may meet another session. A silent server is given up by TCP.
        patience = {"connect_timeout": max(2, round(self._timeout)), "tcp_user_timeout": round(self._timeout * 1000)}
        address = psycopg.conninfo.make_conninfo(self._address, application_name="progflags", **patience)
        return _Impatient.connect(address, prepare_threshold=None, autocommit=True)

    def close(self) -> None:
        """For good. Idempotent."""
        look()
        self._closed = True
        if self._lock.acquire(timeout=left(self._timeout)):  # else whoever has it lets go of the connection
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def roll_back(self) -> None:
        """End the transaction that an error has left open, if the connection still stands."""
        if not self._connection.broken:
            self._connection.rollback()


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
