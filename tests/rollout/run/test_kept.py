"""A rollback that could not be stored outlives the process that wanted it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from urllib.parse import urlsplit

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.rollout import State
from progflags.rollout.run._brake import Intent
from progflags.rollout.run._kept import Kept
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House
from rollout.faults import Wrapped, violations
from rollout.places import KINDS, place
from support import servers
from support.proxy import Proxy


class Outage:
    """A store that several houses share, and that is out of reach while `down`."""

    def __init__(self, folder):
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.store = MemoryStore(str(folder), clock=self.clock)
        self.folder, self.down = folder, False

    def house(self):
        return House(Wrapped(self.store, before=self._before), self.clock, keep=self.folder)

    def _before(self, _):
        if self.down:
            raise StoreError("gone")

    @property
    def files(self):
        return sorted(self.folder.glob("rollback-*")) if self.folder.exists() else []


@pytest.fixture
def outage(tmp_path):
    return Outage(tmp_path / "kept")


def started(outage):
    house = outage.house()
    house.rollouts.start(FLAG)
    house.run(20)
    outage.down = True
    return house


def test_it_waits_in_a_file_for_its_owner_alone_until_it_is_stored(outage):
    house = started(outage)
    assert house.rollouts.rollback(FLAG, reason="smoke", by="ann").state is State.ROLLING_BACK
    (file,) = outage.files
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.stat().st_mtime_ns
    house.run(60)
    assert outage.files == [file]
    assert file.stat().st_mtime_ns == before  # written once, however often it is tried

    outage.down = False
    house.run(5)
    assert outage.files == []
    assert house.status().state is State.ROLLED_BACK


def test_the_next_process_carries_it_on_and_serves_nobody_meanwhile(outage):
    started(outage).rollouts.rollback(FLAG, reason="smoke", by="ann")
    outage.down = False
    house = outage.house()  # it reads a store in which the candidate is served

    assert house.exposed() == 0
    assert house.status().state is State.ROLLING_BACK
    (done, last) = house.rollouts.tick()
    assert (last.target, last.actor, last.reason) == (State.ROLLED_BACK, "ann", "smoke")
    assert done.actor == "ann"
    assert outage.files == []
    assert violations(outage.store, FLAG) == []


def test_a_brakes_rollback_is_kept_by_the_first_tick_that_cannot_store_it(outage):
    house = started(outage)
    house.clock.advance(30)  # what went well is long ago
    for _ in range(25):
        house.recorder.record(FLAG, arm="candidate", seconds=0.1, error=True)
    assert outage.files == []  # not in the request that pulled it
    house.run(5, n=1)
    assert len(outage.files) == 1

    outage.down = False
    next_one = outage.house()
    next_one.rollouts.tick()
    assert next_one.status().state is State.ROLLED_BACK
    assert outage.files == []


def test_nothing_in_the_folder_is_waited_for_and_what_a_kill_left_goes(outage):
    """A FIFO under a name of ours holds nobody up; a file being written aside hours ago is nobody's any more."""
    started(outage).rollouts.rollback(FLAG)
    os.mkfifo(outage.folder / "rollback-000000000000000000000000.json")
    left = outage.folder / ".rollback-left"
    left.write_text("half")
    os.utime(left, (0, 0))

    outage.down = False
    assert outage.house().status().state is State.ROLLING_BACK
    assert not left.exists()


def test_several_processes_carry_it_once(outage):
    started(outage).rollouts.rollback(FLAG)
    outage.down = False
    houses = [outage.house() for _ in range(3)]
    steps = [step for house in houses for step in house.rollouts.tick()]
    for house in houses:
        house.rollouts.tick()

    assert [step.target for step in steps] == [State.ROLLING_BACK, State.ROLLED_BACK]
    assert outage.files == []
    assert violations(outage.store, FLAG) == []


def test_one_that_was_overtaken_rolls_nothing_back(outage):
    """Somebody else rolled it back and started it anew: that run is another."""
    started(outage).rollouts.rollback(FLAG)
    outage.down = False
    other = House(outage.store, outage.clock)
    other.rollouts.rollback(FLAG)
    other.rollouts.retry(FLAG, force=True)
    late = outage.house()

    assert late.rollouts.tick() == ()
    assert outage.files == []
    assert other.status().state is State.RAMPING
    assert late.exposed() > 0


def test_whoever_asked_is_told_when_it_was_overtaken(outage, caplog):
    """A rollback that will not happen is no secret: who asked, for what, and what to do if it is meant."""
    asked = started(outage)
    assert asked.rollouts.rollback(FLAG, reason="support is on the phone", by="ann").pending
    other = House(outage.store, outage.clock)
    other.rollouts.rollback(FLAG)
    other.rollouts.retry(FLAG, force=True)
    outage.down = False
    for _ in range(3):
        asked.rollouts.tick()

    told = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(told) == 1
    for word in (FLAG, "ann", "support is on the phone", "run 2"):
        assert word in told[0]
    assert not asked.status().pending
    assert asked.exposed() > 0


