"""The climb: by itself where the evidence is good, down by itself where it is not, never on no evidence."""

from __future__ import annotations

import pytest

from progflags.flags import parse
from progflags.rollout import State

from .conftest import FLAG, House, rollout_table


def test_a_good_release_climbs_to_the_end_unattended(house):
    house.rollouts.start(FLAG)
    steps = house.run(600)

    assert house.status().state is State.COMPLETED
    assert [step.percent for step in steps if step.target is State.RAMPING] == [50.0]
    assert house.status().percent == 100
    assert house.exposed() == 100


def test_starting_serves_the_first_share_at_once(house):
    status = house.rollouts.start(FLAG, by="ann", reason="release 4.2")

    assert (status.state, status.stage, status.percent) == (State.RAMPING, 0, 10.0)
    assert house.exposed() == pytest.approx(10, abs=4)
    assert [(step.source, step.target, step.actor) for step in status.history] == [
        (State.DRAFT, State.SCHEDULED, "ann"),
        (State.SCHEDULED, State.RAMPING, "ann"),
    ]


def test_a_bad_release_is_rolled_back_at_its_first_stage(house):
    house.rollouts.start(FLAG)
    steps = house.run(30, control=0.0, candidate=0.4)

    status = house.status()
    assert status.state is State.ROLLED_BACK
    assert [step.target for step in steps][-2:] == [State.ROLLING_BACK, State.ROLLED_BACK]
    assert status.percent == 0
    assert status.stage is None
    assert status.verdict == "ROLLBACK"
    assert steps[-1].evidence
    assert house.exposed() == 0


def test_after_a_rollback_nothing_raises_the_share_again_by_itself(house):
    house.rollouts.start(FLAG)
    house.run(30, candidate=0.4)

    assert house.run(10_000, step=50) == ()
    assert house.exposed() == 0


def test_no_traffic_at_all_never_passes(house):
    house.rollouts.start(FLAG)
    for _ in range(100):
        house.clock.advance(10)
        house.rollouts.tick()

    assert house.status().state is State.RAMPING
    assert house.status().baked == 0


def test_no_control_means_no_bake(house):
    """One arm alone proves nothing, however good it looks."""
    house.rollouts.start(FLAG)
    house.run(1000, arms="candidate")

    assert (house.status().state, house.status().baked) == (State.RAMPING, 0)


def test_the_bake_counts_only_time_in_which_samples_arrived(house):
    house.rollouts.start(FLAG)
    house.run(20)
    for _ in range(10):
        house.clock.advance(5)
        house.rollouts.tick()

    assert house.status().baked == 20


def test_one_look_accounts_for_a_minute_at_most():
    house = House(tables={FLAG: rollout_table(stages=[{"percent": 10, "bake": "1h"}])})
    house.rollouts.start(FLAG)
    house.traffic()
    house.clock.advance(3600)
    house.rollouts.tick()

    assert house.status().baked == 60


def test_looks_closer_than_a_batch_change_nothing(house):
    house.rollouts.start(FLAG)
    before = house.store.revision()
    for _ in range(4):
        house.traffic()
        house.clock.advance(1)
        assert house.rollouts.tick() == ()

    assert house.store.revision() == before


def test_min_samples_are_asked_of_both_arms():
    house = House(
        tables={
            FLAG: rollout_table(
                stages=[{"percent": 10, "bake": "10s", "min_samples": 1000}],
                gates=[{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}],
            )
        }
    )
    house.rollouts.start(FLAG)
    house.run(50, n=90)

    assert house.status().state is State.JUDGING
    house.run(60, n=90)
    assert house.status().state is State.WATCHING


def test_a_deadline_without_a_verdict_holds():
    house = House(tables={FLAG: rollout_table(deadline="120s")})
    house.rollouts.start(FLAG)
    for _ in range(30):
        house.clock.advance(5)
        house.rollouts.tick()

    status = house.status()
    assert (status.state, status.percent) == (State.HELD, 10)
    assert "no verdict within 2 minutes" in status.reason


def test_held_goes_on_when_the_evidence_comes_after_all():
    house = House(tables={FLAG: rollout_table(deadline="120s")})
    house.rollouts.start(FLAG)
    for _ in range(30):
        house.clock.advance(5)
        house.rollouts.tick()
    house.run(70)

    assert house.status().percent == 50


def test_held_still_rolls_back():
    house = House(tables={FLAG: rollout_table(deadline="120s")})
    house.rollouts.start(FLAG)
    for _ in range(30):
        house.clock.advance(5)
        house.rollouts.tick()
    house.run(30, candidate=0.4)

    assert house.status().state is State.ROLLED_BACK


def test_a_deadline_can_roll_back():
    house = House(tables={FLAG: rollout_table(deadline="120s", on_insufficient="rollback")})
    house.rollouts.start(FLAG)
    for _ in range(30):
        house.clock.advance(5)
        house.rollouts.tick()

    assert house.status().state is State.ROLLED_BACK


