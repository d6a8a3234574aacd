"""How long a rollout has stood where it stands: by the store's time, however wrong the clock of whoever looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from progflags.errors import StoreError, TransitionRefused
from progflags.rollout import State
from progflags.rollout.run._ages import Ages
from progflags.rollout.state import Record, dump, load
from progflags.store import MemoryStore, open_store
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import Wrapped
from rollout.places import KINDS, place

DAY = 86_400.0


class Told(MemoryStore):
    """A store with a clock of its own, as a server has; counts how often it is asked, and does not answer when told not to."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        super().__init__()
        self.time, self.asked, self.silent = start, 0, False

    def now(self) -> float:
        self.asked += 1
        if self.silent:
            raise StoreError("not now")
        return self.time


@pytest.fixture
def clock():
    return ManualClock(1000.0, wall=1_800_000_000.0)


@pytest.mark.parametrize("kind", ["memory", *KINDS])
@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_a_process_that_starts_after_its_clock_was_set_measures_a_cool_down_by_the_stores_time(kind, jump, tmp_path, clock):
    """The whole hour but the moments that have passed is left to one that begins a day later or earlier, as its own clock says."""
    with place(kind, tmp_path) as address:
        store = open_store(address, clock=clock)
        before = House(store, clock)
        before.rollouts.start(FLAG)
        before.rollouts.rollback(FLAG)
        clock.step_wall(jump)
        after = House(open_store(address, clock=clock), clock)

        assert 3600 - 120 < after.status().cool_down <= 3600
        with pytest.raises(TransitionRefused, match="cools down for another 3"):
            after.rollouts.retry(FLAG)
        after.rollouts.retry(FLAG, wait=True)
        clock.advance("1h")
        after.rollouts.tick()
        assert after.status().state is State.RAMPING
        after.store.close()
        store.close()


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_a_restart_after_a_jump_makes_no_shadow_shorter_and_none_longer(jump, clock):
    """What stands for an hour is an hour old to a process that begins with another day on its clock."""
    store, tables = MemoryStore(clock=clock), {FLAG: rollout_table(dark_launch="24h")}
    before = House(store, clock, tables)
    before.rollouts.shadow(FLAG, lambda: "SAFE")
    before.rollouts.start(FLAG)
    clock.advance("1h")
    clock.step_wall(jump)
    after = House(store, clock, tables)
    after.rollouts.shadow(FLAG, lambda: "SAFE")

    clock.advance("22h")
    assert after.rollouts.tick() == ()
    clock.advance("1h")
    after.rollouts.tick()
    assert after.status().state is State.RAMPING


def test_a_process_whose_clock_is_wrong_stamps_with_the_stores_time():
    """Its own wall clock, an hour behind, is for people; who reads it with a clock that is right sees no hour of a cool-down gone."""
    store = Told()
    wrong, right = ManualClock(5.0, wall=store.time - 3600), ManualClock(9.0, wall=store.time)
    house = House(store, wrong)
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)
    store.time += 600

    assert House(store, right).status().cool_down == 3000


def test_the_time_is_asked_for_once_in_ten_minutes_however_much_is_looked(clock):
    """A look costs no round trip more."""
    store = Told()
    house = House(store, clock, {FLAG: rollout_table(watch="2h")})
    house.rollouts.start(FLAG)
    for _ in range(59):
        store.time += 10
        clock.advance(10)
        house.traffic(5)
        house.rollouts.tick()
    assert store.asked == 1
    for _ in range(2):
        store.time += 10
        clock.advance(10)
        house.traffic(5)
        house.rollouts.tick()
    assert store.asked == 2


@pytest.mark.parametrize("pause", [3600.0, -3600.0], ids=["slept, or set forward", "set back"])
def test_it_is_asked_for_anew_where_our_own_clocks_part(pause, clock):
    """The monotonic clock does not count a machine's sleep: what was known of the store's time is wrong after it."""
    store = Told()
    ages = Ages(store, clock)
    assert ages.now() == store.time
    clock.step_wall(pause)
    store.time += 3600

    assert (ages.now(), store.asked) == (store.time, 2)


def test_a_store_that_cannot_say_is_asked_again_in_a_while_and_the_wall_clock_counts_meanwhile(clock):
    """No answer costs one question in ten seconds, and no cool-down."""
    store = Told()
    store.silent = True
    ages = Ages(store, clock)
    record = Record(FLAG, House(MemoryStore(), clock).rollouts.plan(FLAG), since=clock.now() - 60, began=store.time - 90)

    assert (ages.now(), ages.now(), store.asked) == (None, None, 1)
    assert ages.of(record) == 60
    store.silent = False
    clock.advance(10)
    assert ages.now() == store.time
    assert ages.of(replace(record, since=record.since + 1)) == 90


@pytest.mark.parametrize("says", [None, "noon", float("nan"), float("inf")])
def test_a_store_of_somebody_elses_without_a_time_works_as_before(says, clock):
    """By the wall clock where a process meets it first, by the monotonic one from there."""

    class Theirs(Wrapped):
        pass

    store = Theirs(MemoryStore())
    if says is not None:
        Theirs.now = lambda self: says
    house = House(store, clock)
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)
    clock.advance("10m")
    after = House(store, clock)
    assert after.status().cool_down == 3000
    clock.step_wall(DAY)
    assert after.status().cool_down == 3000


def test_a_record_written_before_there_was_a_stamp_is_read_and_goes_by_the_wall(clock):
    """And what is stamped is read again as it was written."""
    house = House(MemoryStore(clock=clock), clock)
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)
    body = dump(house.rollouts._parts.ledger.page(FLAG).record)
    assert load(body).began == clock.now()

    del body["began"]
    clock.advance("10m")
    assert load(body).began is None
    assert Ages(house.store, clock).of(load(body)) == 600


def test_no_clock_prolongs_a_cool_down_beyond_its_whole(clock):
    """A rollback from the future was now."""
    record = Record(FLAG, House(MemoryStore(), clock).rollouts.plan(FLAG), State.ROLLED_BACK, strikes=1, since=clock.now() + DAY)
    assert record.cooling(Ages(MemoryStore(clock=clock), clock).of(record)) == 3600
