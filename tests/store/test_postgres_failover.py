"""PostgreSQL whose primary is restarted or replaced in the middle, and a role that may do nothing but read and write rows."""

from __future__ import annotations

import contextlib
import io
import signal
import tempfile
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

import progflags as pf
from progflags.cli._main import main
from progflags.errors import StoreError
from progflags.store import open_store
from progflags.testing import StoreContract
from support.own import OwnPostgres
from support.patience import until

psycopg = pytest.importorskip("psycopg")

FLAG = "new-checkout"
STAGES = [{"percent": percent, "bake": "1s"} for percent in (5, 20, 60)]
FLAGS = {"flags": {FLAG: {"rollout": {"stages": STAGES, "batch": "0.2s"}}, "plain": {"percent": 100}}}


@pytest.fixture(scope="module")
def place():
    """A folder that the user who runs PostgreSQL may enter."""
    with tempfile.TemporaryDirectory(prefix="progflags-own-") as folder:
        yield Path(folder)


@pytest.fixture
def primary(place):
    """A PostgreSQL of our own that ends as in a crash."""
    server = OwnPostgres(place / uuid4().hex)
    server.ending = signal.SIGQUIT
    server.start()
    yield server
    server.stop()


def climbed(flags, beyond):
    """Whether the rollout is beyond a share (percent), while there is traffic."""
    for arm in ("control", "candidate"):
        flags.metrics.record(FLAG, arm=arm, n=100)
    return flags.rollouts.status(FLAG).percent > beyond


def states(*clients):
    return {flags.status().state for flags in clients}


def answers(*clients):
    return [(flags.is_enabled(FLAG, f"u{n}"), flags.is_enabled("plain", "u")) for flags in clients for n in range(100)]


def test_a_primary_that_crashes_in_the_middle_of_a_rollout(primary):
    """
    Nobody is answered differently while it is down; then the rollout goes on where it was, to its end, and its history is whole.

    The crash has emptied the board: what was on it is put up again.
    """
    with pf.connect(FLAGS, store=primary.address) as flags, pf.connect(FLAGS, store=primary.address) as other:
        flags.rollouts.start(FLAG)
        until(lambda: climbed(other, beyond=5))
        primary.stop()
        until(lambda: states(flags, other) == {"DEGRADED"})
        before = answers(flags, other)
        assert any(new for new, _ in before)
        assert answers(flags, other) == before
        primary.start()
        until(lambda: states(flags, other) == {"READY"})
        until(lambda: climbed(other, beyond=60))
        percents = [step.percent for step in other.rollouts.history(FLAG)]
        assert all(first <= second for first, second in pairwise(percents))
        assert {stage["percent"] for stage in STAGES} < set(percents)
        assert flags.rollouts.verify(FLAG) == ()


def test_a_standby_that_takes_over(primary, place):
    """Both are in the address, and the one that takes writes is meant: nothing that was acknowledged is lost, and hints go on."""
    standby = OwnPostgres(place / "standby", primary)
    standby.start()
    with psycopg.connect(primary.address, autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        owner.execute("SELECT pg_reload_conf()")
        until(lambda: owner.execute("SELECT sync_state FROM pg_stat_replication").fetchall() == [("sync",)])
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    address = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write&namespace=fleet"
    try:
        with pf.connect(FLAGS, store=address, store_poll=3600) as here, pf.connect(FLAGS, store=address, poll=None, control=False) as there:
            there.kill("plain", by="ann")
            store = open_store(address)
            before = store.revision()
            primary.stop()
            with psycopg.connect(standby.address, autocommit=True) as owner:
                owner.execute("SELECT pg_promote()")
            until(lambda: (there.refresh(), states(here, there) == {"READY"})[1])
            assert store.revision() >= before
            assert [entry.body["act"] for entry in store.history("flag/plain")] == ["kill"]
            there.unkill("plain")
            until(lambda: here.is_enabled("plain", "u"))
            store.close()
    finally:
        standby.stop()


@pytest.fixture(scope="module")
def owned(place):
    """A PostgreSQL of our own."""
    server = OwnPostgres(place / "owned")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def modest(owned):
    """Makes databases with a role that may make nothing in them: the owner's address, and the role's."""

    def make():
        name = uuid4().hex
        with psycopg.connect(owned.address, autocommit=True) as owner:
            owner.execute(f'CREATE DATABASE "{name}"')
            owner.execute("DO $$BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$")
        database = owned.address.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        return database, database.replace("postgres@", "app@")

    return make


def test_a_role_that_may_not_make_the_tables_is_told_who_may(modest):
    with pytest.raises(StoreError, match="has no tables of progflags.*let the owner run what `progflags store tables` prints"):
        open_store(modest()[1])


@pytest.fixture(scope="module")
def rows(modest):
    """A database whose tables the owner has made, as a role that may read and write their rows."""
    owner, app = modest()
    with contextlib.redirect_stdout(out := io.StringIO()):
        assert main(["store", "tables", "--role", "app"]) == 0
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(out.getvalue())
        connection.execute(out.getvalue())  # as often as one likes
    with psycopg.connect(app, autocommit=True) as connection:
        for more in ("CREATE TABLE other (a int)", "TRUNCATE progflags_board", "DROP TABLE progflags_board"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(more)
    return app


class TestARoleOfRows(StoreContract):
    """Every promise holds for a role that may do nothing but read and write rows."""

    examples = 5

    @pytest.fixture(autouse=True)
    def _rows(self, rows):
        self.server = rows

    def make_store(self):
        return open_store(f"{self.server}?namespace={uuid4().hex}")

    def join(self, store):
        return open_store(f"{self.server}?namespace={store._namespace}")


def test_a_rollout_by_a_role_of_rows(rows):
    """And so does all that a program does with one."""
    with pf.connect(FLAGS, store=rows) as flags:
        flags.kill("plain")
        flags.rollouts.start(FLAG)
        until(lambda: climbed(flags, beyond=5))
        flags.rollouts.rollback(FLAG, reason="enough")
        until(lambda: not any(new for new, _ in answers(flags)))
        assert flags.status().state == "READY"
        assert flags.rollouts.verify(FLAG) == ()