def test_overtaken_in_a_process_without_the_controller_it_does_not_stay_on_disk(outage):
    """Else the next process would be started with it, and the one after."""
    asked = started(outage)
    asked.rollouts.rollback(FLAG)
    other = House(outage.store, outage.clock)
    other.rollouts.rollback(FLAG)
    outage.down = False
    asked.refresh()
    asked.rollouts.publish()

    assert outage.files == []


def test_on_a_full_disk_it_is_of_the_run_that_stands_there(tmp_path):
    """The store can be read and not written, and this process last looked in an earlier run: the rollback is of the run there is."""
    clock, full = ManualClock(wall=1_800_000_000.0), []
    store = MemoryStore(clock=clock)

    def before(what):
        if what in full:
            raise StoreError("no space left")

    late, other = House(Wrapped(store, before=before), clock, keep=tmp_path), House(store, clock)
    late.rollouts.start(FLAG)
    other.rollouts.rollback(FLAG)
    other.rollouts.retry(FLAG, force=True)
    full.append("commit")
    status = late.rollouts.rollback(FLAG, reason="stop")

    assert (status.state, status.pending, status.run) == (State.ROLLING_BACK, True, 2)
    assert late.exposed() == 0
    late.refresh()
    assert late.exposed() == 0
    assert [json.loads(path.read_text())["body"]["run"] for path in tmp_path.glob("rollback-*")] == [2]
    full.clear()
    late.rollouts.tick()
    assert other.status().state is State.ROLLED_BACK
    assert list(tmp_path.glob("rollback-*")) == []


def test_a_process_without_the_controller_carries_it_too(outage):
    house = started(outage)
    house.rollouts.rollback(FLAG)
    house.rollouts.publish()
    outage.down = False
    house.refresh()
    house.rollouts.publish()

    assert house.status().state is State.ROLLED_BACK
    assert outage.files == []


def test_it_is_served_to_nobody_before_the_store_is_asked(house):
    """A store that takes its time to fail does not prolong what a person wants to end."""
    seen = []
    store = Wrapped(house.store)
    slow = House(store, house.clock)
    store.before = lambda what: seen.append((what, slow.exposed(people=50)))
    slow.rollouts.start(FLAG)
    slow.rollouts.promote(FLAG)
    assert slow.exposed() > 30
    seen.clear()
    slow.rollouts.rollback(FLAG)

    assert {share for _, share in seen} == {0}


def test_stored_and_not_read_again_it_is_served_to_nobody_here(house):
    """The commit was taken, and then the store went away: the process that asked does not wait for it to come back."""
    store = Wrapped(house.store)
    one = House(store, house.clock)
    one.rollouts.start(FLAG)
    one.rollouts.promote(FLAG)

    def gone(_):
        raise StoreError("gone")

    store.after = lambda what: setattr(store, "before", gone) if what == "commit" else None
    one.rollouts.rollback(FLAG)
    assert one.exposed() == 0
    assert House(house.store, house.clock).status().state is State.ROLLED_BACK


def test_a_refused_rollback_leaves_it_served(outage, monkeypatch):
    house = outage.house()
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG)
    served = house.exposed()
    monkeypatch.setattr(house.rollouts._verbs, "carry", lambda *_: (_ for _ in ()).throw(pf.TransitionRefused("no")))
    with pytest.raises(pf.TransitionRefused):
        house.rollouts.rollback(FLAG)

    assert house.exposed() == served
    assert house.client.pinned(FLAG) is None


@pytest.mark.parametrize("text", [b"", b"{", b'{"sha256": "x", "body": {"v": 1}}', b"[]", b'{"sha256": "", "body": {"v": 2}}'])
def test_a_torn_or_foreign_file_is_passed_over(tmp_path, text):
    Kept(tmp_path, "a").keep({"x": Intent(1, "smoke", "ann")})
    (tmp_path / "rollback-torn.json").write_bytes(text)

    assert Kept(tmp_path, "a").read() == {"x": Intent(1, "smoke", "ann")}
    assert Kept(tmp_path, "b").read() == {}


def test_an_edited_file_is_passed_over(tmp_path):
    Kept(tmp_path, "a").keep({"x": Intent(1, "smoke", "ann")})
    (file,) = tmp_path.glob("*")
    file.write_text(file.read_text().replace("ann", "bob"))

    assert Kept(tmp_path, "a").read() == {}


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file" / "folder", "a")
    kept.keep({"x": Intent(1, "", "ann")})

    assert kept.read() == {}


