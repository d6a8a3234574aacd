"""What people may ask of a rollout, and what it answers."""

from __future__ import annotations

import pytest

import progflags as pf
from progflags.errors import DefinitionError, TransitionRefused
from progflags.rollout import RolloutStatus, State
from progflags.store import Commit

from .conftest import FLAG, House, rollout_table


def test_before_the_start_a_rollout_is_a_draft(house):
    status = house.status()

    assert (status.state, status.stage, status.percent, status.history) == (State.DRAFT, None, 0, ())
    assert house.exposed() == 0


def test_a_running_rollout_is_not_started_again(house):
    house.rollouts.start(FLAG)
    with pytest.raises(TransitionRefused, match="ramping.*possible now: pause") as refused:
        house.rollouts.start(FLAG)

    assert refused.value.state == "ramping"
    assert "rollback" in refused.value.legal
    assert isinstance(refused.value, ValueError)


def test_a_rolled_back_rollout_is_retried_not_started(house):
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)

    with pytest.raises(TransitionRefused, match="retry"):
        house.rollouts.start(FLAG)


def test_a_retry_waits_for_the_cool_down(house):
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)

    with pytest.raises(TransitionRefused, match=r"cools down for another 3600 s; .*possible now: nothing else$"):
        house.rollouts.retry(FLAG)
    house.clock.advance("1h")
    assert house.rollouts.retry(FLAG).state is State.RAMPING


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_a_wall_clock_that_jumps_does_not_shorten_a_cool_down_or_prolong_it(house, jump):
    """It is counted from where this process met it, on the clock that never jumps."""
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)
    house.clock.advance("20m")
    house.rollouts.tick()
    house.clock.step_wall(jump)

    assert house.status().cool_down == 2400
    with pytest.raises(TransitionRefused, match="cools down for another 2400 s"):
        house.rollouts.retry(FLAG)
    assert house.rollouts.retry(FLAG, wait=True).state is State.COOLING_DOWN
    house.clock.advance("39m")
    assert house.rollouts.tick() == ()
    house.clock.advance("1m")
    house.rollouts.tick()
    assert house.status().state is State.RAMPING


def test_force_retries_during_the_cool_down(house):
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)

    assert house.rollouts.retry(FLAG, force=True).percent == 10


def test_a_retry_can_be_asked_for_ahead(house):
    house.rollouts.start(FLAG)
    house.rollouts.rollback(FLAG)
    house.clock.advance("30m")

    assert house.rollouts.retry(FLAG, wait=True).state is State.COOLING_DOWN
    house.clock.advance("29m")
    assert house.rollouts.tick() == ()
    house.clock.advance("2m")
    house.rollouts.tick()
    assert house.status().state is State.RAMPING


def test_pause_stops_the_climb_and_resume_goes_on_where_it_was(house):
    house.rollouts.start(FLAG)
    house.run(30)
    house.rollouts.pause(FLAG, reason="lunch")
    house.run(300)
    assert (house.status().state, house.status().percent, house.status().baked) == (State.PAUSED, 10, 30)

    house.rollouts.resume(FLAG)
    assert house.status().state is State.BAKING
    house.run(35)
    assert house.status().percent == 50


def test_a_paused_rollout_still_rolls_back(house):
    house.rollouts.start(FLAG)
    house.run(30)
    house.rollouts.pause(FLAG)
    house.run(600, candidate=0.45)

    assert house.status().state is State.ROLLED_BACK


def test_promote_takes_the_next_step_now(house):
    house.rollouts.start(FLAG)

    assert house.rollouts.promote(FLAG).percent == 50
    assert house.exposed() == pytest.approx(50, abs=6)


def test_promote_full_goes_straight_to_everybody(house):
    house.rollouts.start(FLAG)

    assert house.rollouts.promote(FLAG, full=True).state is State.WATCHING
    assert house.exposed() == 100


def test_promoting_the_watch_ends_it(house):
    house.rollouts.start(FLAG)
    house.run(160)

    assert house.rollouts.promote(FLAG).state is State.COMPLETED


def test_skip_waives_the_bake_and_not_the_gates(house):
    house.rollouts.start(FLAG)
    house.run(5)
    house.rollouts.skip(FLAG)

    assert house.status().state is State.JUDGING
    house.run(5, candidate=0.0, n=5)
    assert house.status().percent == 50  # 55 calls: more than min_samples, and no alarm


def test_abort_gives_up_without_a_cool_down(house):
    house.rollouts.start(FLAG)

    assert house.rollouts.abort(FLAG).state is State.ABORTED
    assert house.exposed() == 0
    assert house.rollouts.retry(FLAG).state is State.RAMPING