def test_metrics_that_turn_bad_after_everybody_has_it_still_roll_back(house):
    house.rollouts.start(FLAG)
    house.run(160)
    assert house.status().state is State.WATCHING

    house.run(90, control=0.0, candidate=0.45)
    assert house.status().state is State.ROLLED_BACK


def test_beside_a_holdback_the_control_never_leaves():
    house = House(tables={FLAG: rollout_table(holdback=5, keep_holdback=True)})
    house.rollouts.start(FLAG)
    house.run(600)

    assert house.status().state is State.COMPLETED
    assert house.exposed() == pytest.approx(95, abs=3)


def test_the_plan_is_frozen_at_the_start(house):
    """An edited file changes the next run, never the one under way; the status says that it differs."""
    house.rollouts.start(FLAG)
    house.define({FLAG: rollout_table(stages=[{"percent": 90, "bake": "1s"}])})
    house.run(150)

    assert house.status().percent == 100
    assert [step.percent for step in house.rollouts.history(FLAG) if step.target is State.RAMPING] == [10, 50]
    assert house.status().changed


def test_a_rollout_whose_definition_is_gone_is_superseded(house):
    house.rollouts.start(FLAG)
    house.define({FLAG: None})
    house.run(10)

    assert house.status().state is State.SUPERSEDED
    assert house.status().percent == 0


def test_a_rollout_of_another_variant_takes_the_place_of_the_one_under_way():
    """The evidence is about the variant that was started; another one has none, and is served to nobody until it is started itself."""
    variants = {"variants": {"classic": "c", "fast": "f", "faster": "x"}, "default": "classic"}
    house = House(tables={FLAG: rollout_table()})

    def define(variant):
        flag = {**variants, "rollout": {**rollout_table(), "variant": variant}}
        house.client.install(parse({"flags": {FLAG: flag}}, file="flags.toml", lines=lambda path: None))

    define("fast")
    house.rollouts.start(FLAG)
    house.run(75)
    assert house.status().percent == 50
    define("faster")
    house.clock.advance(0.2)  # the next tick is enough: no batch is waited for
    house.rollouts.tick()

    assert (house.status().state, house.status().percent) == (State.SUPERSEDED, 0)
    assert house.status().reason == "the flag's file no longer has this rollout of 'fast'"
    assert house.rollouts.retry(FLAG).percent == 10
    house.run(10)
    assert house.status().state is State.BAKING


def test_a_second_run_begins_with_fresh_evidence(house):
    house.rollouts.start(FLAG)
    house.run(30, candidate=0.4)
    house.rollouts.retry(FLAG, force=True)
    house.run(600)

    assert house.status().state is State.COMPLETED
    assert house.status().run == 2


def test_one_flags_trouble_stays_with_that_flag():
    house = House(tables={"a": rollout_table(), "b": rollout_table()})
    house.rollouts.start("a")
    house.rollouts.start("b")
    from progflags.store import Commit

    house.store.commit(Commit({"rollout/a": {"v": 99}}))
    for _ in range(6):
        house.traffic(flag="b")
        house.clock.advance(5)
        house.rollouts.tick()

    assert house.status("b").baked == 30


def test_another_application_on_the_same_store_lets_rollouts_alone_that_it_does_not_know(house):
    stranger = House(house.store, house.clock, {"something-else": rollout_table()})
    house.rollouts.start(FLAG)
    stranger.refresh()
    house.traffic()
    house.clock.advance(5)
    stranger.rollouts.tick()

    assert house.status().percent == 10


def test_a_retired_flags_rollout_is_superseded(house):
    from progflags.flags import parse

    house.rollouts.start(FLAG)
    house.client.install(parse({"flags": {"x": {}}, "retired": [FLAG]}, file="flags.toml", lines=lambda path: None))
    house.rollouts.tick()

    assert house.status().state is State.SUPERSEDED


def test_a_lost_board_does_not_hide_a_step_that_was_taken():
    from progflags.errors import StoreError
    from progflags.store import MemoryStore
    from progflags.testing import ManualClock

    from .faults import Wrapped

    def before(what):
        if what == "clear":
            raise StoreError("gone")

    clock = ManualClock(wall=1_800_000_000.0)
    house = House(Wrapped(MemoryStore(clock=clock), before=before), clock)
    house.rollouts.start(FLAG)

    assert [step.percent for step in house.run(60) if step.target is State.RAMPING] == [50]


def test_a_listener_may_look_again_from_inside_a_look(house):
    from progflags.events import Moved

    house.bus.listen(Moved, lambda moved: house.rollouts.tick())
    house.rollouts.start(FLAG)

    assert house.run(70)
    assert house.status().percent == 50