CHILD = """
import json, sys
import progflags as pf
from progflags.store import SQLiteStore
address, folder, table = sys.argv[1:]
store = SQLiteStore(address.removeprefix("sqlite:///"), busy=0.2) if address.startswith("sqlite") else address
flags = pf.connect({"flags": {"new-checkout": {"rollout": json.loads(table)}}}, store=store, poll=None, last_known_good=folder)
print(flags.rollouts.start("new-checkout").state, flush=True)
input()
print(flags.rollouts.rollback("new-checkout", reason="smoke", by="ann").state, flush=True)
print(sum(flags.is_enabled("new-checkout", f"u{n}") for n in range(200)), flush=True)
input()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_the_store_is_down_it_is_carried_by_the_next_process(kind, tmp_path):
    """kill -9 of the only process that knew of it."""
    table = {"stages": [{"percent": 50, "bake": "1h"}]}
    with place(kind, tmp_path) as address:
        down, up, behind, close = way(kind, address)
        try:
            command = [sys.executable, "-c", CHILD, behind, str(tmp_path / "kept"), json.dumps(table)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout.readline() == "ramping\n"
                down()
                child.stdin.write("\n")
                child.stdin.flush()
                assert child.stdout.readline() == "rolling_back\n"
                assert child.stdout.readline() == "0\n"
                child.kill()
                assert child.wait(30) == -signal.SIGKILL
            up()
            source = {"flags": {FLAG: {"rollout": table}}}
            with pf.connect(source, store=behind, poll=None, last_known_good=tmp_path / "kept") as flags:
                assert flags.rollouts.status(FLAG).state is State.ROLLING_BACK
                assert not any(flags.is_enabled(FLAG, f"u{n}") for n in range(200))
                flags.rollouts.tick()
                status = flags.rollouts.status(FLAG)
                assert (status.state, status.actor, status.reason) == (State.ROLLED_BACK, "ann", "smoke")
            assert list((tmp_path / "kept").glob("rollback-*")) == []
        finally:
            close()


def way(kind, address, *, mode="refuse"):
    """How to take the store away and bring it back, and the address by which it can be taken."""
    if kind == "sqlite":
        other = closing(sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False))
        lock = other.__enter__()
        return lambda: lock.execute("BEGIN EXCLUSIVE"), lambda: lock.execute("ROLLBACK"), address, lock.close
    parts = urlsplit(getattr(servers, kind)())
    proxy = Proxy(parts.hostname, parts.port)
    place, at, _ = parts.netloc.rpartition("@")
    behind = parts._replace(netloc=f"{place}{at}127.0.0.1:{proxy.port}", query=urlsplit(address).query).geturl()

    def down():
        proxy.mode = mode
        if mode == "refuse":
            proxy.drop()

    def up():
        proxy.mode = "pass"
        if mode == "silent":
            proxy.drop()  # nobody answers what was asked meanwhile

    return down, up, behind, proxy.close


SHARING = """
import json, sys
import progflags as pf
address, folder, flag = sys.argv[1:]
flags = pf.connect({"flags": {flag: {"percent": 100}}}, store=address, poll=None, last_known_good=folder)
print("ready", flush=True)
input()
flags.kill(flag, reason="smoke", by=flag, timeout=1)
print(flags.is_enabled(flag, "u"), len(flags.status().pending), flush=True)
input()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_processes_with_sources_of_their_own_share_the_folder(kind, tmp_path):
    """Each kills its flag while the store is away, both are killed (-9), both start again: each kill is carried, and once."""
    names = ("one", "two")
    with place(kind, tmp_path) as address:
        down, up, behind, close = way(kind, address)
        try:
            program = [sys.executable, "-c", SHARING, behind, str(tmp_path / "kept")]
            children = [subprocess.Popen([*program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in names]
            for child in children:
                assert child.stdout.readline() == "ready\n"
            down()
            for child in children:
                child.stdin.write("\n")
                child.stdin.flush()
            assert [child.stdout.readline() for child in children] == ["False 1\n"] * 2
            for child in children:
                child.kill()
                child.communicate(timeout=30)
            assert len(list((tmp_path / "kept").glob("switch-*"))) == 2
            up()
            for name in names:
                with pf.connect({"flags": {name: {"percent": 100}}}, store=behind, poll=None, last_known_good=tmp_path / "kept") as flags:
                    assert not flags.is_enabled(name, "u")
                    flags.refresh()
            with pf.connect({"flags": {name: {"percent": 100} for name in names}}, store=behind, poll=None) as flags:
                assert [[change.actor for change in flags.changes(name) if change.kind == "kill"] for name in names] == [["one"], ["two"]]
                assert not any(flags.is_enabled(name, "u") for name in names)
            assert list((tmp_path / "kept").glob("switch-*")) == []
        finally:
            close()


def test_a_later_word_of_another_process_is_neither_overwritten_nor_removed(tmp_path):
    """Its kill is in the file when ours is stored at last, or when we get to write ours: it waits there for its next process."""
    ours, theirs = (Intent(0, why, who, on=on, at=at) for why, who, on, at in (("a", "ann", False, 1.0), ("b", "bob", True, 2.0)))
    one, two = (Kept(tmp_path, "sqlite:///s.db", "switch") for _ in range(2))
    one.keep({"x": ours})
    two.keep({"x": theirs})

    one.keep({"x": ours, "y": ours})
    one.keep({})
    assert Kept(tmp_path, "sqlite:///s.db", "switch").read() == {"x": theirs}

    late = Kept(tmp_path, "sqlite:///s.db", "switch")
    late.keep({"x": ours})
    assert Kept(tmp_path, "sqlite:///s.db", "switch").read() == {"x": theirs}
    two.keep({})
    assert Kept(tmp_path, "sqlite:///s.db", "switch").read() == {}
