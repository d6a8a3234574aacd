"""Several controllers, several people, one store: one wins, and down wins over up."""

from __future__ import annotations

import pytest

from progflags.errors import MovedOn, StoreError
from progflags.rollout import State
from progflags.store import MemoryStore
from progflags.testing import ManualClock

from .conftest import FLAG, House, rollout_table
from .faults import Wrapped, violations


def pair(**options):
    """Two processes; what happens just before the first one's commits is `meddle[0]`'s, once."""
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    meddle = []

    def before(what):
        if what == "commit" and meddle:
            meddle.pop()()

    one = House(Wrapped(store, before=before), clock, **options)
    return one, House(store, clock, **options), meddle, store


def test_two_controllers_never_both_win_a_step():
    """B ticks between A's read and A's commit: exactly one of them reports the step."""
    one, two, meddle, store = pair()
    one.rollouts.start(FLAG)
    one.run(55)
    two.refresh()
    one.traffic(), one.clock.advance(5)
    won = []
    meddle.append(lambda: won.append(two.rollouts.tick()))
    two.clock.advance(5)
    mine = one.rollouts.tick()

    assert len(won) == 1
    steps = [step.revision for step in (*mine, *won[0])]
    assert len(steps) == len(set(steps))
    assert violations(store, FLAG) == []


def test_a_batch_is_counted_once_however_many_controllers_look():
    one, two, _, store = pair()
    one.rollouts.start(FLAG)
    two.refresh()
    for _ in range(6):
        one.traffic()
        one.clock.advance(5)
        one.rollouts.tick()
        two.rollouts.tick()

    assert one.status().samples == {"control": 300, "candidate": 300}
    assert one.status().baked == 30


def test_everybodys_traffic_is_judged_together():
    """Neither process alone has enough samples; together they have."""
    houses = pair(tables={FLAG: rollout_table(stages=[{"percent": 10, "bake": "30s", "min_samples": 500}])})[:2]
    houses[0].rollouts.start(FLAG)
    houses[1].refresh()
    for _ in range(8):
        for house in houses:
            house.traffic(40)
        houses[0].clock.advance(5)
        for house in houses:
            house.rollouts.publish()
        houses[0].rollouts.tick()

    assert houses[0].status().state is State.WATCHING


def test_a_rollback_slipping_in_before_a_promotion_wins():
    one, two, meddle, store = pair()
    one.rollouts.start(FLAG)
    one.run(55)
    one.traffic(), one.clock.advance(5)
    meddle.append(lambda: two.rollouts.rollback(FLAG, by="ann"))

    assert one.rollouts.tick() == ()
    assert one.status().state is State.ROLLED_BACK
    assert one.exposed() == 0
    assert violations(store, FLAG) == []


def test_a_promotion_slipping_in_before_a_rollback_loses():
    one, two, meddle, store = pair()
    one.rollouts.start(FLAG)
    meddle.append(lambda: two.rollouts.promote(FLAG, full=True))

    assert one.rollouts.rollback(FLAG).state is State.ROLLED_BACK
    assert one.exposed() == 0
    assert violations(store, FLAG) == []


def test_a_verb_is_applied_to_what_is_not_to_what_was():
    """B aborts while A's pause is on its way: A is told what it can still do."""
    from progflags.errors import TransitionRefused

    one, two, meddle, _ = pair()
    one.rollouts.start(FLAG)
    meddle.append(lambda: two.rollouts.abort(FLAG))

    with pytest.raises(TransitionRefused, match="is aborted"):
        one.rollouts.pause(FLAG)


def test_a_stale_controller_that_wakes_up_late_changes_nothing():
    """Stopped between read and commit, while another one went on for an hour: it loses, reads again, and has nothing to do."""
    one, two, meddle, store = pair()
    one.rollouts.start(FLAG)
    one.run(20)
    two.refresh()

    def meanwhile():
        for _ in range(200):
            two.traffic()
            two.clock.advance(5)
            two.rollouts.tick()

    one.traffic(), one.clock.advance(5)
    meddle.append(meanwhile)
    one.rollouts.tick()

    assert one.status().state is State.COMPLETED
    assert violations(store, FLAG, bakes={0: 60, 1: 60}) == []


def test_a_restart_never_shortens_a_bake():
    """A new process every ten seconds: each starts its clock when it first sees the document."""
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    House(store, clock).rollouts.start(FLAG)
    began = clock.monotonic()
    while (house := House(store, clock)).status().stage == 0:
        clock.advance(3)  # nobody is there
        for _ in range(2):
            house.traffic()
            clock.advance(5)
            house.rollouts.tick()

    assert clock.monotonic() - began >= 60
    assert violations(store, FLAG, bakes={0: 60}) == []


