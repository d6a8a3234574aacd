"""The brake: a process that sees its candidate blow up stops serving it to itself, at once, asking nobody."""

from __future__ import annotations

import os
import threading

import pytest

from progflags.context import Context
from progflags.errors import StoreError
from progflags.events import Braked
from progflags.flags import Reason
from progflags.rollout import BrakeRule, State
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import Wrapped, violations


def blow_up(house, n=20, arm="candidate"):
    for _ in range(n):
        house.recorder.record(FLAG, arm=arm, seconds=0.1, error=True)


def half_way(**options):
    """A rollout at 50 %, in one process."""
    house = House(**options)
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG)
    return house


def test_the_twentieth_failure_stops_the_candidate_here_before_any_tick():
    house = half_way()
    told = []
    house.bus.listen(Braked, told.append)
    blow_up(house, 19)
    assert house.exposed() == pytest.approx(50, abs=6)

    blow_up(house, 1)

    assert house.exposed() == 0
    assert len(told) == 1
    assert house.client.evaluate(FLAG, False, Context("user-1")).reason is Reason.PINNED
    assert house.status().state is State.ROLLING_BACK


def test_the_next_tick_makes_it_everybodys():
    house = half_way()
    other = House(house.store, house.clock)
    assert other.exposed() == pytest.approx(50, abs=6)
    blow_up(house)

    steps = house.rollouts.tick()
    other.refresh()

    assert [step.target for step in steps] == [State.ROLLING_BACK, State.ROLLED_BACK]
    assert steps[0].actor == "brake"
    assert "20 of the last 20 calls" in steps[0].reason
    assert (house.exposed(), other.exposed()) == (0, 0)
    assert house.client.pinned(FLAG) is None  # the newer revision lifted it


@pytest.mark.parametrize(
    ("candidate", "control", "pulled"),
    [
        ((19, 19), (100, 0), False),  # too few
        ((20, 20), (0, 0), True),
        ((20, 10), (100, 0), True),
        ((20, 9), (100, 0), False),  # less than half
        ((100, 100), (100, 25), False),  # the neighbourhood is on fire
        ((100, 100), (100, 24), True),
        ((100, 50), (100, 13), False),
    ],
)
def test_the_rule(candidate, control, pulled):
    assert BrakeRule().pulled(candidate, control) is pulled


def test_a_brake_can_be_changed_and_turned_off():
    careful = half_way(tables={FLAG: rollout_table(brake={"calls": 3, "failures": 0.1})})
    blow_up(careful, 3)
    reckless = half_way(tables={FLAG: rollout_table(brake=False)})
    blow_up(reckless, 500)

    assert careful.exposed() == 0
    assert reckless.exposed() > 40


def test_failures_of_the_control_never_brake():
    house = half_way()
    blow_up(house, 100, arm="control")

    assert house.exposed() > 40


def test_old_failures_are_forgotten():
    house = half_way()
    blow_up(house, 15)
    house.clock.advance(11)
    blow_up(house, 15)

    assert house.exposed() > 40


def test_a_pinned_call_is_no_sample():
    house = half_way()
    blow_up(house)
    before = house.recorder.read(FLAG)["control"]
    house.exposed()

    assert house.recorder.read(FLAG)["control"] == before


def test_with_the_store_out_of_reach_the_brake_holds_and_the_rollback_is_retried_for_ever():
    down = []

    def before(what):
        if down:
            raise StoreError("gone")

    clock = ManualClock(wall=1_800_000_000.0)
    house = half_way(store=Wrapped(MemoryStore(clock=clock), before=before), clock=clock)
    down.append(True)
    blow_up(house)
    for _ in range(50):
        clock.advance(10)
        assert house.rollouts.tick() == ()
    assert house.exposed() == 0
    assert (house.status().state, house.status().pending) == (State.ROLLING_BACK, True)

    down.clear()
    house.rollouts.tick()
    assert (house.status().state, house.status().pending) == (State.ROLLED_BACK, False)


