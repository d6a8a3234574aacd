"""Six stages; in each, who is read, who is written, and in which order."""

import asyncio

import pytest

import progflags as pf
from progflags.darklaunch import Migration, Stage
from progflags.darklaunch._migration import STEPS

from .conftest import make_client

VARIANTS = {stage.value: stage.value for stage in Stage}


class Shelf:
    """A small store that remembers who asked it for what."""

    def __init__(self, name, log):
        self.name, self.log, self.rows, self.down = name, log, {}, False

    def get(self, key):
        self.log.append(f"read {self.name}")
        if self.down:
            raise ConnectionError(self.name)
        return self.rows.get(key)

    def put(self, key, value):
        self.log.append(f"write {self.name}")
        if self.down:
            raise ConnectionError(self.name)
        self.rows[key] = value
        return self.name

    async def aget(self, key):
        return self.get(key)

    async def aput(self, key, value):
        return self.put(key, value)


def migration(stage, executor="inline", **options):
    flags = make_client({"store": {"variants": VARIANTS, "default": stage, "safe": "off"}})
    log = []
    old, new = Shelf("old", log), Shelf("new", log)
    moved = Migration("store", read=(old.get, new.get), write=(old.put, new.put), flags=flags, executor=executor, **options)
    return moved, old, new, log


TABLE = {
    "off": ("old", ["read old"], ["write old"]),
    "dualwrite": ("old", ["read old"], ["write old", "write new"]),
    "shadow": ("old", ["read old", "read new"], ["write old", "write new"]),
    "live": ("new", ["read new", "read old"], ["write new", "write old"]),
    "rampdown": ("new", ["read new"], ["write new", "write old"]),
    "complete": ("new", ["read new"], ["write new"]),
}


@pytest.mark.parametrize("stage", TABLE)
def test_each_stage_reads_and_writes_what_its_row_says(stage):
    moved, old, new, log = migration(stage)
    leader, reads, writes = TABLE[stage]
    old.rows, new.rows = {1: "old's"}, {1: "new's"}

    assert moved.read("user", 1) == f"{leader}'s"
    assert log == reads
    log.clear()
    assert moved.write("user", 2, "x") == leader
    assert log == writes


@pytest.mark.parametrize("stage", ["shadow", "live"])
def test_reads_are_compared_old_against_new_whoever_answers(stage):
    moved, old, new, _ = migration(stage, reveal=["$.total"])
    old.rows, new.rows = {1: {"total": 1}}, {1: {"total": 2}}
    moved.read("user", 1)

    sample = moved.dark_launch.report()["causes"][0]["samples"][0]
    assert (sample["control"]["value"], sample["candidate"]["value"]) == (1, 2)


@pytest.mark.parametrize("stage", TABLE)
def test_the_leaders_failure_is_the_callers_and_the_other_is_not_written(stage):
    moved, old, new, log = migration(stage)
    leader = old if TABLE[stage][0] == "old" else new
    leader.down = True

    with pytest.raises(ConnectionError, match=leader.name):
        moved.write("user", 1, "x")
    assert log == [f"write {leader.name}"]


@pytest.mark.parametrize("stage", ["dualwrite", "shadow", "live", "rampdown"])
def test_the_others_failure_is_not_the_callers_and_is_kept_for_repair(stage):
    repaired = []
    for repair, kept in ((None, 1), (repaired.append, 0)):
        moved, old, new, _ = migration(stage, repair=repair)
        other = new if TABLE[stage][0] == "old" else old
        other.down = True

        assert moved.write("user", 1, "x") == TABLE[stage][0]
        assert len(moved.unrepaired) == kept
    assert (repaired[0].behind, repaired[0].args) == (other.name, (1, "x"))


