"""
The outage drill, on every store that processes share: down at the start, down in the middle, back empty, back with data.

Each server is one of our own behind an address that stays: a file, a Redis process, a PostgreSQL behind a proxy. Evaluation does not
change with an outage; kill and rollback hold here at once; what was decided here is in the store soon after it is back.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

import progflags as pf
from progflags._connect import _reach
from progflags.errors import StoreError
from progflags.rollout import State
from progflags.store import MemoryStore, open_store
from support import servers
from support.own import OwnPostgres, OwnRedis, copied
from support.patience import until
from support.proxy import Proxy
from support.sizes import FULL, size

LONG = size(1, full=60)  # seconds that an outage lasts
FLAG = "new-checkout"
SOURCE = {"flags": {FLAG: {"rollout": {"stages": [{"percent": 50, "bake": "1h"}]}}, "plain": {"percent": 100}, "other": {"percent": 100}}}
PEOPLE = [f"u{n}" for n in range(200)]


class File:
    """A SQLite file; out of reach while its folder is elsewhere."""

    def __init__(self, folder):
        self.folder = folder / "store"
        self.folder.mkdir()
        self.address = f"sqlite:///{self.folder / 'state.db'}"

    def down(self):
        self.folder.rename(self.folder.with_name("away"))

    def up(self):
        self.folder.with_name("away").rename(self.folder)

    def empty(self):
        """While it is down: what comes back is another file, made by another process."""
        shutil.rmtree(self.folder.with_name("away"))
        self.folder.with_name("away").mkdir()
        open_store(f"sqlite:///{self.folder.with_name('away') / 'state.db'}").close()

    def saved(self):
        return self.folder.with_name("backup")

    def back_up(self):
        shutil.copytree(self.folder, self.saved())

    def restore(self):
        shutil.rmtree(self.folder.with_name("away"))
        shutil.copytree(self.saved(), self.folder.with_name("away"))

    def close(self):
        pass


class Server:
    """A namespace on the running server, reached through a proxy that hangs up while it is down."""

    def __init__(self, kind):
        self.kind = kind
        server = getattr(servers, kind)()
        parts = urlsplit(server)
        self.proxy = Proxy(parts.hostname, parts.port)
        self.namespace = f"test-{uuid4().hex}"
        who, at, _ = parts.netloc.rpartition("@")
        self.address = parts._replace(netloc=f"{who}{at}127.0.0.1:{self.proxy.port}", query=f"namespace={self.namespace}").geturl()
        self.server = server

    def down(self):
        self.proxy.mode = "refuse"
        self.proxy.drop()

    def up(self):
        self.proxy.mode = "pass"

    def close(self):
        self.proxy.close()
        self.empty()

    def empty(self):
        self._forget(self.namespace)

    def back_up(self):
        self._copy(self.namespace, f"{self.namespace}-copy")

    def restore(self):
        self._forget(self.namespace)
        self._copy(f"{self.namespace}-copy", self.namespace)


class Process:
    """A server of our own, that ends and is started again."""

    def __init__(self, kind):
        self.place = tempfile.TemporaryDirectory(prefix="progflags-own-")
        self.server = kind(Path(self.place.name) / "data")
        self.address = self.server.address
        self.copy = self.server.folder.with_name("copy")
        self.pristine = self.server.folder.with_name("pristine")
        copied(self.server.folder, self.pristine)
        self.up()

    def up(self):
        self.server.start()

    def down(self):
        self.server.stop()

    def close(self):
        self.server.stop()
        self.place.cleanup()

    def _replace(self, other):
        shutil.rmtree(self.server.folder)
        copied(other, self.server.folder)

    def empty(self):
        self._replace(self.pristine)

    def back_up(self):
        self.down()
        copied(self.server.folder, self.copy)
        self.up()

    def restore(self):
        self._replace(self.copy)


class Redis(Server):
    def _client(self):
        return contextlib.closing(__import__("redis").Redis.from_url(self.server))

    def _forget(self, name):
        with self._client() as client:
            client.delete(*client.keys(f"{{{name}}}:*"), "x")

    def _copy(self, source, target):
        with self._client() as client:
            for key in client.keys(f"{{{source}}}:*"):
                client.restore(key.replace(source.encode(), target.encode(), 1), 0, client.dump(key), replace=True)


class Postgres(Server):
    TABLES = ("state", "documents", "history", "commits", "board")

    def _run(self, query, *values):
        with __import__("psycopg").connect(self.server, autocommit=True) as connection:
            for table in self.TABLES:
                connection.execute(query(table, connection), values)

    def _forget(self, name):
        self._run(lambda table, _: f"DELETE FROM progflags_{table} WHERE namespace = %s", name)

    def _copy(self, source, target):
        def query(table, connection):
            rows = connection.execute(f"SELECT * FROM progflags_{table} LIMIT 0")
            columns = ", ".join(column.name for column in rows.description[1:])
            return f"INSERT INTO progflags_{table} SELECT %s, {columns} FROM progflags_{table} WHERE namespace = %s"

        self._run(query, target, source)


MAKE = {
    "sqlite": File,
    "redis": lambda _: Redis("redis"),
    "postgres": lambda _: Postgres("postgres"),
    "a redis that ends": lambda _: Process(OwnRedis),
    "a postgres that ends": lambda _: Process(OwnPostgres),
}


STORES = pytest.mark.parametrize("outage", MAKE if FULL else ["sqlite", "a redis that ends", "postgres"], indirect=True)
EVERY = pytest.mark.parametrize("outage", MAKE, indirect=True)  # however it goes away: connections that are refused, that break, that end


@pytest.fixture
def outage(request, tmp_path):
    made = MAKE[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def connect(outage, tmp_path):
    with contextlib.ExitStack() as open_:

        def connected(folder="kept", **options):
            flags = pf.connect(SOURCE, store=outage.address, poll=0.05, last_known_good=tmp_path / folder, **options)
            return open_.enter_context(flags)

        yield connected


def answers(flags):
    return [(flags.is_enabled(FLAG, u), flags.is_enabled("plain", u), flags.is_enabled("other", u)) for u in PEOPLE]


def exposed(flags):
    return sum(flags.is_enabled(FLAG, u) for u in PEOPLE)


def soon(what):
    """Wait until `what()`; how long that took."""
    began = time.monotonic()
    until(what)
    return time.monotonic() - began


def climbing(flags):
    flags.rollouts.start(FLAG)
    soon(lambda: exposed(flags) > 0)
    return flags


def state_of(address):
    """What a stranger finds in the store."""
    with pf.connect(SOURCE, store=address, poll=None, control=False, require_store=True) as flags:
        return flags.rollouts.status(FLAG).state, not flags.is_enabled("plain", "u"), flags.status().panic is not None


def acts(address, subject):
    with contextlib.closing(open_store(address)) as store:
        return [entry.body["act"] for entry in store.history(subject)]


def held(verb, holds):
    """Seconds until what a verb does holds here, and until the verb is back."""
    began = time.monotonic()
    with ThreadPoolExecutor(1) as aside:
        done = aside.submit(lambda: (verb(), time.monotonic()))
        until(holds)
        here = time.monotonic()
        return here - began, done.result()[1] - began


@pytest.mark.sized
@EVERY
def test_down_in_the_middle(outage, connect, request):
    """Answers do not change; kill, rollback and panic hold at once; other verbs raise; back with its data, the store has all of it."""
    flags, other = climbing(connect()), connect("other")
    soon(lambda: exposed(other) > 0)
    before = answers(flags)
    outage.down()
    soon(lambda: flags.status().state == "DEGRADED")
    assert not flags.status().writable
    began, looks = time.monotonic(), 0
    while time.monotonic() < began + LONG:
        assert answers(flags) == before
        looks += 1
        time.sleep(0.01)
    with pytest.raises(StoreError):
        flags.rollouts.promote(FLAG)
    kill = held(lambda: flags.kill("plain", reason="it burns", by="ann"), lambda: not flags.is_enabled("plain", "u"))
    rollback = held(lambda: flags.rollouts.rollback(FLAG, reason="smoke", by="ann"), lambda: exposed(flags) == 0)
    assert flags.rollouts.status(FLAG).pending
    panic = held(lambda: flags.panic(by="ann"), lambda: not flags.is_enabled("other", "u"))
    flags.unpanic(by="ann")
    flags.panic(by="ann")
    assert not flags.is_enabled("other", "u")
    assert len(flags.status().pending) == 3

    outage.up()
    carried = soon(lambda: flags.status().pending == ())
    soon(lambda: not other.is_enabled("other", "u") and other.status().state == "READY")
    assert state_of(outage.address) == (State.ROLLED_BACK, True, True)
    assert acts(outage.address, "flag/plain") == ["kill"]
    assert acts(outage.address, "panic") == ["panic"]
    assert flags.status().writable

    verbs = {"kill": kill, "rollback": rollback, "panic": panic}
    said = "; ".join(f"{name} held after {1000 * here:.1f} ms, was back after {1000 * back:.0f} ms" for name, (here, back) in verbs.items())
    print(f"{request.node.callspec.id}: {LONG} s, {looks} looks unchanged; {said}; carried {carried:.2f} s after the return")
    if FULL:  # the sizes of the promise, where the machine has nothing else to do
        assert max(here for here, _ in verbs.values()) < 0.05
        assert max(back for _, back in verbs.values()) < 2.0
        assert carried < 2.0


@STORES
def test_down_at_the_start(outage, connect):
    """Nobody vouches for a share, so everybody gets the control; what is killed here is killed, and in the store once that appears."""
    outage.down()
    with pytest.raises(StoreError):
        connect(require_store=True)
    flags = connect()
    status = flags.status()
    assert (status.state, status.writable, status.saved_at) == ("DEGRADED", False, None)
    assert status.store_problem
    assert exposed(flags) == 0
    assert flags.is_enabled("plain", "u")
    flags.kill("plain")
    assert not flags.is_enabled("plain", "u")

    outage.up()
    soon(lambda: flags.status().state == "READY" and not flags.status().pending)
    assert state_of(outage.address)[1]
    assert exposed(climbing(flags)) > 0


@STORES
def test_started_again_while_it_is_down(outage, connect):
    """With the shares and kills of the last look, and what was decided in between."""
    flags = climbing(connect())
    flags.kill("plain", by="ann", reason="it burns")
    share = answers(flags)
    flags.close()
    outage.down()
    began = time.time()
    again = connect()
    status = again.status()
    assert status.state == "DEGRADED"
    assert status.saved_at <= began
    assert answers(again) == share
    assert "killed by ann: it burns" in str(again.explain("plain", "u"))
    assert again.rollouts.status(FLAG).state is State.RAMPING
    again.kill("other")
    again.rollouts.rollback(FLAG)
    again.close()
    third = connect()
    assert exposed(third) == 0
    assert not third.is_enabled("other", "u")

    outage.up()
    soon(lambda: third.status().pending == () and third.status().state == "READY")
    assert third.status().saved_at is None
    assert state_of(outage.address) == (State.ROLLED_BACK, True, False)
    assert acts(outage.address, "flag/other") == ["kill"]


@EVERY
def test_back_empty(outage, connect):
    """A kill that was stored before is thrown again, one that was not is stored, and a rollout that is gone serves the control."""
    flags = climbing(connect())
    flags.kill("plain", by="ann")
    outage.down()
    soon(lambda: flags.status().state == "DEGRADED")
    flags.kill("other", by="ann")
    outage.empty()
    outage.up()

    soon(lambda: flags.status().state == "READY" and not flags.status().pending)
    assert exposed(flags) == 0
    assert not flags.is_enabled("plain", "u")
    assert not flags.is_enabled("other", "u")
    assert acts(outage.address, "flag/plain") == ["kill"]
    assert acts(outage.address, "flag/other") == ["kill"]
    flags.unkill("plain")
    assert flags.is_enabled("plain", "u")
    assert exposed(climbing(flags)) > 0


@STORES
def test_back_with_an_older_copy(outage, connect):
    """Of a time when the candidate was served and nothing was killed: neither is so again by accident."""
    flags = climbing(connect())
    if isinstance(outage, File):
        flags.close()  # a copy of a file in use is torn
        outage.back_up()
        flags = connect()
    else:
        outage.back_up()
    flags.kill("plain", by="ann")
    flags.rollouts.rollback(FLAG, reason="smoke")
    flags.panic()
    outage.down()
    soon(lambda: flags.status().state == "DEGRADED")
    outage.restore()
    outage.up()

    def served():
        return exposed(flags) or flags.is_enabled("plain", "u")

    assert not served()
    soon(lambda: served() or (flags.status().state == "READY" and not flags.status().pending))
    assert not served()
    assert state_of(outage.address) == (State.ROLLED_BACK, True, True)


WRITER = """
import os, signal, sys
from progflags.store import Commit, open_store
store = open_store(sys.argv[1])
if sys.argv[2] == "inside":  # a file's lock is taken, and nothing committed yet
    store._file.run(lambda _: (print("ready", flush=True), os.kill(os.getpid(), signal.SIGSTOP)), begin="IMMEDIATE")
