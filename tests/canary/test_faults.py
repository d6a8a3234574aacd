"""
Faults a canary must survive: the list, with the test that shows each, and those that stood nowhere else.

A test that is renamed or removed makes this page wrong, and then it fails.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from progflags.canary import Decision, Evidence, Gate, judge
from progflags.canary.counting._sketch import EDGES
from support.windows import arm, window

TESTS = Path(__file__).parents[1]

SHOWN = {
    "F1 no data for a while": (
        "canary/test_faults.py::test_a_gap_is_neither_good_nor_bad_news",
        "canary/sequential/test_evidence.py::test_an_empty_batch_changes_nothing",
        "rollout/test_climb.py::test_the_bake_counts_only_time_in_which_samples_arrived",
    ),
    "F2 one arm's data are missing": (
        "canary/sequential/test_evidence.py::test_one_arm_alone_moves_no_comparison",
        "canary/judging/test_judge.py::test_no_data_is_never_good_news",
        "rollout/test_climb.py::test_no_control_means_no_bake",
    ),
    "F3 the candidate gets no traffic": (
        "canary/judging/test_judge.py::test_zero_traffic_on_the_candidate_names_the_broken_assignment",
        "rollout/test_climb.py::test_no_traffic_at_all_never_passes",
    ),
    "F4 nonsense is recorded": (
        "canary/counting/test_recorder.py::test_nonsense_is_rejected_and_counted_and_never_raised",
        "canary/judging/test_judge.py::test_too_much_nonsense_blocks_a_pass",
    ),
    "F5 one arm's data come late": ("canary/sequential/test_honesty.py::test_data_that_arrive_late_on_one_side_are_no_regression",),
    "F6 data come twice": (
        "canary/sequential/test_evidence.py::test_a_batch_delivered_twice_is_counted_once",
        "canary/counting/test_window.py::test_publishing_twice_counts_once",
        "rollout/test_races.py::test_a_batch_is_counted_once_however_many_controllers_look",
    ),
    "F7 clocks are wrong": (
        "canary/counting/test_recorder.py::test_a_wall_clock_that_steps_back_changes_nothing",
        "rollout/test_races.py::test_a_stepping_wall_clock_changes_no_bake",
        "rollout/test_races.py::test_a_restart_never_shortens_a_bake",
    ),
    "F8 a counter goes back": (
        "canary/test_faults.py::test_a_counter_that_starts_over_has_no_reading",
        "canary/counting/test_window.py::test_a_counter_that_went_back_is_no_evidence",
        "canary/counting/test_window.py::test_a_vanished_worker_is_no_negative_traffic",
    ),
    "F9 the process is killed in the middle": (
        "canary/sequential/test_evidence.py::test_a_restart_between_two_batches_changes_no_bit",
        "rollout/test_every_store.py::test_it_survives_being_killed_at_any_moment",
    ),
    "F10 many decide at once": (
        "rollout/test_races.py::test_two_controllers_never_both_win_a_step",
        "rollout/test_every_store.py::test_a_rollback_wins_over_promotions_in_every_interleaving",
        "rollout/test_every_store.py::test_eight_controllers_stopped_and_continued_at_random_lose_nothing",
    ),
    "F11 the store is down while rolling back": (
        "rollout/run/test_brake.py::test_with_the_store_out_of_reach_the_brake_holds_and_the_rollback_is_retried_for_ever",
    ),
    "F12 the store is down while advancing": (
        "rollout/test_faults.py::test_a_dead_store_stops_the_climb_and_nothing_else",
        "rollout/test_faults.py::test_a_lost_acknowledgement_never_advances_twice",
    ),
    "F13 a stale leader wakes up": ("rollout/test_races.py::test_a_stale_controller_that_wakes_up_late_changes_nothing",),
    "F14 the gates change in the middle": (
        "canary/sequential/test_evidence.py::test_the_next_stage_goes_on_where_claims_are_the_same_and_starts_anew_where_not",
        "rollout/test_climb.py::test_the_plan_is_frozen_at_the_start",
    ),
    "F15 another run begins": (
        "rollout/test_climb.py::test_a_second_run_begins_with_fresh_evidence",
        "canary/counting/test_recorder.py::test_what_happened_at_another_revision_is_not_counted",
    ),
    "F16 the share changes by hand": (
        "canary/sequential/test_evidence.py::test_a_batch_of_another_revision_starts_its_totals_anew_and_keeps_the_wealth",
    ),
    "F17 both arms have an incident": (
        "canary/judging/test_judge.py::test_a_shared_incident_is_nobodys_regression",
        "canary/sequential/test_honesty.py::test_shocks_that_both_arms_share_are_no_regression",
    ),
    "F18 one client retries 5,000 times": (
        "canary/judging/test_judge.py::test_one_hot_client_is_one_surprise",
        "canary/sequential/test_honesty.py::test_errors_in_bursts_are_no_regression",
        "canary/judging/test_judge.py::test_clustered_errors_are_reported",
    ),
    "F19 a regression begins late": ("canary/judging/test_judge.py::test_a_late_leak_is_found",),
    "F20 the candidate is better": (
        "canary/judging/test_judge.py::test_an_improvement_is_never_a_rollback",
        "canary/test_faults.py::test_a_better_candidate_is_proven_sooner",
    ),
    "F21 the control has no events": ("canary/sequential/test_reference.py::test_four_errors_against_none_hold_and_seven_roll_back",),
    "F22 a billion requests": (
        "canary/sequential/test_evidence.py::test_a_billion_requests_overflow_nothing",
        "canary/counting/test_sketch.py::test_a_billion_observations_do_not_overflow",
    ),
    "F23 latencies beyond the histogram": (
        "canary/judging/test_judge.py::test_a_quantile_outside_the_histogram_is_refused",
        "canary/test_faults.py::test_a_tail_above_the_histogram_is_refused_too",
    ),
    "F24 histograms of other producers": (
        "canary/counting/test_otel.py::test_a_finer_scale_folds_into_ours_exactly",
        "canary/counting/test_otel.py::test_a_threshold_between_edges_moves_up",
        "canary/counting/test_otel.py::test_merging_keeps_the_edges_both_have",
    ),
    "F25 the judge has a bug": (
        "canary/sequential/test_evidence.py::test_a_metric_that_breaks_holds_and_the_others_are_judged",
        "rollout/test_climb.py::test_one_flags_trouble_stays_with_that_flag",
        "rollout/run/test_brake.py::test_a_broken_judge_does_not_stop_the_brake",
    ),
    "F26 a decision after every event": (
        "canary/sequential/test_honesty.py::test_looking_after_every_single_event_is_allowed",
        "canary/sequential/test_honesty.py::test_a_thousand_healthy_rollouts_looked_at_every_tick",
    ),
}


def test_every_fault_has_its_number():
    assert [fault.split()[0] for fault in SHOWN] == [f"F{number}" for number in range(1, 27)]


@pytest.mark.parametrize("fault", SHOWN)
def test_the_tests_that_show_a_fault_are_there(fault):
    for place in SHOWN[fault]:
        file, name = place.split("::")
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), place


RATE = Gate("error_rate", max_increase=0.5)


def test_a_gap_is_neither_good_nor_bad_news():
    """Ten looks that bring nothing: the evidence is the same bit for bit, the verdict a HOLD that says so, and it goes on after."""
    stream = [window(arm(5000, 50), arm(5000, 50)) for _ in range(12)]
    steady = gapped = Evidence.start([RATE])
    for number, batch in enumerate(stream):
        steady = steady.add(batch)
        gapped = gapped.add(batch)
        for _ in range(10 if number == 5 else 0):
            gapped = gapped.add(window())
            verdict = judge(gapped, baked=99, bake=1, fresh=False)
            assert (verdict.decision, "fresh" in verdict.reason) == (Decision.HOLD, True)
            assert all(math.isfinite(track.now) for track in gapped.tracks.values())

    assert gapped == steady
    assert judge(gapped, baked=99, bake=1).decision == Decision.PASS


def test_a_counter_that_starts_over_has_no_reading():
    """A source that falls from a million to three is not read at minus a million per second; the next growth counts again."""
    from progflags.canary.counting import _gauges

    values, now = iter([1e6, 1e6 + 50, 3.0, 13.0]), iter([10.0, 20.0, 30.0, 40.0])
    growth = _gauges._Growth(lambda: next(values), lambda: next(now))

    assert [growth() for _ in range(4)] == [None, 5.0, None, 1.0]


def test_a_better_candidate_is_proven_sooner():
    """Half of the errors: `proven` is reached in fewer batches than at equal ones, and never by way of a rollback."""
    gate = replace(RATE, policy="proven", must_detect=0.5)

    def batches_until_pass(errors):
        evidence = Evidence.start([gate])
        for number in range(1, 200):
            evidence = evidence.add(window(arm(2000, 20), arm(2000, errors)))
            decision = judge(evidence, baked=99, bake=1).decision
            assert decision != Decision.ROLLBACK
            if decision == Decision.PASS:
                return number
        return math.inf

    assert batches_until_pass(10) < batches_until_pass(20) < math.inf


def test_a_tail_above_the_histogram_is_refused_too():
    """Requests that take longer than the last edge: no verdict is made up about how much longer."""
    slow = window(*[arm(500, latencies=[2 * EDGES[-1]] * 500)] * 2)
    evidence = Evidence.start([Gate("p99_latency", max_increase=0.1, policy="no_alarm")])
    for _ in range(5):
        evidence = evidence.add(slow)

    verdict = judge(evidence, baked=99, bake=1)

    assert verdict.decision == Decision.HOLD
    assert "outside what the histogram resolves" in verdict.reason