@pytest.mark.parametrize("step", [-86_400.0, -30.0, 30.0, 86_400.0])
def test_a_stepping_wall_clock_changes_no_bake(step):
    house = House()
    house.rollouts.start(FLAG)
    house.run(30)
    house.clock.step_wall(step)
    house.run(25)

    assert (house.status().stage, house.status().baked) == (0, 55)


def test_two_rollouts_that_exclude_each_other_never_begin_at_the_same_moment():
    """Each sees the other in draft, and both commit: the second is told that what it saw is no longer so."""
    tables = {"one": rollout_table(conflicts=["two"]), "two": rollout_table(conflicts=["one"])}
    one, two, meddle, _ = pair(tables=tables)
    meddle.append(lambda: two.rollouts.start("two"))

    assert one.rollouts.start("one").state is State.SCHEDULED
    assert one.status("two").state is State.RAMPING


def test_one_that_was_completed_and_begins_anew_is_no_exception():
    """It serves everybody, is started again at the moment the other begins, and has to wait for it."""
    tables = {"one": rollout_table(conflicts=["two"]), "two": rollout_table(conflicts=["one"])}
    one, two, meddle, _ = pair(tables=tables)
    one.rollouts.start("one")
    one.run(400, flag="one")
    assert one.status("one").state is State.COMPLETED
    meddle.append(lambda: two.rollouts.start("two"))

    assert one.rollouts.start("one").state is State.SCHEDULED
    assert one.status("two").state is State.RAMPING


@pytest.mark.parametrize("turn", ["pause", "kill", "promote"])
def test_a_verb_is_about_what_was_seen_even_between_reading_and_writing(turn):
    """Somebody else is quicker by the width of a commit: refused, with what it is by then, and nothing was written."""
    one, two, meddle, store = pair()
    one.rollouts.start(FLAG)
    two.refresh()
    seen = one.status().version
    meddle.append(lambda: getattr(two.rollouts, turn)(FLAG, by="bob", reason="first"))

    with pytest.raises(MovedOn) as refused:
        one.rollouts.promote(FLAG, by="ann", seen=seen)

    now = two.status()
    assert refused.value.version == now.version != seen
    assert "ann" not in {step.actor for step in now.history}
    assert violations(store, FLAG) == []


def test_without_a_word_about_what_was_seen_it_is_about_what_is():
    one, two, meddle, _ = pair()
    one.rollouts.start(FLAG)
    two.refresh()
    meddle.append(lambda: two.rollouts.promote(FLAG, by="bob"))

    assert one.rollouts.pause(FLAG, by="ann").actor == "ann"


def test_the_way_down_is_open_to_whoever_saw_the_same_run():
    one, two, meddle, _ = pair()
    seen = one.rollouts.start(FLAG).version
    two.refresh()
    meddle.append(lambda: two.rollouts.promote(FLAG, by="bob"))
    assert one.rollouts.rollback(FLAG, by="ann", seen=seen).state in (State.ROLLED_BACK, State.COOLING_DOWN)

    two.rollouts.retry(FLAG, by="bob", force=True)
    one.refresh()
    with pytest.raises(MovedOn):
        one.rollouts.rollback(FLAG, by="ann", seen=seen)
    assert one.client.pinned(FLAG) is None
    assert one.status().state in (State.RAMPING, State.BAKING)


def test_a_verb_that_is_said_twice_by_a_double_click_is_done_once():
    one, _, _, _ = pair()
    seen = one.rollouts.start(FLAG).version
    first = one.rollouts.promote(FLAG, seen=seen)
    with pytest.raises(MovedOn):
        one.rollouts.promote(FLAG, seen=seen)

    assert one.status().percent == first.percent


@pytest.mark.parametrize("seen", ["", "1", "1.", "1.2", "x.y.z", "1.2.K", "01.2.", "1.²."])
def test_a_version_that_is_none_is_another(seen):
    one, _, _, _ = pair()
    one.rollouts.start(FLAG)
    for verb in ("promote", "pause") if not seen.startswith("1.") else ("promote",):
        with pytest.raises(MovedOn):
            getattr(one.rollouts, verb)(FLAG, seen=seen)


def test_a_rollback_of_a_run_that_nobody_knows_here_waits_for_no_store():
    """The store is away, and what was seen is another run than this process serves: nothing is stopped by mistake."""
    clock = ManualClock(wall=1_800_000_000.0)
    away = []
    one = House(Wrapped(MemoryStore(clock=clock), before=lambda what: _raise(StoreError("away")) if away else None), clock)
    run = one.rollouts.start(FLAG).run
    away.append(True)

    with pytest.raises(StoreError):
        one.rollouts.rollback(FLAG, seen=f"{run + 1}.9.")
    assert one.client.pinned(FLAG) is None
    assert one.rollouts.rollback(FLAG, seen=f"{run}.1.").pending
    assert one.client.pinned(FLAG) is not None


def _raise(error):
    raise error
