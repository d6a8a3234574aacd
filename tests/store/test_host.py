"""What the processes of a host count reaches the server once, whichever way it goes; and who is given the folder's lock."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.canary import Pool, Summed, Totals, Window
from progflags.errors import StoreError, WentBackError
from progflags.store import Commit, MemoryStore, SQLiteStore, open_store
from progflags.store.host import HostStore, _sign
from progflags.store.host._copy import Copy
from progflags.store.host._duty import Duty, Part
from progflags.store.host._lock import Lock
from progflags.store.host._sign import OWN, Sign
from support.patience import PATIENCE
from support.sizes import size

FLAG, REVISION = "flag", 7


@pytest.fixture
def made(tmp_path):
    """Stores of one host, before a server that lasts as long as this process."""
    address, stores = f"memory://{uuid4().hex}", []

    def make(**how):
        stores.append(HostStore(address, lambda: open_store(address), how.pop("folder", tmp_path), rows=Summed(), tends=True))
        return stores[-1]

    make.address = address
    yield make
    for store in stores:
        store.close()


class Worker:
    """A process that counts, and puts up what it counted: in the folder, or on the server."""

    def __init__(self, number: int, address: str, folder: str) -> None:
        self.store = HostStore(address, lambda: open_store(address), Path(folder), rows=Summed(), tends=True)
        self.pool = Pool(self.store.board, f"worker-{number}")
        self.counted = self.put = 0

    def step(self, what: str, number: int) -> None:
        if what == "count":
            self.counted += number
        elif what == "put":
            self.put = self.counted
            self.pool.publish(Window(FLAG, REVISION, {"candidate": Totals(requests=self.counted)}))
        elif what == "carry":
            self.store._board.carry(at_once=number % 2 == 0)
        else:
            self.store._duty.part = Part(what)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["count", "put", "put", "carry", Part.APART, Part.ASKS, Part.FOLLOWS]), st.integers(0, 9)),
    max_size=40,
)


@settings(max_examples=size(40, full=1000))
@given(STEPS)
def test_nothing_is_counted_twice_and_in_the_end_everything_once(steps):
    """However often a process goes to the server by itself and comes back, and however late rows are sent up."""
    server = MemoryStore(uuid4().hex)
    judge, seen = Pool(server.board, "judge"), 0
    with tempfile.TemporaryDirectory() as folder:
        workers = [Worker(number, server.url, folder) for number in range(3)]
        try:
            for who, what, number in [*steps, *((n, what, 0) for what in ("put", "carry") for n in range(3))]:
                workers[who].step(what, number)
                before, seen = seen, judge.collect(FLAG, REVISION).candidate.requests
                assert before <= seen <= sum(worker.put for worker in workers)
            assert seen == sum(worker.counted for worker in workers)
        finally:
            for worker in workers:
                worker.store.close()


def test_rows_that_add_up_are_one_row_of_the_host_and_others_stay_what_they_are(made):
    asks = made()
    for worker, requests in (("a", 3), ("b", 4)):
        Pool(asks.board, worker).publish(Window(FLAG, REVISION, {"candidate": Totals(requests=requests)}))
        asks.board.publish("processes", worker, 1, worker.encode())
    (row,) = asks.board.collect(f"{FLAG}@{REVISION}")
    assert row.worker == asks._duty.host
    assert [(row.worker, row.body) for row in asks.board.collect("processes")] == [("a", b"a"), ("b", b"b")]


def test_a_row_that_cannot_be_read_takes_nobody_elses_with_it(made):
    asks = made()
    Pool(asks.board, "a").publish(Window(FLAG, REVISION, {"candidate": Totals(requests=3)}))
    asks.board.publish(f"{FLAG}@{REVISION}", "b", 1, b"no window")
    asks.board.collect(f"{FLAG}@{REVISION}")
    assert Pool(open_store(made.address).board, "judge").collect(FLAG, REVISION).candidate.requests == 3


def test_what_one_before_us_sent_up_is_not_sent_again(made, monkeypatch):
    """A topic that was taken down meanwhile does not come back with who takes over."""
    first = made()
    first.board.publish("processes", "a", 1, b"old")
    first.tend()
    first.close()
    open_store(made.address).board.clear("processes")
    with monkeypatch.context() as later:
        later.setattr("progflags.store.host._board._FRESH", 0.0)
        second = made()
        second.tend()
    assert second.board.collect("processes") == ()
    second.board.publish("processes", "a", 2, b"new")
    assert [row.body for row in second.board.collect("processes")] == [b"new"]


def test_topics_that_nobody_uses_are_taken_down(made, monkeypatch):
    monkeypatch.setattr("progflags.store.host._board._OLD", 0.0)
    monkeypatch.setattr("progflags.store.host._board._SWEEP", 0.0)
    asks = made()
    asks.board.publish("processes", "a", 1, b"")
    asks.tend()
    assert [topic for topic, _ in asks._duty.copy.up() if not topic.startswith("\0")] == []


def test_a_topic_keeps_the_rows_of_the_dead_and_the_host_its_name(made, monkeypatch):
    """What they counted is in the sum that was sent up, and has to stay in it; a name of its own would count everybody twice."""
    monkeypatch.setattr(SQLiteStore, "_lives", 0.0)
    asks = made()
    for worker in "ab":
        Pool(asks.board, worker).publish(Window(FLAG, REVISION, {"candidate": Totals(requests=3)}))
    asks.board.clear("another")
    assert {worker for topic, worker in asks._duty.copy.up() if topic == f"{FLAG}@{REVISION}"} == {"a", "b"}
    host = asks._duty.host
    asks.close()
    assert made()._duty.host == host


def test_a_server_that_takes_no_rows_is_said_to_everybody(made):
    """Each process is to know it before it matters, as without the folder."""
    asks = made()
    follows = made()
    follows._duty._lock.take = lambda: False
    with asks._line.use() as server:
        server._closed = True
    asks.board.publish("processes", "a", 1, b"")
    asks.tend()
    follows.tend()
    with pytest.raises(StoreError, match="closed"):
        follows.board.publish("processes", "b", 1, b"")
    with asks._line.use() as server:
        server._closed = False
    asks.tend()
    follows.tend()
    follows.board.publish("processes", "b", 1, b"")


def test_a_server_that_went_back_is_followed_once_that_was_accepted(made):
    """What lies in the folder is newer then, and is replaced all the same."""
    asks, follows = made(), made()
    follows._duty._lock.take = lambda: False
    for number in range(3):
        asks.commit(Commit({"a": {"n": number}}))
    follows.tend()
    assert follows.revision() == 3
    emptied = MemoryStore(uuid4().hex)
    emptied.commit(Commit({"b": {}}))
    asks._line._late.store = emptied
    asks.accept()
    asks.tend()
    with pytest.raises(WentBackError):
        follows.revision()
    follows.accept()
    assert follows.read() == emptied.read()


def test_an_older_state_is_not_put_over_a_newer_one(tmp_path):
    """Of whoever read it before it was stopped for a while."""
    store, copy = MemoryStore(), Copy(tmp_path / "copy.db")
    store.commit(Commit({"a": {"n": 1}}))
    old = store.read()
    store.commit(Commit({"a": {"n": 2}, "b": {}}))
    copy.keep(*store.read())
    copy.keep(*old)
    assert copy.read() == store.read()
    store.commit(Commit({"b": None}))
    copy.keep(*store.read())
    assert copy.read() == store.read()
    copy.close()


TAKES = "import sys; from pathlib import Path; from progflags.store.host._lock import Lock; print(Lock(Path(sys.argv[1])).take())"


def elsewhere(path: Path) -> bool:
    """Whether another process is given the lock."""
    done = subprocess.run([sys.executable, "-c", TAKES, str(path)], capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.strip() == "True"


def test_one_process_has_the_lock_and_a_child_of_it_has_not(tmp_path):
    path = tmp_path / "lock"
    lock = Lock(path)
    assert lock.take()
    assert lock.take()
    assert not elsewhere(path)
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writes, b"1" if lock.take() else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 1) == b"0"
    assert not elsewhere(path), "what the child closed was the child's"
    lock.release()
    assert elsewhere(path)


@pytest.mark.parametrize("what", ["closed", "emptied", "another"])
def test_a_lock_is_had_again_whatever_became_of_its_file(what, tmp_path):
    path = tmp_path / "lock"
    lock = Lock(path)
    lock.take()
    if what == "closed":
        os.close(lock._file)
    else:
        path.unlink()
        if what == "another":
            path.touch()
    assert lock.take()
    assert not elsewhere(path)
    lock.release()


def test_those_that_lose_their_folder_do_not_all_go_to_the_server_at_once(made, tmp_path, monkeypatch):
    """Each after a moment of its own, in which it has no store."""
    monkeypatch.setattr("progflags.store.host._duty._SPREAD", 1e9)
    store = made()
    store._duty.lost(OSError("the folder is gone"))
    assert store._duty.part is Part.WAITS
    for asks in (store.revision, lambda: store.hint(0.0), lambda: store.board.publish("processes", "a", 1, b"")):
        with pytest.raises(StoreError, match="waits for a process that asks"):
            asks()
    monkeypatch.setattr("progflags.store.host._duty._SPREAD", 0.0)
    other = made()
    other._duty.lost(OSError("the folder is gone"))
    assert other.revision() == 0
    assert other.note == "goes to the server by itself: the folder is gone. It only holds what the server has, so it may be removed"


def test_who_has_begun_is_waited_for_before_it_is_silent(tmp_path, monkeypatch):
    """It has the lock and opens its connection: others that start then don't each go to the server for it. Nor do they wait for ever."""

    def beside(first: float) -> Duty:
        duty = Duty(tmp_path, "one", tends=True)
        duty._first = first  # the moment is over that one waits in any case
        monkeypatch.setattr(duty._lock, "take", lambda: False)
        return duty

    asks, waits, late = Duty(tmp_path, "one", tends=True), beside(0.0), beside(0.0)
    assert asks.look() is Part.ASKS
    assert waits.look() is Part.WAITS
    asks.say(Sign("asks"))
    assert waits.look() is Part.FOLLOWS
    assert asks.look() is Part.ASKS
    assert asks.copy is not None
    asks.copy.board.clear(f"{OWN}host")
    monkeypatch.setattr(_sign, "_BEGINNING", 0.0)
    assert late.look() is Part.APART
    for duty in (asks, waits, late):
        duty.close()


