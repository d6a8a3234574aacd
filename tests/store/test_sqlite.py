"""What the SQLite store promises beyond the contract: damage is noticed, nothing of value is overwritten, forks are safe."""

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zlib

import pytest

from progflags.errors import ConflictError, StoreError
from progflags.store import Commit, SQLiteStore, open_store
from progflags.store import _sqlite_schema as schema
from progflags.store._sqlite_board import _age
from progflags.testing import ManualClock, StoreContract

KILLED = {"v": 1, "share": 0, "killed": {"reason": "checkout fails", "by": "ann", "at": 0}, "counting": False, "run": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def store(path):
    store = SQLiteStore(path, busy=0.3)
    yield store
    store.close()


class TestWithWriteAheadLog(StoreContract):
    """The contract again with the journal that newer versions of SQLite get."""

    @pytest.fixture(autouse=True)
    def _fixed_sqlite(self, monkeypatch):
        monkeypatch.setattr(schema, "journal_for", lambda version: "wal")

    def make_store(self):
        return SQLiteStore(self.folder / "state.db")

    def join(self, store):
        return SQLiteStore(store.path)

    def test_the_journal_is_one(self, tmp_path):
        """Else the tests above tested nothing new."""
        self.folder = tmp_path
        store = self.make_store()
        store.commit(Commit({"a": {}}))
        assert (tmp_path / "state.db-wal").exists()
        store.close()


# Which file it is.


def test_a_url_names_a_relative_or_an_absolute_file(tmp_path, monkeypatch):
    """Three slashes and four; a later change of directory does not matter."""
    monkeypatch.chdir(tmp_path)
    relative, absolute = open_store("sqlite:///a%20b.db"), open_store(f"sqlite:///{tmp_path}/c.db")
    monkeypatch.chdir("/")
    relative.commit(Commit({"a": {}}))
    absolute.commit(Commit({"a": {}}))

    assert relative.path == tmp_path / "a b.db"
    assert absolute.path == tmp_path / "c.db"
    again = open_store(relative.url.replace(" ", "%20"))
    assert again.read()[1].keys() == {"a"}
    for store in (relative, absolute, again):
        store.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite://x.db", "sqlite:///x.db?mode=ro", "sqlite:///:memory:?", "mysql://x", "state.db", ""],
)
def test_what_is_no_address_is_refused_with_the_forms_there_are(url):
    """A typing error makes no file with a strange name."""
    with pytest.raises(ValueError, match="sqlite:///relative.db"):
        open_store(url)


def test_a_missing_folder_is_named(tmp_path):
    """And not made: a mount that is not there yet must not be hidden by a folder."""
    with pytest.raises(StoreError, match="nowhere does not exist"):
        SQLiteStore(tmp_path / "nowhere" / "state.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_no_database(tmp_path):
    """The message says what to check."""
    with pytest.raises(StoreError, match="check that the path is a file"):
        SQLiteStore(tmp_path)


def test_another_programs_database_is_refused_and_left_as_it_was(path):
    """Byte for byte."""
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE users (id)")
    theirs.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="another program's database"):
        SQLiteStore(path)
    assert path.read_bytes() == before


def test_a_newer_version_is_refused_and_left_as_it_was(path):
    """An older progflags does not guess what a newer one meant."""
    SQLiteStore(path).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 2")
    file.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="newer progflags.*upgrade"):
        SQLiteStore(path)
    assert path.read_bytes() == before


# The journal.


@pytest.mark.parametrize(
    ("version", "journal"),
    [
        ((3, 40, 1), "delete"), ((3, 44, 5), "delete"), ((3, 44, 6), "wal"), ((3, 45, 0), "delete"), ((3, 50, 6), "delete"),
        ((3, 50, 7), "wal"), ((3, 51, 0), "delete"), ((3, 51, 2), "delete"), ((3, 51, 3), "wal"), ((4, 0, 0), "wal"),
    ],
)  # fmt: skip
def test_wal_only_where_its_reset_is_fixed(version, journal):
    """3.7.0 to 3.51.2 can corrupt the file; 3.44.6 and 3.50.7 have the correction too."""
    assert schema.journal_for(version) == journal


