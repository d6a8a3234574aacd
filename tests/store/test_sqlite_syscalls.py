"""
The SQLite store killed, and refused by the disk, at every system call of a commit in turn.

`strace` stops the writer at exactly the n-th write, sync, truncation or removal of a file, for every n until a run gets
through. What is left must be the state before or the state after, never anything between.
"""

import re
import subprocess
import sys

import pytest

from progflags.errors import StoreError
from progflags.store import Commit, SQLiteStore
from support.tracer import needs_strace, strace

pytestmark = [pytest.mark.slow, needs_strace]

# Light on imports: every run of it starts a Python. It begins with a mark in the trace (a file that is looked for).
WRITER = """
import os, sys
from progflags.store import Commit, SQLiteStore
from progflags.errors import StoreError
store = SQLiteStore(sys.argv[1])
try:
    os.stat("begin-here")
except OSError:
    pass
try:
    store.commit(Commit({"flag/a": {"share": 2}, "rollout/a": {"n": 2}}, {"flag/a": 1}, [("rollout/a", {"n": 2})], "second"))
    print("acknowledged")
except StoreError as error:
    print("error", error)
"""
CALLS = ["pwrite64", "fdatasync", "unlink", "fsync", "ftruncate"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def fresh(path):
    for left in path.parent.glob("state.db*"):
        left.unlink()
    store = SQLiteStore(path)
    store.commit(Commit({"flag/a": {"share": 1}, "rollout/a": {"n": 1}}, entries=[("rollout/a", {"n": 1})], id="first"))
    store.close()


def write(path, call, fault):
    command = [
        strace,
        "-f",
        "-o",
        str(path.parent / "trace"),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:{fault}",
        sys.executable,
        "-c",
        WRITER,
        str(path),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def times(path, call):
    """How often a whole, undisturbed commit makes this call."""
    fresh(path)
    trace = path.parent / "trace"
    done = subprocess.run(
        [strace, "-f", "-o", str(trace), "-e", f"trace={call},stat,newfstatat", sys.executable, "-c", WRITER, str(path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "acknowledged" in done.stdout, done.stderr
    before, _, after = trace.read_text().partition("begin-here")
    mark = re.compile(rf"\b{call}\(")
    return len(mark.findall(before)), len(mark.findall(after))


def check(path, done):
    """Before or after, in every part; what was acknowledged is after; and the same commit repeated ends after, once."""
    store = SQLiteStore(path)
    _, documents = store.read()
    history = [entry.body["n"] for entry in store.history("rollout/a")]
    state = (documents["flag/a"].body["share"], documents["rollout/a"].body["n"], history, store.revision())
    assert state in ((1, 1, [1], 1), (2, 2, [1, 2], 2)), state
    if "acknowledged" in done.stdout:
        assert state[0] == 2
    store.commit(Commit({"flag/a": {"share": 2}, "rollout/a": {"n": 2}}, {"flag/a": 1}, [("rollout/a", {"n": 2})], "second"))
    assert [entry.body["n"] for entry in store.history("rollout/a")] == [1, 2]
    assert store.revision() == 2
    store.close()


@pytest.mark.parametrize("call", CALLS)
def test_killed_at_every_call_of_a_commit(call, path):
    """SIGKILL at the n-th: before or after, and a retry with the same id ends after."""
    earlier, within = times(path, call)
    killed = 0
    for n in range(earlier + 1, earlier + within + 1):
        fresh(path)
        done = write(path, call, f"signal=SIGKILL:when={n}")
        killed += done.returncode != 0
        check(path, done)
    assert killed == within


@pytest.mark.parametrize(("call", "error"), [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO"), ("ftruncate", "EIO")])
def test_refused_by_the_disk_at_every_call_of_a_commit(call, error, path):
    """A full or a failing disk at the n-th call (every other of many), and from then on: StoreError naming the file, or success; before or after."""
    earlier, within = times(path, call)
    told = 0
    for n in range(earlier + 1, earlier + within + 1, 2 if within > 20 else 1):
        fresh(path)
        done = write(path, call, f"error={error}:when={n}+")
        assert done.returncode == 0, done.stderr
        if done.stdout.startswith("error"):
            told += 1
            assert str(path) in done.stdout
        check(path, done)
    assert told or not within


def test_a_store_that_cannot_be_written_is_an_error_and_heals(path):
    """In one process: the same handle goes on once the disk does."""
    fresh(path)
    store = SQLiteStore(path)
    store._file._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="writable"):
        store.commit(Commit({"flag/a": {}}))
    assert store.commit(Commit({"flag/a": {}})) == 2
    store.close()