print("ready", flush=True)
while True:
    store.commit(Commit({"x": {}}))
"""


@contextlib.contextmanager
def writer(address, how):
    command = [sys.executable, "-c", WRITER, address, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("outage", ["redis", "postgres"], indirect=True)
def test_a_writer_that_is_frozen_in_the_middle_of_a_commit_holds_nobody_up(outage, connect):
    """Stopped at any moment (SIGSTOP, a paused machine) it loses like everybody else: others' verbs are stored while it sleeps."""
    flags = connect()
    with writer(outage.address, "all the time") as child:
        for n in range(size(10, full=200)):
            time.sleep(random.uniform(0.005, 0.05))
            child.send_signal(signal.SIGSTOP)
            (flags.kill if n % 2 == 0 else flags.unkill)("plain")
            assert flags.status().pending == ()
            assert flags.is_enabled("plain", "u") is (n % 2 == 1)
            child.send_signal(signal.SIGCONT)
    assert len(acts(outage.address, "flag/plain")) == size(10, full=200)


@pytest.mark.parametrize("outage", ["sqlite"], indirect=True)
def test_a_writer_that_is_frozen_with_the_files_lock_loses_nothing_of_others(outage, connect):
    """Nobody can take a file's lock from it: verbs hold here, are back within their deadline, and are stored when it wakes."""
    flags = climbing(connect())
    with writer(outage.address, "inside") as child:
        began = time.monotonic()
        flags.kill("plain", timeout=0.5)
        assert flags.rollouts.rollback(FLAG, timeout=0.5).pending
        assert time.monotonic() - began < 20.0  # without a deadline they wait for a minute
        assert not flags.is_enabled("plain", "u")
        assert exposed(flags) == 0
        child.send_signal(signal.SIGCONT)
        soon(lambda: flags.status().pending == ())
    assert state_of(outage.address) == (State.ROLLED_BACK, True, False)