def test_a_wal_file_is_taken_over_by_an_affected_version_alone_or_not_at_all(path, monkeypatch):
    """With nobody else there the journal changes; with somebody there the store is refused, not endangered."""
    with monkeypatch.context() as newer:
        newer.setattr(schema, "journal_for", lambda version: "wal")
        theirs = SQLiteStore(path)
        theirs.commit(Commit({"a": {}}))
    monkeypatch.setattr(schema, "journal_for", lambda version: "delete")

    with pytest.raises(StoreError, match=r"locked by another process|has a wal journal"):
        SQLiteStore(path, busy=0.1)
    theirs.close()
    mine = SQLiteStore(path)
    assert list(mine.read()[1]) == ["a"]
    mine.close()
    assert path.read_bytes()[18:20] == b"\x01\x01"  # the header's "not WAL"


# Damage.


def test_random_byte_flips_never_change_an_answer_silently(path, tmp_path):
    """500 files with one to four bytes flipped: what is read is what was written, or StoreError; nothing else is raised."""
    store = SQLiteStore(path)
    for n in range(1, 40):
        store.commit(Commit({"flag/a": {**KILLED, "run": n}, f"flag/{n}": {"share": n}}, entries=[("rollout/a", {"n": n})], id=str(n)))
    truth = store.read(), store.history("rollout/a")
    store.close()
    whole, dice = path.read_bytes(), random.Random(7)
    noticed = 0

    for trial in range(500):
        torn = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            torn[dice.randrange(len(torn))] ^= dice.randint(1, 255)
        damaged = tmp_path / f"{trial}.db"
        damaged.write_bytes(torn)
        try:
            store = SQLiteStore(damaged, busy=0.05)
            assert (store.read(), store.history("rollout/a")) == truth
            store.close()
        except StoreError as error:
            noticed += str(damaged) in str(error)
        damaged.unlink()

    assert noticed > 100, noticed  # else the flips hit nothing and the loop proves nothing


def test_a_damaged_file_is_named_left_alone_and_served_again_once_replaced(store, path):
    """The remedy is in the message; nothing is written to the file; a good copy in its place is taken up."""
    store.commit(Commit({"flag/a": KILLED}))
    good = path.read_bytes()
    torn = good[:9000] + b"\xff" * 12000 + good[21000:]
    (path.parent / "torn.db").write_bytes(torn)
    os.replace(path.parent / "torn.db", path)

    for act in (lambda: store.commit(Commit({"flag/a": {"share": 1_000_000}})), store.revision, store.read, lambda: SQLiteStore(path)):
        with pytest.raises(StoreError, match=r"damaged .* move it aside"):
            act()
    assert path.read_bytes() == torn

    (path.parent / "copy.db").write_bytes(good)
    os.replace(path.parent / "copy.db", path)
    assert store.read()[1]["flag/a"].body == KILLED


def test_a_row_changed_behind_our_back_is_noticed(store, path):
    """A share edited by hand, with SQLite's own tool, is not what was decided."""
    store.commit(Commit({"flag/a": {"share": 10_000}}))
    with sqlite3.connect(path) as hand:
        hand.execute("""UPDATE documents SET body = '{"share":1000000}'""")
    hand.close()

    with pytest.raises(StoreError, match="flag/a does not match its checksum"):
        store.read()


def test_a_row_removed_behind_our_back_is_noticed(store, path):
    """A kill that vanished would be an unkill."""
    store.commit(Commit({"flag/a": KILLED, "flag/b": {}}))
    with sqlite3.connect(path) as hand:
        hand.execute("DELETE FROM documents WHERE key = 'flag/a'")
    hand.close()

    with pytest.raises(StoreError, match="seal"):
        store.commit(Commit({"flag/b": {"n": 1}}))
    with pytest.raises(StoreError, match="damaged"):
        store.read()


def test_a_missing_line_of_history_is_noticed(store, path):
    """Numbers have no gaps."""
    store.commit(Commit({}, entries=[("s", {"n": n}) for n in range(4)]))
    with sqlite3.connect(path) as hand:
        hand.execute("DELETE FROM history WHERE number = 2")
    hand.close()

    with pytest.raises(StoreError, match="missing from the history of s"):
        store.history("s")