async def test_coroutines_move_the_same_way():
    moved, old, new, log = migration("shadow")
    moved = Migration("store", read=(old.aget, new.aget), write=(old.aput, new.aput), flags=moved.dark_launch.gate.client)

    assert await moved.awrite("user", 1, "x") == "old"
    assert await moved.aread("user", 1) == "x"
    assert await moved.dark_launch.adrain()
    assert log == ["write old", "write new", "read old", "read new"]
    assert moved.dark_launch.stats().outcomes["match"] == 1


def test_an_unknown_flag_is_stage_off():
    moved, *_ = migration("live")
    moved.flag = "unknown"

    assert moved.stage("user") is Stage.OFF


def test_no_step_loses_writes():
    """One stage at a time; never back from the stage in which the old store misses writes."""
    order = list(Stage)
    for source, targets in STEPS.items():
        assert all(abs(order.index(source) - order.index(target)) == 1 for target in targets)
    assert STEPS[Stage.COMPLETE] == frozenset()
    Migration.check("off", "dualwrite")
    Migration.check("live", "live")
    with pytest.raises(ValueError, match="dualwrite"):
        Migration.check("off", "live")
    with pytest.raises(ValueError, match="missed writes"):
        Migration.check("complete", "rampdown")


@pytest.mark.parametrize("stage", ["dualwrite", "live"])
async def test_a_write_that_the_caller_did_not_wait_for_is_kept_for_repair(stage):
    """A client that leaves cancels its request between the two writes: one store has it, and somebody must know."""
    moved, old, new, _ = migration(stage)
    reached = asyncio.Event()
    behind = old if stage == "live" else new

    async def slow(key, value):
        reached.set()
        await asyncio.Event().wait()

    first, second = (new.aput, slow) if stage == "live" else (old.aput, slow)
    moved._write = (second, first) if stage == "live" else (first, second)
    request = asyncio.create_task(moved.awrite("u", "k", 1))
    await reached.wait()
    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request
    assert [(missed.behind, missed.args) for missed in moved.unrepaired] == [(behind.name, ("k", 1))]


async def test_a_cancellation_of_the_second_stores_own_is_its_failure():
    moved, _old, _, _ = migration("dualwrite")

    async def fails(key, value):
        raise asyncio.CancelledError

    moved._write = (_old.aput, fails)

    assert await moved.awrite("u", "k", 1) == "old"
    assert [missed.behind for missed in moved.unrepaired] == ["new"]


def test_an_exit_amid_the_second_write_goes_on_and_the_write_is_kept():
    """gunicorn ends a worker by raising SystemExit wherever it is."""
    moved, old, _, _ = migration("dualwrite")

    def ends(key, value):
        raise SystemExit(0)

    moved._write = (old.put, ends)

    with pytest.raises(SystemExit):
        moved.write("u", "k", 1)
    assert [(missed.behind, missed.args) for missed in moved.unrepaired] == [("new", ("k", 1))]


def test_only_the_share_that_was_asked_for_is_read_from_both():
    """By user, as everywhere; `run_if` likewise, and it gets the read's arguments."""
    moved, _, _, log = migration("shadow", sample=0.25, run_if=lambda key: key != "never")
    for n in range(400):
        moved.read(f"user-{n}", "k")
    shadowed = log.count("read new")
    for n in range(400):
        moved.read(f"user-{n}", "k")
    assert log.count("read new") == 2 * shadowed
    assert 60 <= shadowed <= 140
    for _ in range(40):
        moved.read(None, "never")

    stats = moved.dark_launch.stats()
    assert log.count("read new") == 2 * shadowed == stats.outcomes["match"]
    assert stats.calls == sum(stats.outcomes.values()) == log.count("read old") == 840


@pytest.mark.parametrize("who", ["u", {"targeting_key": "u", "plan": "pro"}, pf.Context("u"), 7, None])
def test_whoever_can_be_asked_about_can_be_sampled(who):
    moved, _, _, log = migration("shadow", sample=0.999999)
    moved.read(who, "k")
    assert log == ["read old", "read new"]
