"""Whatever fails, and wherever: a rollout is before a step or after it, and its history says which."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags._json import canonical, loads
from progflags.canary import Evidence, Gate, Window
from progflags.errors import StoreError
from progflags.rollout import Plan, Record, State
from progflags.rollout.state._codec import dump, load
from progflags.store import Commit, MemoryStore, SQLiteStore
from progflags.testing import ManualClock

from .conftest import FLAG, House, rollout_table
from .faults import Breaker, Wrapped, violations

BAKES = {0: 60.0, 1: 60.0}


def live_through(house, *, bad=False):
    """A whole life, as far as the store lets it."""
    for verb in ("start", None, "pause", "resume", None, "rollback" if bad else None):
        try:
            if verb:
                getattr(house.rollouts, verb)(FLAG)
            else:
                house.run(150, step=10)
        except (StoreError, ValueError):
            pass
    house.run(150, step=10)


def points(make, *, after):
    """How many store calls a life makes: every one of them is a place to fail."""
    clock = ManualClock(wall=1_800_000_000.0)
    breaker = Breaker(10**9)
    house = House(Wrapped(make(clock), **{"after" if after else "before": breaker}), clock)
    live_through(house)
    return breaker.count


@pytest.mark.parametrize("after", [False, True], ids=["refused", "lost-acknowledgement"])
@pytest.mark.parametrize("every", [13, pytest.param(2, marks=pytest.mark.slow)])
def test_a_store_that_fails_at_any_one_call_leaves_a_consistent_rollout(after, every):
    """The calls of a whole life in turn, refused or their answers lost; what the store holds is consistent each time."""
    total = points(lambda clock: MemoryStore(clock=clock), after=after)
    assert total > 100
    for at in range(1, total, every):
        clock = ManualClock(wall=1_800_000_000.0)
        store = MemoryStore(clock=clock)
        house = House(Wrapped(store, **{"after" if after else "before": Breaker(at + 3)}), clock)
        live_through(house)

        assert violations(store, FLAG, bakes=BAKES) == [], at


@pytest.mark.parametrize("after", [False, True], ids=["refused", "lost-acknowledgement"])
def test_a_store_that_fails_for_a_while_leaves_a_consistent_rollout(after):
    total = points(lambda clock: MemoryStore(clock=clock), after=after)
    for at in range(3, total, 17):
        clock = ManualClock(wall=1_800_000_000.0)
        store = MemoryStore(clock=clock)
        house = House(Wrapped(store, **{"after" if after else "before": Breaker(at + 3, times=12)}), clock)
        live_through(house, bad=True)
        house.rollouts.tick()

        assert violations(store, FLAG, bakes=BAKES) == [], at
        assert house.status().state in {State.ROLLED_BACK, State.DRAFT}, at  # what was asked for came true in the end
        assert house.exposed() == 0


def test_a_lost_acknowledgement_never_advances_twice():
    """The promotion is stored, its answer is lost: the retry carries the same id, and the step is there once."""
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    lose = []

    def after(what):
        if what == "commit" and lose:
            lose.pop()
            raise StoreError("connection reset")

    house = House(Wrapped(store, after=after), clock)
    house.rollouts.start(FLAG)
    house.run(55)
    lose.append(True)
    house.traffic(), clock.advance(5)
    steps = house.rollouts.tick()

    assert [step.percent for step in steps if step.target is State.RAMPING] == [50]
    assert house.status().percent == 50
    assert violations(store, FLAG) == []


def test_an_acknowledgement_lost_twice_is_found_out_at_the_next_look():
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    lose = []

    def after(what):
        if what == "commit" and lose:
            lose.pop()
            raise StoreError("connection reset")

    house = House(Wrapped(store, after=after), clock)
    house.rollouts.start(FLAG)
    house.run(55)
    lose.extend([True, True])
    house.traffic(), clock.advance(5)
    house.rollouts.tick()
    house.rollouts.tick()

    assert (house.status().percent, house.status().stage) == (50, 1)
    assert violations(store, FLAG) == []


def test_a_dead_store_stops_the_climb_and_nothing_else():
    down = []

    def before(what):
        if down:
            raise StoreError("gone")

    clock = ManualClock(wall=1_800_000_000.0)
    tables = {FLAG: rollout_table(stages=[{"percent": 10, "bake": "10m"}])}
    house = House(Wrapped(MemoryStore(clock=clock), before=before), clock, tables)
    house.rollouts.start(FLAG)
    house.run(30)
    down.append(True)
    house.run(1000)
    assert house.exposed() == pytest.approx(10, abs=4)
    assert house.status().baked == 30  # what was read last

    down.clear()
    house.run(5)
    assert house.status().baked == 90  # however long it was away, one look accounts for a minute at most


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lambda lines: lines[1].update(reason="nothing to see"), "line 2 was changed"),
        (lambda lines: lines.pop(1), "line 2 says it is line 3"),
        (lambda lines: lines.pop(), "not the one the state rests on"),
        (lambda lines: lines.reverse(), "does not follow"),
    ],
)
def test_an_edited_history_is_found_out(house, tamper, says):
    from progflags.rollout.run._history import Chain

    house.rollouts.start(FLAG)
    house.run(160)
    lines = [dict(entry.body) for entry in house.store.history(f"rollout/{FLAG}")]
    head = lines[-1]["hash"]
    assert Chain(iter(lines)).check(head, "rollout") == ()

    tamper(lines)
    assert any(says in problem for problem in Chain(iter(lines)).check(head, "rollout"))


@pytest.mark.parametrize(
    "body",
    [{}, {"v": 2}, {"v": 1, "flag": "x"}, None],
)
def test_a_document_of_another_version_or_damaged_is_left_alone(house, body):
    house.rollouts.start(FLAG)
    key = f"rollout/{FLAG}"
    damaged = body if body is not None else {**house.store.read(key)[1][key].body, "stage": 9}
    house.store.commit(Commit({key: damaged}))

    assert house.run(100) == ()
    with pytest.raises(StoreError, match="version|left alone"):
        house.rollouts.promote(FLAG)
    assert house.store.read(key)[1][key].body == damaged
    told = house.rollouts.status(FLAG)  # and no draft that serves nobody
    assert (told.state, told.percent, told.stages) == (State.HELD, 10, 0)
    assert "a kill works all the same" in told.waiting
    assert house.rollouts.every() == (told,)
    assert house.rollouts.health()[f"rollout of {FLAG}"]
    told = house.rollouts.rollback(FLAG)  # here at least
    assert (told.state, told.pending) == (State.ROLLING_BACK, True)
    assert house.exposed() == 0


@given(
    state=st.sampled_from(State),
    stage=st.integers(-1, 2),
    numbers=st.lists(st.floats(0, 1e9), min_size=4, max_size=4),
    reason=st.text(max_size=20).filter(lambda text: text.isprintable()),
)
def test_a_record_survives_being_written_down(state, stage, numbers, reason):
    gate = Gate("error_rate", max=0.1)
    plan = Plan.of({"stages": [{"percent": 1}, {"percent": 10, "gates": [{"metric": "error_rate", "max": 0.1}]}]})
    record = Record(
        "x", plan, state, stage, run=3, baked=numbers[0], waited=numbers[1], waived=True, samples={"control": 1, "candidate": 2}, approved=(1,),
        resumes=State.BAKING, strikes=2, reach=10_000, since=numbers[2], moved_by="ann", started_by="bob", reason=reason, number=4, head="ab",
        verdict={"decision": "HOLD"}, evidence=Evidence.start([gate], 0.05), window=Window("x", 3),
    )  # fmt: skip

    again = load(loads(canonical(dump(record))))

    assert again == record
    assert math.isfinite(again.baked)


def test_sqlite_carries_a_whole_rollout(tmp_path):
    clock = ManualClock(wall=1_800_000_000.0)
    store = SQLiteStore(tmp_path / "p.db")
    house = House(store, clock)
    house.rollouts.start(FLAG)
    house.run(600)

    assert house.status().state is State.COMPLETED
    assert violations(store, FLAG, bakes=BAKES) == []
    store.close()


def test_a_flag_file_edited_to_nonsense_does_not_stop_a_rollout_under_way(house):
    """The frozen plan carries on; only the next start needs the file."""
    house.rollouts.start(FLAG)
    house.define({FLAG: rollout_table(stages=[{"percent": 50}, {"percent": 10}])})
    house.run(600)

    assert house.status().state is State.COMPLETED
