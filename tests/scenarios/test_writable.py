"""A store that can be read and not written is no store to rely on, and the status says so."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

import progflags as pf
from progflags._connect import _reach
from progflags.errors import StoreError
from progflags.rollout.run import _processes
from progflags.store import MemoryStore, open_store
from support import servers
from support.patience import until
from support.tracer import may_trace

SOURCE = {"flags": {"x": {"percent": 100}}}


class Full(MemoryStore):
    """Somebody's own store, whose disk is full while `full`."""

    full = False

    def commit(self, commit):
        if self.full:
            raise StoreError("no space left on device")
        return super().commit(commit)

    @property
    def board(self):
        if self.full:
            raise StoreError("no space left on device")
        return super().board


def test_a_write_that_failed_is_in_the_status_until_one_succeeds():
    store = Full()
    with pf.connect(SOURCE, store=store, poll=None) as flags:
        assert flags.status().writable
        store.full = True
        flags.kill("x")
        status = flags.status()
        assert (status.state, status.writable) == ("DEGRADED", False)
        assert "no space left" in status.write_problem
        assert status.store_problem == ""
        assert status.to_dict()["writable"] is False
        assert not flags.is_enabled("x", "u")
        store.full = False
        flags.refresh()
        assert flags.status().state == "READY"
        assert flags.status().writable
        assert flags.status().pending == ()


def test_nobody_has_to_write_to_find_out(monkeypatch):
    """A process that only reads tells from time to time that it is there; and tries, where it could not, until it can again."""
    monkeypatch.setattr(_reach, "_PROBE_AGAIN", 0.05)
    monkeypatch.setattr(_processes, "_EVERY", 0.05)
    store = Full()
    with pf.connect(SOURCE, store=store, poll=0.05) as flags:
        until(lambda: store._memory.revision == 1)  # which definitions serve is noted once
        store.full = True
        until(lambda: not flags.status().writable)
        store.full = False
        until(lambda: flags.status().writable)
        assert flags.status().state == "READY"
    assert {topic for topic, _ in store._memory.rows} == {"processes"}
    assert store._memory.revision == 1


def test_a_file_that_may_not_be_written(tmp_path):
    """As on a disk that is full: the limit of a file's size says no to a write, whoever asks."""
    code = f"""
import resource, signal
import progflags as pf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
flags = pf.connect({SOURCE!r}, store="sqlite:///{tmp_path / "x.db"}", poll=None)
flags.kill("x"); flags.unkill("x")
before = flags.status()
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
flags.kill("x")
during = flags.status()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
flags.refresh()
after = flags.status()
print(before.state, before.writable, during.state, during.writable, bool(during.write_problem), after.state, after.writable, after.pending)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said == "READY True DEGRADED False True READY True ()\n"


CHILD = """
import json, sys
import progflags as pf
flags = pf.connect({"flags": {"x": {"percent": 100}}}, store=f"sqlite:///{sys.argv[1]}", poll=None)
for line in sys.stdin:
    flags.kill("x") if line == "kill\\n" else flags.refresh()
    status = flags.status()
    told = {"state": status.state, "writable": status.writable, "problem": status.write_problem, "said": str(status)}
    print(json.dumps(told | {"pending": len(status.pending), "served": flags.is_enabled("x", "u")}), flush=True)
"""


@contextlib.contextmanager
def child(folder, *before):
    """What a process whose store is a file in `folder` says of it, once it was told `kill` or `look`."""
    command = [*before, sys.executable, "-c", CHILD, str(folder / "state.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def say(word):
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            yield process.pid, say
        finally:
            process.kill()


@contextlib.contextmanager
def failing(pid, fault):
    """The kernel answers that process so, for as long as the block lasts."""
    command = [shutil.which("strace"), "-f", "-p", str(pid), "-o", "/dev/null", "-e", f"trace={fault.partition(':')[0]}"]
    with subprocess.Popen([*command, "-e", f"inject={fault}"], stderr=subprocess.PIPE, text=True) as tracer:
        try:
            assert "attached" in tracer.stderr.readline()
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


def taken(before, during, after, words):
    """It was well, then said why it was not and served the kill all the same, and then had it stored."""
    assert (before["state"], before["writable"], before["problem"]) == ("READY", True, "")
    assert (during["state"], during["writable"], during["pending"], during["served"]) == ("DEGRADED", False, 1, False)
    assert words in during["problem"]
    assert f"store takes no writes: {during['problem']}" in during["said"]
    assert (after["state"], after["writable"], after["pending"], after["served"]) == ("READY", True, 0, False)


DISKS = {
    "EIO when it writes": ("pwrite64:error=EIO", "disk I/O error"),
    "EIO when it syncs": ("fdatasync,fsync:error=EIO", "disk I/O error"),
    "ENOSPC": ("pwrite64:error=ENOSPC", "full"),
    "EROFS": ("pwrite64:error=EROFS", "disk I/O error"),
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_fails(disk, tmp_path):
    """Errors of the operating system's own, in the middle of a life."""
    if not may_trace():
        servers.missing("tracer (strace), or leave to trace", "PATH")
    fault, words = DISKS[disk]
    with child(tmp_path) as (pid, say):
        before = say("look")
        with failing(pid, fault):
            during = say("kill")
        taken(before, during, say("look"), words)