def test_a_persons_rollback_works_here_without_a_store_and_everywhere_once_it_is_back():
    down = []

    def before(what):
        if down:
            raise StoreError("gone")

    clock = ManualClock(wall=1_800_000_000.0)
    house = half_way(store=Wrapped(MemoryStore(clock=clock), before=before), clock=clock)
    down.append(True)

    status = house.rollouts.rollback(FLAG, reason="pager", by="ann")
    assert (status.state, status.pending, house.exposed()) == (State.ROLLING_BACK, True, 0)

    down.clear()
    steps = house.rollouts.tick()
    assert (steps[0].actor, steps[0].reason) == ("ann", "pager")
    assert house.status().state is State.ROLLED_BACK


def test_the_pin_outlives_a_promotion_by_somebody_else():
    """Between the brake and its commit another process promotes: here nobody is served the candidate for a moment even so."""
    house = half_way()
    other = House(house.store, house.clock)
    blow_up(house)
    other.rollouts.promote(FLAG, full=True)

    house.refresh()
    assert house.exposed() == 0
    house.rollouts.tick()
    other.refresh()
    assert (house.status().state, other.exposed()) == (State.ROLLED_BACK, 0)
    assert violations(house.store, FLAG) == []


def test_a_rollback_already_made_elsewhere_settles_the_intent():
    house = half_way()
    other = House(house.store, house.clock)
    blow_up(house)
    other.rollouts.rollback(FLAG)
    other.rollouts.retry(FLAG, force=True)

    house.rollouts.tick()
    assert house.status().state is State.RAMPING
    assert house.exposed() > 5


def test_the_tail_of_an_older_share_does_not_brake_the_new_one():
    from progflags.events import Called, Exposure

    house = half_way()
    for _ in range(30):
        house.bus.tell(Called(Exposure(FLAG, 1, "on", "candidate"), 0.1, True))

    assert house.exposed() > 40


def test_it_brakes_after_a_hundred_percent_too():
    house = House()
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG, full=True)
    blow_up(house)
    house.rollouts.tick()

    assert house.status().state is State.ROLLED_BACK


def test_a_broken_judge_does_not_stop_the_brake(monkeypatch):
    from progflags.rollout.run import _controller

    house = half_way()
    blow_up(house)
    monkeypatch.setattr(_controller, "look", lambda *_: 1 / 0)
    house.rollouts.tick()

    assert house.status().state is State.ROLLED_BACK


def test_a_storm_of_threads_brakes_once():
    house = half_way()
    told = []
    house.bus.listen(Braked, told.append)
    threads = [threading.Thread(target=blow_up, args=(house, 200)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(told), house.exposed()) == (1, 0)


def test_a_child_process_brakes_for_itself_and_signs_its_own_name():
    """After a fork the child has its own worker name, its own counts, and a brake that works."""
    house = half_way()
    mine = house.rollouts._parts.pool._worker
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        blow_up(house)
        os.write(write, f"{house.exposed()} {house.rollouts._parts.pool._worker != mine}".encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 100) == b"0.0 True"
    assert house.exposed() > 40


def test_it_is_stopped_inside_the_call_that_records_the_failure_and_nobody_is_asked():
    """No tick, no thread, no store in between, so it takes what a call takes: `python -m benchmarks rollout` says how long."""
    asked = []
    clock = ManualClock(wall=1_800_000_000.0)
    store = Wrapped(MemoryStore(clock=clock))
    house = House(store, clock)
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG)
    store.before = asked.append
    blow_up(house, 19)
    assert house.exposed() > 40
    threads = threading.active_count()
    blow_up(house, 1)

    assert house.exposed() == 0
    assert asked == []
    assert threading.active_count() <= threads


def test_a_brake_that_loses_against_the_end_of_the_watch_rolls_back_all_the_same():
    """Pulled in the last moment of the watch, while another process completes the rollout."""
    house = House()
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG, full=True)
    other = House(house.store, house.clock)
    blow_up(house)
    other.rollouts.pause(FLAG)
    other.rollouts.resume(FLAG)
    other.rollouts.promote(FLAG)
    assert other.status().state is State.COMPLETED

    house.rollouts.tick()

    assert house.status().state is State.ROLLED_BACK
    assert house.rollouts.history(FLAG)[-1].actor == "brake"