def test_a_completed_rollout_can_be_rolled_back_and_started_again(house):
    house.rollouts.start(FLAG)
    house.run(600)
    assert house.rollouts.rollback(FLAG).percent == 0

    house.rollouts.retry(FLAG, force=True)
    house.run(600)
    assert house.rollouts.start(FLAG).percent == 10


@pytest.mark.parametrize("verb", ["pause", "promote", "skip", "rollback", "abort"])
def test_repeating_the_verb_just_done_changes_nothing(house, verb):
    house.rollouts.start(FLAG)
    once = getattr(house.rollouts, verb)(FLAG)
    revision = house.store.revision()

    again = getattr(house.rollouts, verb)(FLAG)

    assert again == once
    assert house.store.revision() == revision


def test_resuming_and_approving_twice_changes_nothing():
    house = House(tables={FLAG: rollout_table(approval={"before": [10]})})
    house.rollouts.start(FLAG)
    assert house.status().state is State.AWAITING_APPROVAL
    assert house.rollouts.approve(FLAG) == house.rollouts.approve(FLAG)
    house.rollouts.pause(FLAG)
    assert house.rollouts.resume(FLAG) == house.rollouts.resume(FLAG)


def test_rolling_back_what_serves_nobody_is_no_error(house):
    assert house.rollouts.rollback(FLAG).state is State.DRAFT
    house.rollouts.start(FLAG)
    house.rollouts.abort(FLAG)
    assert house.rollouts.rollback(FLAG).state is State.ABORTED


@pytest.mark.parametrize("verb", ["pause", "resume", "approve", "promote", "skip", "abort", "retry"])
def test_a_draft_can_only_be_started(house, verb):
    with pytest.raises(TransitionRefused, match="draft.*possible now: start"):
        getattr(house.rollouts, verb)(FLAG)


@pytest.mark.parametrize("key", ["new-chekout", "plain"])
def test_a_flag_without_a_rollout_is_refused_by_name(house, key):
    house.define({FLAG: rollout_table(), "plain": None})
    with pytest.raises(TransitionRefused, match="did you mean|has no rollout"):
        house.rollouts.start(key)


def test_a_flag_whose_definition_was_rejected_says_why():
    with pf.connect({"flags": {FLAG: {"rollout": rollout_table(pol="1s")}}}, poll=None) as flags:
        with pytest.raises(DefinitionError, match="flags.new-checkout.rollout.pol: unknown key"):
            flags.rollouts.start(FLAG)


def test_a_table_that_cannot_be_carried_out_names_its_key():
    house = House(tables={FLAG: rollout_table(stages=[{"percent": 10}, {"percent": 5}])})
    with pytest.raises(DefinitionError, match="flags.new-checkout.rollout.stages: each stage"):
        house.rollouts.start(FLAG)


def test_approval_is_waited_for_and_never_blinds(house):
    house = House(tables={FLAG: rollout_table(approval={"before": [50]})})
    house.rollouts.start(FLAG)
    house.run(100)
    assert (house.status().state, house.status().percent) == (State.AWAITING_APPROVAL, 10)

    assert house.rollouts.approve(FLAG, by="ann").percent == 50
    assert house.rollouts.history(FLAG)[-1].actor == "ann"


def test_a_rollback_does_not_wait_for_the_approval():
    house = House(tables={FLAG: rollout_table(approval={"before": [50]})})
    house.rollouts.start(FLAG)
    house.run(100)
    house.run(600, candidate=0.45)

    assert house.status().state is State.ROLLED_BACK


def test_approval_before_a_hundred_comes_before_the_watch():
    house = House(tables={FLAG: rollout_table(approval={"before": [100]})})
    house.rollouts.start(FLAG)
    house.run(200)
    assert (house.status().state, house.status().percent) == (State.AWAITING_APPROVAL, 50)

    assert house.rollouts.approve(FLAG).state is State.WATCHING


def test_promote_full_does_not_go_round_an_approval():
    house = House(tables={FLAG: rollout_table(approval={"before": [50]})})
    house.rollouts.start(FLAG)

    with pytest.raises(TransitionRefused, match="approval before 50 %"):
        house.rollouts.promote(FLAG, full=True)


