"""One process of a fleet looks at a rollout; the others put up what they counted, and take over when it is gone."""

from __future__ import annotations

import random

import pytest

from progflags._chance import chance
from progflags._connect._reach import Reach
from progflags.canary import Pool
from progflags.canary.sequential._planned import bounds
from progflags.rollout import State
from progflags.rollout.run import _rehearsal
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import violations

BATCH = 5.0
STEP = 1.0


class Fleet:
    """
    Processes over one store, whose backgrounds go on in small steps of one clock, in any order; each looks at the store every two seconds
    or so, as it might at a server. `looks`: who read everybody's windows.
    """

    def __init__(self, size: int, monkeypatch: pytest.MonkeyPatch, **table: object) -> None:
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.store = MemoryStore(clock=self.clock)
        self.houses = [House(_seldom_asked(self.store), self.clock, {FLAG: rollout_table(**table)}) for _ in range(size)]
        self.chance = random.Random(8)
        chance.seed(8)
        self.looks: list[str] = []
        collect = Pool.collect
        monkeypatch.setattr(Pool, "collect", lambda pool, *of: (self.looks.append(pool.worker), collect(pool, *of))[1])

    def go_on(self, seconds: float, *, without: House | None = None) -> None:
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            acts = [(act, house) for house in self.houses for act in (self._turn, self._look)]
            self.chance.shuffle(acts)
            for act, house in acts:
                if house is not without:
                    act(house)

    def _turn(self, house: House) -> None:
        house.traffic(10)
        house.rollouts.turn()

    def _look(self, house: House) -> None:
        if self.chance.random() < 0.5:
            house.store.glance.forget()
            house.refresh()

    def looker(self) -> House:
        record = self.houses[0].rollouts._parts.ledger.page(FLAG).record
        return next(house for house in self.houses if house.rollouts._parts.pool.worker == record.looker)


def _seldom_asked(store: MemoryStore) -> Reach:
    """As a client in the background reaches it: what was seen will do until the next look."""
    reach = Reach(store.url, lambda: store, store)
    reach.glance.interval = lambda: 3600.0
    return reach


@pytest.fixture
def fleet(monkeypatch):
    made = Fleet(8, monkeypatch)
    made.houses[0].rollouts.start(FLAG)
    return made


def test_one_of_eight_looks_and_all_are_counted(fleet):
    """A look is as many rows as there are processes: eight that look are sixty-four."""
    fleet.go_on(3 * BATCH)
    fleet.looks.clear()
    fleet.go_on(6 * BATCH)

    assert len(set(fleet.looks)) == 1
    assert 5 <= len(fleet.looks) <= 6
    assert fleet.houses[0].status().samples["candidate"] >= 8 * 10 * 5 * BATCH


def test_who_will_look_is_known_before_a_look_is_due(fleet):
    """The first of all loads the judge: by then the others have been told, and leave it to that one."""
    fleet.go_on(0.9 * BATCH)
    assert fleet.looks == []
    looker = fleet.looker()
    fleet.go_on(2 * BATCH)
    assert set(fleet.looks) == {looker.rollouts._parts.pool.worker}


def test_it_climbs_to_the_end_as_fast_as_a_process_alone(fleet, monkeypatch):
    alone = Fleet(1, monkeypatch)
    alone.houses[0].rollouts.start(FLAG)
    for each in (alone, fleet):
        while each.houses[0].status().state is not State.COMPLETED:
            each.go_on(BATCH)
        assert violations(each.store, FLAG) == []
    one, eight = (each.clock.monotonic() for each in (alone, fleet))

    assert eight <= one + 2 * BATCH


@pytest.mark.parametrize("attempt", range(20))
def test_another_takes_over_within_three_looks(fleet, attempt):
    """Whoever it is, and whenever it dies."""
    fleet.go_on(4 * BATCH + attempt / 4)
    gone = fleet.looker()
    before = gone.rollouts._parts.ledger.page(FLAG).revision
    fleet.go_on(3 * BATCH, without=gone)

    assert fleet.looker() is not gone
    assert fleet.houses[0].rollouts._parts.ledger.page(FLAG).revision > before
    assert violations(fleet.store, FLAG) == []


def test_one_of_those_that_have_waited_looks(fleet, monkeypatch):
    """However long the first look of who takes over takes: the others know of it before it is done."""
    fleet.go_on(4 * BATCH)
    gone = fleet.looker()
    fleet.looks.clear()
    collect, heirs = Pool.collect, []

    def collecting(pool, *of):
        heirs.append(pool.worker)
        if len(heirs) == 1:  # the look takes so long that everybody else comes by, their patience at an end
            fleet.clock.advance(BATCH)
            for house in fleet.houses:
                if house is not gone and house.rollouts._parts.pool.worker != pool.worker:
                    house.store.glance.forget()
                    house.rollouts.turn()
        return collect(pool, *of)

    monkeypatch.setattr(Pool, "collect", collecting)
    while not heirs:
        fleet.go_on(STEP, without=gone)

    assert len(heirs) == 1
    assert fleet.looker().rollouts._parts.pool.worker == heirs[0]