def test_looks_at_a_server_that_refuses_back_off():
    """Once a second or so, and the return is seen within two."""
    server = Redis("redis")
    try:
        with pf.connect(SOURCE, store=server.address, poll=0.05) as flags:
            soon(lambda: flags.status().state == "READY")
            server.down()
            soon(lambda: flags.status().state == "DEGRADED")
            early = server.proxy.dialled + 5
            until(lambda: server.proxy.dialled >= early)  # the first looks after a failure are close together
            began, later = time.monotonic(), early + 5
            until(lambda: server.proxy.dialled >= later)
            assert time.monotonic() - began > 1.0  # half a second where they do not back off, however long the machine stands still
            server.up()
            until(lambda: flags.status().state == "READY")
    finally:
        server.close()


class Hinted(MemoryStore):
    """As a server does, it says when it moved."""

    deaf = ""

    def hint(self, timeout: float) -> bool:
        return False


@pytest.mark.parametrize(("store", "away", "within"), [(MemoryStore, 3600.0, 2.0), (Hinted, 10.0, 2.0), (Hinted, 3600.0, 6.0)])
def test_a_look_is_never_long_in_coming(monkeypatch, store, away, within):
    """
    Whatever was missed before: one that takes as long as it may still sees a return within two seconds, and that of a server which was
    away for long, to which a fleet comes back, within six.
    """
    now = [1000.0]
    monkeypatch.setattr(_reach, "time", SimpleNamespace(monotonic=lambda: now[0]))
    reach = _reach.Reach("memory://", store, store())
    waits = []
    while now[0] < 1000.0 + away:
        reach.miss()
        assert not reach.due
        waits.append(reach._next - now[0])
        now[0] = reach._next
        assert reach.due
    assert max(waits) + _reach._PROBE < within
    assert min(waits[5:]) > 0.4