def test_a_deleted_file_is_an_error_and_never_made_anew(store, path):
    """An empty store would mean: every kill undone. Put back, it serves again."""
    store.commit(Commit({"flag/a": KILLED}))
    os.rename(path, path.with_suffix(".aside"))

    for act in (store.revision, store.read, lambda: store.commit(Commit({}))):
        with pytest.raises(StoreError, match="gone: put it back"):
            act()
    assert not path.exists()

    os.rename(path.with_suffix(".aside"), path)
    assert store.read()[1]["flag/a"].body == KILLED


def test_a_file_emptied_or_replaced_by_an_older_copy_is_refused(store, path, tmp_path):
    """Revisions do not go back while a process remembers the higher one."""
    store.commit(Commit({"flag/a": {"share": 1}}))
    shutil.copy(path, tmp_path / "old.db")
    shutil.copy(path, tmp_path / "older.db")
    store.commit(Commit({"flag/a": {"share": 0}}))
    shutil.copy(path, tmp_path / "newer.db")
    os.replace(tmp_path / "old.db", path)
    for act in (store.revision, store.read, lambda: store.commit(Commit({}))):
        with pytest.raises(StoreError, match="went back from revision 2 to 1"):
            act()

    shutil.copyfile(tmp_path / "newer.db", path)
    assert store.read()[1]["flag/a"].body == {"share": 0}
    shutil.copyfile(tmp_path / "older.db", path)  # over it: the same file, with the content of before
    for act in (store.read, store.revision, lambda: store.commit(Commit({}))):
        with pytest.raises(StoreError, match="went back from revision 2 to 1"):
            act()

    (tmp_path / "empty.db").touch()
    os.replace(tmp_path / "empty.db", path)
    with pytest.raises(StoreError, match="is empty, and was not before"):
        store.read()
    assert path.stat().st_size == 0


# Trouble.


def test_a_lock_that_is_not_released_ends_in_an_error_within_busy(store, path):
    """Meanwhile other threads of this process can still read."""
    store.commit(Commit({"a": {}}))
    theirs = sqlite3.connect(path, isolation_level=None)
    theirs.execute("BEGIN IMMEDIATE")
    caught = []

    def write():
        try:
            store.commit(Commit({"a": {}}))
        except StoreError as error:
            caught.append(str(error))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert store.revision() == 1
        time.sleep(0.005)
    theirs.execute("ROLLBACK")
    theirs.close()

    assert len(caught) == 1
    assert re.search(r"locked by another process for \d+\.\d s", caught[0])
    assert store.commit(Commit({"a": {}})) == 2


def test_a_full_disk_is_an_error_with_nothing_written(store):
    """The same commit succeeds once there is room."""
    store.commit(Commit({"a": {"n": 1}}))
    store._file._connection.execute("PRAGMA max_page_count = 12")
    with pytest.raises(StoreError, match="free some space"):
        store.commit(Commit({"a": {"n": 2, "long": "x" * 100_000}}, {"a": 1}, id="big"))

    assert store.read()[1]["a"].body == {"n": 1}
    assert store.commit(Commit({"a": {"n": 2, "long": "x" * 100_000}}, {"a": 1}, id="big")) == 2


def test_a_conflict_leaves_no_transaction_behind(store):
    """The next commit of another process is not kept waiting."""
    store.commit(Commit({"a": {}}))
    with pytest.raises(ConflictError):
        store.commit(Commit({"a": {}}, {"a": 0}))
    assert not store._file._connection.in_transaction


def test_old_commit_ids_are_forgotten(store, monkeypatch):
    """The table does not grow for ever."""
    monkeypatch.setattr("progflags.store._sqlite.REMEMBERED", 5)
    for n in range(20):
        store.commit(Commit({}, id=str(n)))
    (kept,) = store._file.run(lambda connection: connection.execute("SELECT count(*) FROM commits").fetchone())
    assert kept == 5


# Age.


def test_age_is_monotonic_within_a_boot_and_at_least_the_uptime_across_one():
    """A wall clock set back by a day makes nobody young."""
    assert _age(True, 12.0, by_wall=-86_400.0, uptime=1e6) == 12.0
    assert _age(False, 12.0, by_wall=-86_400.0, uptime=300.0) == 300.0
    assert _age(False, 12.0, by_wall=900.0, uptime=300.0) == 900.0
    assert _age(True, -5.0, by_wall=10.0, uptime=300.0) == 300.0


