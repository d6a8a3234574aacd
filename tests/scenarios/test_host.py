"""The processes of a host with one connection to their server: whatever becomes of the one that has it, or of their folder."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

import progflags as pf
from progflags.errors import DefinitionError
from progflags.sources import Piece
from progflags.store import SQLiteStore
from progflags.store.host._sign import OWN
from support import servers
from support.hosts import FLAGS, Host
from support.patience import until
from support.sizes import size


@pytest.fixture(params=["postgres", "redis"])
def address(request):
    return f"{getattr(servers, request.param)()}?namespace=test-{uuid4().hex}"


@pytest.fixture
def person(address):
    """Somebody on another host."""
    with pf.connect(FLAGS, store=address, poll=None, control=False) as flags:
        yield flags


@pytest.fixture
def made():
    hosts = []
    yield lambda *what: hosts.append(Host(*what)) or hosts[-1]
    for host in hosts:
        host.close()


def arrives(host: Host, person: pf.Flags) -> None:
    """A kill, and taking it back, are in every process."""
    person.kill("plain")
    host.until(lambda serves, _: not any(serves))
    person.unkill("plain")
    host.until(lambda serves, _: all(serves))


def alone(does: str) -> bool:
    """It goes to the server by itself because of who asks: that one stands still, and may have been stopped in the midst of writing."""
    return "goes to the server by itself" in does and ("the process that asks" in does or "has been locked by another process" in does)


def test_a_host_has_one_connection(made, tmp_path):
    """Each needs one for a moment, to say what it serves; and lets go of it."""
    psycopg = pytest.importorskip("psycopg")
    own = f"progflags_{uuid4().hex[:12]}"
    address = urlsplit(servers.postgres())
    with psycopg.connect(address.geturl(), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {own}")
        try:
            host = made(address._replace(path=f"/{own}").geturl(), tmp_path / "host", 4)
            host.settled()
            count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
            until(lambda: server.execute(count, (own,)).fetchone() == (1,))
        finally:
            server.execute(f"DROP DATABASE {own} WITH (FORCE)")


def test_what_another_host_does_arrives(made, address, person, tmp_path):
    host = made(address, tmp_path / "made" / "by us", 3)
    host.settled()
    arrives(host, person)


def test_who_asks_is_killed(made, address, person, tmp_path):
    """Again and again, and another takes over; what was done meanwhile arrives."""
    host = made(address, tmp_path, 3)
    for _ in range(size(2, full=20)):
        host.settled()
        host.kill(host.asking())
        arrives(host, person)
        host.add()


def test_who_asks_stands_still(made, address, person, tmp_path):
    """The others go to the server by themselves, and follow again when it goes on: what it knew then is not put over what is."""
    host = made(address, tmp_path, 3)
    host.settled()
    asking = host.asking()
    os.kill(asking, signal.SIGSTOP)
    others = {pid: worker for pid, worker in host.workers.items() if pid != asking}
    everybody, host.workers = host.workers, others
    person.kill("plain")
    host.until(lambda serves, does: not any(serves) and all(alone(one) for one in does))
    host.workers = everybody
    os.kill(asking, signal.SIGCONT)
    host.settled()
    host.until(lambda serves, _: not any(serves))
    person.unkill("plain")
    host.until(lambda serves, _: all(serves))


class Slow:
    """Definitions that take long: until whoever asks for the host has said a third time that it lives."""

    name = "slow"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> list[Piece]:
        (file,) = self.folder.glob("progflags-*.db")
        with closing(SQLiteStore(file)) as copy:
            until(lambda: copy.board.collect(f"{OWN}host")[0].seq >= 3)
        return [Piece(self.name, "toml", b"[flags.plain]\npercent = 100\n")]


def test_who_asks_says_that_it_lives_while_it_still_begins(address, tmp_path):
    """Where everything starts at once that takes long enough for the others to take it for silent."""
    with pf.connect(Slow(tmp_path), store=address, host_cache=tmp_path) as flags:
        assert flags.is_enabled("plain", "u")


def test_one_that_could_not_begin_leaves_no_thread(address, tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(DefinitionError):
        pf.connect(tmp_path / "none.toml", store=address, host_cache=tmp_path)
    until(lambda: not any(thread.name == "progflags" for thread in set(threading.enumerate()) - before))


def test_the_folder_is_gone(made, address, person, tmp_path):
    """Nobody waits for it; and it is used again after a while."""
    host = made(address, tmp_path / "host", 3)
    host.settled()
    shutil.rmtree(tmp_path / "host")
    arrives(host, person)
    host.settled()
    arrives(host, person)


def test_the_folder_cannot_be_used(made, address, person, tmp_path):
    """Each goes to the server, as without it, and says why."""
    (tmp_path / "host").write_text("a file")
    host = made(address, tmp_path / "host", 2)
    host.until(lambda _, does: all("goes to the server by itself" in one and "File exists" in one for one in does))
    arrives(host, person)


def test_a_full_disk(made, address, person, tmp_path):
    """What can't be written is not waited for."""
    resource = pytest.importorskip("resource")
    host = made(address, tmp_path / "host", 3)
    host.settled()
    for pid in host.workers:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    arrives(host, person)
    host.until(lambda _, does: all("goes to the server by itself" in one for one in does))


def test_everything_that_was_counted_is_judged_once(made, address, person, tmp_path):
    """Two hosts of two, whoever looks: what it has in the end is what everybody recorded."""
    hosts = [made(address, tmp_path / name, 2) for name in ("one", "two")]
    for host in hosts:
        host.settled()
    person.rollouts.start("climbs")
    counted = 0

    def judged() -> int:
        record = person.rollouts._parts.ledger.page("climbs").record
        return 0 if record is None or record.evidence is None else record.evidence.totals.candidate.requests

    until(lambda: all(host.counting() for host in hosts))
    for host in hosts:
        for number, wishes in enumerate(host.wishes.values(), 10):
            wishes.put(number)
            counted += number
    until(lambda: judged() >= counted, said=judged)
    for _ in range(2):
        for host in hosts:
            for wishes in host.wishes.values():
                wishes.put(7)
                counted += 7
    until(lambda: judged() >= counted, said=judged)
    assert judged() == counted


@pytest.mark.parametrize("store", [None, "sqlite:///here.db", "memory://here"])
def test_a_store_that_is_no_server_has_nothing_to_share(store, tmp_path):
    with pytest.raises(ValueError, match="host_cache is for a store on a server: name one in store="):
        pf.connect(FLAGS, store=store, host_cache=tmp_path)
