"""A SQLite file that changes under a rollout: noticed, never written to again, and what serves goes on serving."""

from __future__ import annotations

import random

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.store import SQLiteStore
from progflags.testing import ManualClock
from support.sizes import size

from .conftest import FLAG, rollout_table

PEOPLE = 300


def served(flags):
    return [flags.is_enabled(FLAG, f"u{n}") for n in range(PEOPLE)]


def climbing(path):
    """A rollout at its second stage, in the middle of its bake."""
    clock = ManualClock(wall=1_800_000_000.0)
    flags = pf.connect({"flags": {FLAG: {"rollout": rollout_table(brake=False)}}}, store=f"sqlite:///{path}", clock=clock)
    flags.rollouts.start(FLAG)
    for _ in range(20):
        look(flags, clock)
    assert flags.rollouts.status(FLAG).percent == 50
    return flags, clock


def look(flags, clock):
    for arm in ("control", "candidate"):
        flags.metrics.record(FLAG, arm=arm, seconds=0.1, error=False, n=50)
    clock.advance(5)
    return flags.rollouts.tick()


def documents(path):
    store = SQLiteStore(path)
    try:
        return store.read()
    finally:
        store.close()


def another_stage(path, whole):
    """The file with one digit of the rollout's document changed: stage 1 becomes stage 0. Older copies of the page don't count."""
    at = -1
    while (at := whole.find(b'"stage":1', at + 1)) >= 0:
        path.write_bytes(whole[: at + 8] + b"0" + whole[at + 9 :])
        try:
            documents(path)
        except StoreError:
            return path.read_bytes()
    raise AssertionError("the document is not in the file")


@pytest.mark.sized
def test_flipped_bytes_change_no_share_silently_and_stop_no_flag(tmp_path):
    """One byte after the other, anywhere in the file: the same documents or a StoreError that names it; the same answers always."""
    path, chance = tmp_path / "state.db", random.Random(6)
    flags, clock = climbing(path)
    flags._store._late.open()._file._let_go()
    whole, kept, before = path.read_bytes(), documents(path), served(flags)
    noticed = 0
    for _ in range(size(250, full=500)):
        torn = bytearray(whole)
        at = chance.randrange(len(torn))
        torn[at] ^= 1 << chance.randrange(8)
        path.write_bytes(torn)
        try:
            assert documents(path) == kept, at
        except StoreError as error:
            assert str(path) in str(error)
            noticed += 1
            assert path.read_bytes() == torn  # neither repaired nor replaced
        assert served(flags) == before
    assert noticed > size(250, full=500) / 10
    path.write_bytes(whole)
    flags.close()


def test_a_running_rollout_stands_still_on_a_damaged_file_and_goes_on_with_the_whole_one(tmp_path):
    path = tmp_path / "state.db"
    flags, clock = climbing(path)
    flags._store._late.open()._file._let_go()  # what a busy host does to a page cache
    whole, before = path.read_bytes(), served(flags)
    torn = another_stage(path, whole)

    for _ in range(40):
        assert look(flags, clock) == ()
    assert served(flags) == before
    assert flags.status().state == "DEGRADED"
    assert str(path) in flags.status().store_problem
    assert path.read_bytes() == torn

    aside = tmp_path / "aside"
    aside.write_bytes(whole)
    aside.replace(path)  # a person put the copy back: another file, to a store that had refused the one before
    flags.refresh()
    assert flags.status().state == "READY"
    assert flags.rollouts.status(FLAG).percent == 50
    while flags.rollouts.status(FLAG).state != "completed":
        look(flags, clock)
    flags.close()


def test_a_rollback_on_a_damaged_file_holds_here(tmp_path):
    path = tmp_path / "state.db"
    flags, _ = climbing(path)
    flags._store._late.open()._file._let_go()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * 200 + whole[300:])

    assert flags.rollouts.rollback(FLAG, by="ann").state == "rolling_back"
    assert not any(served(flags))
    flags.close()
