"""One deadline for a whole operation: it reaches the socket, the lock, the statement, whatever it is that does not answer."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from urllib.parse import urlsplit

import pytest

from progflags._deadline import left, limited, spent, within
from progflags.errors import StoreError
from progflags.store import Commit, SQLiteStore, open_store
from progflags.store._aside import aside
from rollout.places import place
from support import servers
from support.patience import PATIENCE, until
from support.proxy import Proxy

SOON = 20.0
"""Seconds in which a call that had 0.4 is back, on a machine that stands still meanwhile; without a deadline each takes a minute or more."""


@pytest.fixture(params=["redis", "postgres"])
def far(request, tmp_path):
    """A store behind a proxy, the proxy, and the store's own address."""
    with place(request.param, tmp_path) as address:
        parts = urlsplit(getattr(servers, request.param)())
        proxy = Proxy(parts.hostname, parts.port)
        who, at, _ = parts.netloc.rpartition("@")
        behind = parts._replace(netloc=f"{who}{at}127.0.0.1:{proxy.port}", query=urlsplit(address).query).geturl()
        store = open_store(behind)
        try:
            yield store, proxy, address
        finally:
            proxy.mode = "pass"
            proxy.drop()
            store.close()
            proxy.close()


def took(act, seconds=0.4):
    """How long it is until `act` fails for want of time."""
    began = time.monotonic()
    with within(seconds), pytest.raises(StoreError):
        act()
    return time.monotonic() - began


@pytest.mark.parametrize("mode", ["silent", "hold", "drip", "refuse"])
def test_a_server_that_does_not_answer_has_the_time_there_is(far, mode):
    """Silent, frozen on the way back, or sending a byte now and then; on a connection that is there, and on a new one."""
    store, proxy, _ = far
    store.commit(Commit({"a": {"n": 1}}))
    proxy.mode = mode
    if mode == "refuse":
        proxy.drop()
    acts = [
        lambda: store.commit(Commit({"b": {}})),
        store.read,
        lambda: store.history("s"),
        lambda: store.board.publish("t", "w", 1, b""),
        store.revision,
    ]
    assert all(took(act) < SOON for act in acts)
    proxy.mode = "pass"
    proxy.drop()
    assert store.read()[1]["a"].body == {"n": 1}


def test_a_writer_that_is_frozen_holds_nobody_up(far):
    """Its commit is one message, so it has not begun, or is done without it; the next writer does not wait for its end."""
    store, proxy, address = far
    store.commit(Commit({"a": {}}))
    proxy.mode = "hold"
    frozen = threading.Thread(target=lambda: took(lambda: store.commit(Commit({"a": {"n": 2}}, id="frozen")), 600))
    frozen.start()
    with contextlib.closing(open_store(address)) as other:
        until(lambda: other.revision() == 2)
        assert other.commit(Commit({"b": {}})) == 3
        assert frozen.is_alive()
        proxy.mode = "refuse"
        proxy.drop()
        frozen.join(PATIENCE)
        assert other.read()[1]["a"].body == {"n": 2}


def test_what_lies_idle_in_a_transaction_is_ended_by_the_server():
    """Of a client that sends several messages, as that which makes the tables: the limit goes with the transaction."""
    from progflags.contrib._postgres_sql import limited_to

    with __import__("psycopg").connect(servers.postgres(), autocommit=True) as connection:
        with connection.transaction():
            connection.execute(limited_to(1000))
            limits = [connection.execute(f"SHOW {name}").fetchone()[0] for name in ("idle_in_transaction_session_timeout", "lock_timeout")]
        assert limits == ["2s", "1s"]
        assert connection.execute("SHOW lock_timeout").fetchone()[0] == "0"


def test_a_row_that_somebody_else_holds_is_waited_for_no_longer_than_there_is_time(tmp_path):
    """An older progflags, or a person in psql. The server gives up first, so the connection is whole and used on."""
    with place("postgres", tmp_path) as address, contextlib.closing(open_store(address)) as store:
        store.commit(Commit({"a": {}}))
        connection = store._server._connection
        with __import__("psycopg").connect(servers.postgres()) as other:
            other.execute("SELECT * FROM progflags_state WHERE namespace = %s FOR UPDATE", (store._namespace,))
            assert took(lambda: store.commit(Commit({"b": {}}))) < SOON
            assert store.revision() == 1
        assert store.commit(Commit({"b": {}})) == 2
        assert store._server._connection is connection


@pytest.mark.parametrize("act", ["commit", "revision", "publish"])
def test_a_locked_file_is_waited_for_no_longer_than_there_is_time(tmp_path, act):
    with contextlib.closing(SQLiteStore(tmp_path / "x.db", busy=PATIENCE)) as store:
        acts = {
            "commit": lambda: store.commit(Commit({})),
            "revision": store.revision,
            "publish": lambda: store.board.publish("t", "w", 1, b""),
        }
        with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert took(acts[act]) < SOON
            other.execute("ROLLBACK")
        acts[act]()


def test_a_call_of_another_thread_that_hangs_is_waited_for_no_longer(tmp_path):
    """And closing does not wait for it either."""
    store = SQLiteStore(tmp_path / "x.db", busy=PATIENCE)
    go, inside = threading.Event(), threading.Event()
    hung = threading.Thread(target=lambda: store._file.run(lambda _: (inside.set(), go.wait(600))))
    hung.start()
    assert inside.wait(PATIENCE)
    try:
        assert took(store.revision) < SOON
        began = time.monotonic()
        with within(0.1):
            store.close()
        assert time.monotonic() - began < SOON
    finally:
        go.set()
        hung.join()
    assert store._file._connection is None  # whoever had the lock let go of the file


def test_deadlines_nest_and_the_sooner_one_counts():
    assert not limited()
    assert left(5.0) == 5.0
    with within(1000):
        with within(0.001):
            time.sleep(0.002)
            assert spent()
            assert left(5.0) == 0
        with within(6000):
            assert 900 < left(10_000.0) <= 1000
        assert not spent()
    assert not limited()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "2", True, None])
def test_a_timeout_is_a_positive_number_of_seconds(seconds):
    with pytest.raises(ValueError, match="positive number of seconds"), within(seconds):
        pass


def test_what_comes_too_late_is_handed_to_whoever_closes_it():
    go, closed = threading.Event(), threading.Event()
    with pytest.raises(TimeoutError):
        aside(lambda: go.wait(PATIENCE), 0.01, late=lambda found: closed.set())
    go.set()

    assert closed.wait(PATIENCE)
    assert aside(lambda: 7, PATIENCE) == 7
    with pytest.raises(KeyError):
        aside(lambda: {}["x"], PATIENCE)