def test_a_rows_age_does_not_follow_the_wall_clock(path):
    """An hour forward on the wall, two seconds on the monotonic clock: two seconds."""
    clock = ManualClock(100.0, wall=1.8e9)
    store = SQLiteStore(path, clock=clock)
    store.board.publish("t", "w", 1, b"")
    clock.step_wall(3600)
    clock.advance(2)
    assert store.board.collect("t")[0].age == 2.0
    store.close()


@pytest.mark.parametrize("jump", [3600, -3600])
def test_its_time_does_not_follow_the_wall_clock_of_its_host(path, jump):
    """Nor does it to a process that opens the file after the clock was set; it moves no revision."""
    clock = ManualClock(100.0, wall=1.8e9)
    store = SQLiteStore(path, clock=clock)
    assert store.now() == 1.8e9
    clock.step_wall(jump)
    clock.advance(2)
    later = SQLiteStore(path, clock=clock)

    assert (store.now(), later.now(), later.revision()) == (1.8e9 + 2, 1.8e9 + 2, 0)
    later.close()
    store.close()


@pytest.mark.parametrize("boot", ["another", "unknown"])
def test_its_time_begins_anew_with_the_machine(path, boot, monkeypatch):
    """Across a boot there is nothing but the wall clock; where boots have no names one is known by a clock that began again."""
    monkeypatch.setattr("progflags.store._sqlite_board.boot", lambda: "" if boot == "unknown" else "first")
    store = SQLiteStore(path, clock=ManualClock(5000.0, wall=1.8e9))
    assert store.now() == 1.8e9
    monkeypatch.setattr("progflags.store._sqlite_board.boot", lambda: "" if boot == "unknown" else "second")
    again = SQLiteStore(path, clock=ManualClock(10.0, wall=1.9e9))

    assert (again.now(), again.now()) == (1.9e9, 1.9e9)
    again.close()
    store.close()


# Forks.

BUSY_FORKS = """
import os, signal, sys, threading, time
from progflags.store import Commit, SQLiteStore, _sqlite_fork
from progflags.testing._counting import count

_sqlite_fork._FORK = 60.0  # after it a fork goes ahead and the child is refused the file: what a slow disk does is not tried here
store = SQLiteStore(sys.argv[1], busy=60)
stop = threading.Event()

def work():
    while not stop.is_set():
        store.commit(Commit({"busy": {}}))
        store.read()
        store.board.publish("t", str(threading.get_ident()), time.monotonic_ns(), b"x" * 1000)
        time.sleep(0.01)

threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
stuck = 0
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        signal.alarm(100)
        count(store, 1)
        os._exit(0)
    stuck += os.waitpid(child, 0)[1] != 0
stop.set()
for thread in threads:
    thread.join(100)
print(stuck, store.read("count")[1]["count"].body["n"])
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_at_any_moment_under_busy_threads_leaves_a_working_child(path):
    """100 forks while 8 threads commit, read and publish on the same store: every child commits, none hangs."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", BUSY_FORKS, path, "100"], capture_output=True, text=True, timeout=600
    )
    assert done.stdout.split() == ["0", "100"], done.stderr


def test_spawned_processes_open_their_own(path):
    """A store does not travel in a pickle; its url does."""
    import pickle

    store = SQLiteStore(path)
    with pytest.raises(TypeError):
        pickle.dumps(store)
    store.close()


def test_two_hundred_openings_leave_nothing_open(path):
    """No descriptor and no thread."""
    SQLiteStore(path).close()
    threads = threading.active_count()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(200):
        SQLiteStore(path).close()
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    assert after <= before
    assert threading.active_count() <= threads


def test_the_checksum_covers_key_revision_and_text():
    """Each of the three changes it."""
    assert len({schema.row_sum(*row) for row in [("a", 1, "{}"), ("b", 1, "{}"), ("a", 2, "{}"), ("a", 1, "[]")]}) == 4
    assert schema.row_sum("a", 1, "{}") == zlib.crc32(b"a\x001\x00{}")