def test_a_disk_that_is_full(tmp_path):
    """A file system of 256 KiB: the last byte of it is somebody else's, until they are so kind."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be made here: {made.stderr.strip()}; test_a_disk_that_fails has its errors from a tracer")
    try:
        with child(tmp_path) as (_, say):
            before = say("look")
            with contextlib.suppress(OSError), (tmp_path / "others").open("wb", buffering=0) as others:
                while True:
                    others.write(b"x" * 512)
            during = say("kill")
            (tmp_path / "others").unlink()
            taken(before, during, say("look"), "full")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_file_that_is_read_only(tmp_path):
    """Its owner may not write it, nor anything beside it: what is decided holds here, and is stored once they may."""
    folder, file = tmp_path / "mounted", tmp_path / "mounted" / "state.db"
    folder.mkdir()
    open_store(f"sqlite:///{file}").close()
    file.chmod(0o444)
    folder.chmod(0o555)
    with child(folder, *ORDINARY) as (_, say):
        during = say("kill")
        folder.chmod(0o755)
        file.chmod(0o644)
        after = say("look")

    assert (during["state"], during["writable"], during["pending"], during["served"]) == ("DEGRADED", False, 1, False)
    assert "readonly" in during["said"]
    assert (after["state"], after["writable"], after["pending"], after["served"]) == ("READY", True, 0, False)


#: What takes from root the right to write everybody's files, before a command.
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A server of our own, for what these tests do to it."""
    servers.redis()
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        servers.missing("Redis server's program", "PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("redis"))
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        client = __import__("redis").Redis(port=port)
        began = time.monotonic()
        while time.monotonic() < began + 30:
            with contextlib.suppress(OSError, __import__("redis").RedisError):
                client.ping()
                break
            time.sleep(0.05)
        yield client, f"redis://127.0.0.1:{port}/0"
        client.close()
        server.terminate()


ALL = ("ACL", "SETUSER", "default", "+@all")
TROUBLES = {
    "out of memory": ("OutOfMemoryError", lambda c: c.config_set("maxmemory", "1"), lambda c: c.config_set("maxmemory", "0")),
    "read-only": ("ReadOnlyError", lambda c: c.replicaof("127.0.0.1", "1"), lambda c: c.replicaof("NO", "ONE")),
    "too few replicas": (
        "NOREPLICAS",
        lambda c: c.config_set("min-replicas-to-write", "1"),
        lambda c: c.config_set("min-replicas-to-write", "0"),
    ),
    "no permission to write": (
        "can't run this command",
        lambda c: c.execute_command("ACL", "SETUSER", "default", "-hset"),
        lambda c: c.execute_command(*ALL),
    ),
    "no permission for scripts": (
        "NoPermissionError",
        lambda c: c.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval"),
        lambda c: c.execute_command(*ALL),
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_redis_that_takes_no_writes(redis, trouble):
    """The status has the server's own word for it."""
    client, address = redis
    word, begin, end = TROUBLES[trouble]
    with pf.connect(SOURCE, store=f"{address}?namespace={trouble.replace(' ', '-')}", poll=None) as flags:
        begin(client)
        try:
            flags.kill("x")
            status = flags.status()
            assert (status.state, status.writable) == ("DEGRADED", False)
            assert word in (status.write_problem or status.store_problem)
            assert word in str(status)
            assert not flags.is_enabled("x", "u")
        finally:
            end(client)
        until(lambda: (flags.refresh(), flags.status().writable)[1])
        flags.refresh()
        assert flags.status().pending == ()


def test_a_postgres_that_is_read_only(tmp_path):
    from rollout.places import place

    with place("postgres", tmp_path) as address, pf.connect(SOURCE, store=address, poll=None) as flags:
        connection = flags._store._late.open()._server._connection
        connection.execute("SET default_transaction_read_only = on")
        flags.kill("x")
        assert not flags.status().writable
        assert "read-only" in flags.status().write_problem
        connection.execute("SET default_transaction_read_only = off")
        flags.refresh()
        assert flags.status().writable
