"""What a plan may ask of the evidence: time to warm up, and one exact look at the end of a bake."""

from __future__ import annotations

import pytest

from progflags.rollout import State
from progflags.rollout.plan._plan import Plan, PlanError
from rollout.conftest import FLAG, House, rollout_table

RELATIVE = {"metric": "signup", "max_decrease": 0.0, "policy": "no_alarm"}


def climbing(**changes):
    stage = {"percent": 50, "bake": "60s", "min_samples": 20, "gates": [changes.pop("gate", RELATIVE)]}
    house = House(tables={FLAG: rollout_table(stages=[stage], **changes)})
    house.rollouts.start(FLAG)
    return house


def visits(house, control, candidate, n=100):
    """One batch: on each arm `n` new users, of whom some sign up."""
    for arm, signed in (("control", control), ("candidate", candidate)):
        for number in range(n):
            unit = f"{arm}-{house.clock.monotonic()}-{number}"
            house.recorder.record(FLAG, arm=arm, seconds=0.1, error=False, unit=unit, events=["signup"] if number < signed else None)
    house.clock.advance(5)
    house.rollouts.tick()


def test_a_cold_candidate_is_not_compared_and_its_bake_waits():
    """Thirty seconds of failing a third of the time costs nothing while warming up; the same after it roll back."""
    gate = {"metric": "error_rate", "max_increase": 0.1, "policy": "no_alarm"}
    house = climbing(gate=gate, warm_up="30s")
    house.run(30, candidate=0.3)

    assert (house.status().state, house.status().baked) == (State.BAKING, 0)
    house.run(65)
    assert house.status().percent == 100

    house = climbing(gate=gate)
    house.run(30, candidate=0.3)
    assert house.status().state is State.ROLLED_BACK


def test_an_absolute_bound_does_not_wait_for_the_warm_up():
    """A candidate that breaks its bound is rolled back cold or warm."""
    house = climbing(gate={"metric": "error_rate", "max": 0.05}, warm_up="10m", deadline="1h")
    house.run(60, candidate=0.4)

    assert house.status().state is State.ROLLED_BACK


def test_a_planned_look_finds_at_the_end_of_the_bake_what_watching_alone_does_not():
    """A third fewer sign-ups: only the looks that were planned have enough of alpha for it, by the end of the bake."""

    def after(look):
        house = climbing(look=look)
        for _ in range(11):
            visits(house, 6, 4)
        before = house.status().state
        visits(house, 6, 4)
        return before, house.status().state

    assert after(look=True)[1] is State.ROLLED_BACK
    assert after(look=False)[1] is not State.ROLLED_BACK


def test_a_healthy_release_climbs_with_a_planned_look():
    """And the look is spent once per stage, however often the controller ticks after it."""
    house = climbing(look=True)
    for _ in range(14):
        visits(house, 6, 6)

    assert house.status().percent == 100


def test_both_survive_freezing_and_their_absence_is_the_old_plan():
    plan = Plan.of(rollout_table(look=True, warm_up="2m"))

    assert (plan.look, plan.warm_up) == (True, 120.0)
    assert Plan.thaw(plan.to_dict()) == plan
    old = {key: value for key, value in Plan.of(rollout_table()).to_dict().items() if key not in {"look", "warm_up"}}
    assert Plan.thaw(old) == Plan.of(rollout_table())


def test_a_deadline_has_room_for_the_warm_up():
    with pytest.raises(PlanError, match="deadline passes before"):
        Plan.of(rollout_table(warm_up="1h", deadline="10m"))