def test_a_command_beside_a_running_host_reads_the_folder(made, tmp_path):
    """It does not take the lock, for it will not do what goes with it."""
    asks = made()
    asks.commit(Commit({"a": {}}))

    def opening():
        pytest.fail("the server was asked")

    store = HostStore(made.address, opening, tmp_path, rows=Summed(), tends=False)
    assert store.read() == asks.read()
    store.close()


def test_a_command_on_a_host_where_nothing_runs_asks_the_server(made, tmp_path):
    server = open_store(made.address)
    server.commit(Commit({"a": {}}))
    store = HostStore(made.address, lambda: open_store(made.address), tmp_path, rows=Summed(), tends=False)
    assert store.read() == server.read()
    store.close()


class Telling(MemoryStore):
    """A server that says when it moved, and with each row where it stands."""

    deaf, told = "", False

    @property
    def board(self):
        board, put = super().board, super().board.publish
        board.publish = lambda *row: put(*row) or self.revision()
        return board

    def hint(self, timeout: float) -> bool:
        told, self.told = self.told, False
        return told


@pytest.fixture
def telling(made, tmp_path):
    """A process that asks such a server, one that follows it, and the server."""
    server = Telling(made.address.removeprefix("memory://"))
    asks = HostStore(made.address, lambda: server, tmp_path, rows=Summed(), tends=True)
    follows = made()
    follows._duty._lock.take = lambda: False
    follows.tend()
    assert (asks._duty.part, follows._duty.part) == (Part.ASKS, Part.FOLLOWS)
    yield asks, follows, server
    asks.close()