def test_a_freeze_stops_promotion_and_never_a_rollback():
    """The clock of these tests begins on 2027-01-15 at 08:00."""
    house = House(tables={FLAG: rollout_table(freeze=[{"from": "2027-01-15T08:00:30", "to": "2027-01-16T09:00", "reason": "sale"}])})
    house.rollouts.start(FLAG)
    house.run(200)
    status = house.status()
    assert (status.state, status.percent) == (State.JUDGING, 10)
    assert "frozen" in status.waiting
    with pytest.raises(TransitionRefused, match="frozen.*sale.*force=True"):
        house.rollouts.promote(FLAG)

    house.run(600, candidate=0.45)
    assert house.status().state is State.ROLLED_BACK


def test_after_the_freeze_the_climb_goes_on_by_itself():
    house = House(tables={FLAG: rollout_table(freeze=[{"from": "2027-01-15T08:00", "to": "2027-01-15T08:05"}])})
    house.rollouts.start(FLAG)
    assert house.status().state is State.SCHEDULED
    house.clock.advance(400)
    house.rollouts.tick()

    assert house.status().state is State.RAMPING


def test_an_approval_during_a_freeze_is_kept_for_after_it():
    house = House(tables={FLAG: rollout_table(approval={"before": [50]}, freeze=[{"from": "2027-01-15T08:02", "to": "2027-01-15T08:10"}])})
    house.rollouts.start(FLAG)
    house.run(130)
    assert house.status().state is State.AWAITING_APPROVAL
    assert house.rollouts.approve(FLAG).state is State.JUDGING
    house.run(600)

    assert house.status().percent == 100


def test_a_rollout_waits_for_the_one_it_needs():
    house = House(tables={"first": rollout_table(), "second": rollout_table(needs=["first"])})
    assert house.rollouts.start("second").state is State.SCHEDULED
    assert "needs first" in house.status("second").waiting
    house.rollouts.start("first")
    house.rollouts.promote("first", full=True)
    house.rollouts.tick()
    assert house.status("second").state is State.SCHEDULED

    house.clock.advance(1)
    house.recorder.record("first", arm="candidate", seconds=0.1, error=False)
    house.rollouts.pause("first")
    house.rollouts.resume("first")
    house.run(200, flag="first")
    assert house.status("first").state is State.COMPLETED
    house.rollouts.tick()
    assert house.status("second").state is State.RAMPING


def test_conflicting_rollouts_never_run_at_once():
    house = House(tables={"one": rollout_table(), "two": rollout_table(conflicts=["one"])})
    house.rollouts.start("one")
    assert house.rollouts.start("two").state is State.SCHEDULED

    house.rollouts.abort("one")
    house.rollouts.tick()
    assert house.status("two").state is State.RAMPING


def test_a_conflict_that_one_of_two_plans_names_holds_both_ways():
    """Whichever begins first: it makes no difference who wrote the conflict down."""
    house = House(tables={"one": rollout_table(), "two": rollout_table(conflicts=["one"])})
    house.rollouts.start("two")

    assert house.rollouts.start("one").waiting == "conflicts with two, which is ramping"
    house.rollouts.abort("two")
    house.rollouts.tick()
    assert house.status("one").state is State.RAMPING


def test_beside_a_rollout_that_cannot_be_read_none_begins_that_excludes_it():
    house = House(tables={"one": rollout_table(), "two": rollout_table(conflicts=["one"])})
    house.rollouts.start("one")
    house.store.commit(Commit({"rollout/one": {"v": 99}}))
    house.refresh()

    assert house.rollouts.start("two").waiting == "conflicts with one, which is unreadable"


def test_a_dark_launch_comes_first_where_the_plan_wants_one():
    house = House(tables={FLAG: rollout_table(dark_launch="24h")})
    said = ["UNDECIDED"]
    assert "no dark launch" in house.rollouts.start(FLAG).waiting

    house.rollouts.shadow(FLAG, lambda: said[0])
    house.rollouts.tick()
    assert "UNDECIDED" in house.status().waiting
    said[0] = "SAFE"
    house.clock.advance("23h")
    assert house.rollouts.tick() == ()
    assert "another 1h" in house.status().waiting
    house.clock.advance("1h")
    house.rollouts.tick()
    assert house.status().state is State.RAMPING


def test_kill_serves_safe_to_everybody_and_unkill_takes_it_back(house):
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG, full=True)
    house.rollouts.kill(FLAG, reason="fire", by="ann")
    assert house.exposed() == 0
    assert house.status().killed

    house.rollouts.unkill(FLAG)
    assert house.exposed() == 100
    assert house.rollouts.verify(FLAG) == ()