LONG = {"deadline": None, "stages": [{"percent": 50, "bake": "8h", "gates": [{"metric": "error_rate", "max_increase": 0.5}]}]}


def test_those_that_may_take_over_rehearse(monkeypatch):
    """Each once, and not all of a fleet in the same seconds."""
    fleet, rehearsed = Fleet(8, monkeypatch, **LONG), []
    fleet.houses[0].rollouts.start(FLAG)
    real = _rehearsal.look
    monkeypatch.setattr(_rehearsal, "look", lambda *of: (rehearsed.append(fleet.clock.monotonic()), real(*of))[1])
    fleet.go_on(2 * BATCH + 2 * _rehearsal._WITHIN)

    assert len(rehearsed) == 7  # but the one that looks
    assert max(rehearsed) - min(rehearsed) > _rehearsal._WITHIN / 4


def test_the_first_look_of_who_takes_over_is_a_short_one(monkeypatch):
    """What a process works out once in its life, it has by then; and nobody sees anything of how it came by that."""
    fleet = Fleet(2, monkeypatch, **LONG)
    fleet.houses[0].rollouts.start(FLAG)
    fleet.go_on(4 * BATCH)
    gone = fleet.looker()
    bounds.cache_clear()  # the other one is a process of its own
    before = gone.rollouts._parts.ledger.page(FLAG)
    (heir,) = (house for house in fleet.houses if house is not gone)
    rehearsal = _rehearsal.Rehearsal(fleet.clock)
    for _ in range(2):
        rehearsal.go_on([before], heir.rollouts._parts.pool.worker)
        fleet.clock.advance(_rehearsal._WITHIN)
    worked_out = bounds.cache_info().misses
    assert worked_out
    assert gone.rollouts._parts.ledger.page(FLAG) == before
    fleet.go_on(3 * BATCH, without=gone)

    assert fleet.looker() is heir
    assert bounds.cache_info().misses == worked_out


def test_one_that_slept_gives_way_when_it_wakes(fleet):
    """It decided on what is no more: its commit is refused, and it does not look again."""
    fleet.go_on(3 * BATCH)
    slept = fleet.looker()
    fleet.go_on(4 * BATCH, without=slept)
    taken = fleet.looker()
    slept.rollouts.turn()  # what it has of the store is old

    fleet.looks.clear()
    fleet.go_on(4 * BATCH)
    assert fleet.looker() is taken
    assert slept.rollouts._parts.pool.worker not in fleet.looks


def test_a_brake_waits_for_nobody(monkeypatch):
    """Who sees its candidate blow up rolls back with its next step, whoever looks."""
    fleet = Fleet(3, monkeypatch, brake=True)
    fleet.houses[0].rollouts.start(FLAG)
    fleet.go_on(3 * BATCH)
    other = next(house for house in fleet.houses if house is not fleet.looker())
    for _ in range(200):
        other.traffic(1, candidate=1.0, arms="candidate")
    other.rollouts.turn()

    assert other.status().state is State.ROLLED_BACK


def test_a_tick_by_hand_looks_whoever_looks_besides(fleet):
    """Who asks for a step gets one."""
    fleet.go_on(3 * BATCH)
    other = next(house for house in fleet.houses if house is not fleet.looker())
    other.rollouts.tick()  # sees what is there now
    fleet.clock.advance(BATCH)
    fleet.looks.clear()
    other.rollouts.tick()

    assert fleet.looks == [other.rollouts._parts.pool.worker]


def test_what_a_look_gathered_wakes_nobody(fleet, monkeypatch):
    """A commit of evidence is quiet; a step, and another looker, are told at once."""
    loud = []
    commit = MemoryStore.commit
    monkeypatch.setattr(MemoryStore, "commit", lambda store, one: (loud.append(not one.quiet), commit(store, one))[1])
    fleet.go_on(2 * BATCH)
    assert loud[0], "who looks now"
    fleet.go_on(2 * BATCH)
    loud.clear()
    fleet.go_on(2 * BATCH)
    assert loud == [False, False]
    fleet.houses[0].rollouts.pause(FLAG)
    assert loud[-1]


def test_one_process_reads_what_the_shadows_of_all_counted(monkeypatch):
    """While a rollout waits for its dark launch."""
    fleet = Fleet(6, monkeypatch, dark_launch="1h")
    asked = []
    for house in fleet.houses:
        house.rollouts.shadow(FLAG, of="search")
        heard = house.rollouts._parts.shadows._heard
        monkeypatch.setattr(
            house.rollouts._parts.shadows, "_heard", lambda *of, house=house, heard=heard: (asked.append(house), heard(*of))[1]
        )
    fleet.houses[0].rollouts.start(FLAG)
    fleet.go_on(4 * BATCH)
    asked.clear()
    fleet.go_on(BATCH)

    assert len(asked) <= 2 * BATCH / STEP