def test_what_is_heard_lies_in_the_folder_before_anybody_looks(telling):
    """The process that asks may be busy with its own: its others wait for the folder alone."""
    asks, follows, server = telling
    server.commit(Commit({"a": {}}))
    assert follows.revision() == 0
    server.told = True
    assert asks.hint(0.0)
    assert follows.revision() == 1


def test_what_nobody_is_told_of_lies_in_the_folder_with_the_next_row(telling):
    """A commit of another host's looker is quiet, and a hint may be lost: the server's answer to what is sent up says where it stands."""
    asks, follows, server = telling
    server.commit(Commit({"a": {}}, quiet=True))
    asks.tend()
    assert follows.revision() == 0
    follows.board.publish("processes", "a", 1, b"")
    asks.tend()
    assert follows.revision() == 1


def test_who_comes_back_to_a_folder_that_is_behind_does_not_go_back(telling):
    """What it was told by the server, while it asked by itself, or by its own commit, it never sees undone."""
    asks, follows, server = telling
    follows.commit(Commit({"a": {"n": 1}}))
    server.commit(Commit({"a": {"n": 2}}))
    follows._duty.part = Part.APART
    assert follows.revision() == 2
    follows._duty.part = Part.FOLLOWS
    assert follows._duty.copy.revision() == 1
    assert (follows.revision(), follows.read()) == (2, server.read())
    asks.revision()
    follows._line.close()
    assert follows.read() == server.read(), "from the folder again, which has come as far"