@pytest.mark.parametrize("damage", [{"v": 99}, {"v": 1}, {"v": 1, "samples": []}], ids=["newer", "empty", "torn"])
def test_a_kill_holds_and_can_be_thrown_and_lifted_whatever_became_of_the_rollout(house, damage):
    """The rollout's document was written by a newer version, or by hand; the flag's own is sound, and is what serves."""
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG, full=True)
    key = f"rollout/{FLAG}"
    house.store.commit(Commit({key: {**(house.store.read(key)[1][key].body if "samples" in damage else {}), **damage}}))
    house.rollouts.kill(FLAG, reason="fire")
    newcomer = House(house.store, house.clock)

    assert (house.exposed(), newcomer.exposed()) == (0, 0)
    assert newcomer.client.live(FLAG).killed.reason == "fire"
    newcomer.rollouts.unkill(FLAG)
    house.refresh()
    assert (house.exposed(), newcomer.exposed()) == (100, 100)


@pytest.mark.parametrize("damage", [{"v": 99}, {"v": 1, "killed": "yes"}], ids=["newer", "torn"])
def test_a_live_state_that_cannot_be_read_any_more_leaves_serving_what_served(house, damage):
    """The kill that was read stays in force; another flag's rollout goes on."""
    house.rollouts.kill(FLAG, reason="fire")
    house.store.commit(Commit({f"flag/{FLAG}": damage}))
    house.refresh()

    assert house.client.live(FLAG).killed.reason == "fire"


def test_killing_twice_changes_nothing_and_keeps_the_first_reason(house):
    house.rollouts.kill(FLAG, reason="first")
    revision = house.store.revision()
    house.rollouts.kill(FLAG, reason="second")

    assert house.store.revision() == revision
    assert house.client.live(FLAG).killed.reason == "first"


def test_killing_a_flag_that_does_not_exist_is_refused(house):
    with pytest.raises(TransitionRefused, match="did you mean 'new-checkout'"):
        house.rollouts.kill("new-chekcout")


def test_a_status_is_plain_json(house):
    import json

    house.rollouts.start(FLAG)
    house.run(30)
    told = json.loads(json.dumps(house.status().to_dict()))

    assert isinstance(house.status(), RolloutStatus)
    assert (told["state"], told["percent"], told["history"][0]["from"], told["history"][0]["to"]) == ("baking", 10.0, "draft", "scheduled")
    assert {"flag", "revision", "from", "to", "percent", "actor", "reason", "evidence", "at"} == set(told["history"][0])
    assert [step["revision"] for step in told["history"]] == [1, 2, 3]


def two_people(**changes):
    return House(tables={FLAG: rollout_table(approval={"before": [50], "two_person": True}, **changes)})


def test_where_two_people_are_asked_for_the_starter_cannot_approve():
    house = two_people()
    house.rollouts.start(FLAG, by="ann")
    house.run(70)
    assert house.status().state is State.AWAITING_APPROVAL

    with pytest.raises(TransitionRefused, match="ann started this run: somebody else has to agree"):
        house.rollouts.approve(FLAG, reason="looks fine to me", by="ann")
    with pytest.raises(TransitionRefused, match="say reason="):
        house.rollouts.approve(FLAG, by="bob")
    assert house.status().percent == 10

    assert house.rollouts.approve(FLAG, reason="looks fine", by="bob").percent == 50
    assert house.rollouts.approve(FLAG, reason="again", by="bob").percent == 50  # repeated: nothing changes


def test_force_is_no_way_around_the_second_person():
    house = two_people()
    house.rollouts.start(FLAG, by="ann")
    with pytest.raises(TransitionRefused, match="the plan wants two people"):
        house.rollouts.promote(FLAG, full=True, force=True, by="ann")

    assert house.rollouts.promote(FLAG, full=True, force=True, by="bob").percent == 100


@pytest.mark.parametrize("waiting", [False, True])
def test_whoever_retries_is_the_starter_of_that_run(waiting):
    """Also where the retry waited for the end of the cool-down, and the controller carried it out."""
    house = two_people(cool_down="30s")
    house.rollouts.start(FLAG, by="ann")
    house.rollouts.rollback(FLAG, by="ann")
    house.rollouts.retry(FLAG, by="bob", wait=waiting, force=not waiting)
    house.run(120)
    assert house.status().state is State.AWAITING_APPROVAL

    with pytest.raises(TransitionRefused, match="bob started this run"):
        house.rollouts.approve(FLAG, reason="fine", by="bob")
    assert house.rollouts.approve(FLAG, reason="fine", by="ann").percent == 50


def test_a_rollback_needs_one_person_whatever_the_plan_says():
    house = two_people()
    house.rollouts.start(FLAG, by="ann")
    assert house.rollouts.rollback(FLAG, by="ann").state is State.ROLLED_BACK
