"""Stages that fit the traffic: the share at which what matters is seen in time, and how long that takes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

import progflags as pf
from progflags.canary import Sample, Totals
from progflags.rollout import Plan, PlanError, State, forecast
from progflags.rollout.plan._fit import climb, fitting, prospect
from progflags.rollout.plan._traffic import Traffic
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House

GATE = {"metric": "error_rate", "max_increase": 0.25, "min_absolute": 0.001}


def traffic(rps, errors=0.01, people=None):
    n = 100_000
    latencies = {"latency": Sample.of([0.05 + k / 20_000 for k in range(2000)])}
    return Traffic(rps, Totals(n, n, round(errors * n), samples=latencies), rps if people is None else people)


def auto(**stage):
    return {"percent": "auto", "bake": "15m", "gates": [GATE], **stage}


def plan(*stages, **table):
    return Plan.of({"stages": list(stages) or [auto()], **table})


@pytest.mark.parametrize("rps", [10_000, 100, 20, 5, 2])
def test_the_smallest_rung_at_which_what_matters_is_seen_in_four_bakes(rps):
    steep = plan(auto(), {"percent": 50}, deadline="24h")
    share = fitting(steep, 0, traffic(rps))
    lasts = {rung: prospect(steep, 0, traffic(rps), rung).lasts for rung in steep.stages[0].rungs}

    if min(lasts.values()) <= 4 * 900:
        assert lasts[share] <= 4 * 900 < min((lasts[rung] for rung in lasts if rung < share), default=math.inf)
    else:
        assert lasts[share] == min(lasts.values())


def test_the_larger_the_traffic_the_smaller_the_share_and_where_nothing_will_be_seen_the_smallest():
    steep = plan(auto(), {"percent": 50}, deadline="24h")
    shares = [fitting(steep, 0, traffic(rps)) for rps in (2, 5, 20, 100, 10_000)]

    assert shares == sorted(shares, reverse=True)
    assert (shares[0] >= 200_000, shares[-1], fitting(steep, 0, traffic(0.0001))) == (True, 10_000, 10_000)


def test_without_traffic_it_begins_with_the_smallest():
    assert fitting(plan(), 0, None) == 10_000
    assert fitting(plan(auto(at_least=3)), 0, None) == 30_000


def test_a_gate_that_passes_by_time_must_have_seen_it_by_the_end_of_the_bake():
    seldom = plan(auto(gates=[{**GATE, "policy": "observed"}]))
    waiting = plan()

    assert fitting(seldom, 0, traffic(10)) > fitting(waiting, 0, traffic(10))
    assert prospect(seldom, 0, traffic(10), fitting(seldom, 0, traffic(10))).lasts == 900


def test_a_budget_of_people_is_never_exceeded():
    """Ten people a second: a tenth of them for an hour is 3,600."""
    free, bound = plan(), plan(max_units=200)
    exposed = [prospect(one, 0, traffic(10), fitting(one, 0, traffic(10))).people for one in (free, bound)]

    assert exposed[0] > 200
    assert fitting(bound, 0, traffic(10)) < 10_000  # below the smallest rung
    assert fitting(plan(max_units=2000), 0, traffic(10)) <= fitting(free, 0, traffic(10))


def test_a_budget_of_people_holds_over_the_whole_climb():
    """What earlier stages have met is gone from it; a stage that can't afford its smallest rung stays at the share there is."""
    stages = (auto(bake="10m"), auto(bake="10m"), auto(bake="10m"))
    free, bound = (plan(*stages, **budget) for budget in ({}, {"max_units": 3000}))
    exposed, shares = (
        [getattr(one, name) for _, one in climb(bound.fit(0, fitting(bound, 0, traffic(20))), 0, traffic(20))]
        for name in ("people", "share")
    )

    assert sum(one.people for _, one in climb(free.fit(0, fitting(free, 0, traffic(20))), 0, traffic(20))) > 3000
    assert exposed[0] <= 3000
    assert all(share == before or sum(exposed[: n + 2]) <= 3000 for n, (before, share) in enumerate(pairwise(shares)))
    assert fitting(bound.fit(0, 20_000), 1, traffic(20), frozenset(), 3000) == 20_000


def test_requests_that_go_together_take_as_many_more():
    """Worth one in four, they take four times as long: measured before the start where it is known whose they are, and since."""
    plain, worth = traffic(10), replace(traffic(10), worth={"error_rate": 4.0})
    open_only = plan(look=False)
    found = [{one.metric: one.seconds for one in prospect(open_only, 0, one, 100_000).seen} for one in (plain, worth)]

    assert found[1]["error_rate"] == pytest.approx(4 * found[0]["error_rate"], rel=0.05)
    assert Traffic.from_json(worth.to_json()) == worth
    control = Totals(400, 400, 40, 400, cells={"n": (6.25,) * 64, "x": (10.0,) * 4 + (0.0,) * 60})
    assert Traffic.over(60, control, Totals()).worth["error_rate"] == pytest.approx(9.5, rel=0.1)


def test_a_proof_after_the_bake_comes_from_watching_alone_and_lasts():
    """At 1 request a second and 0.1 % errors no planned look is left when enough is known; what is ruled out by then holds nobody up again."""
    found = [prospect(plan(look=look), 0, traffic(1, errors=0.001), 500_000) for look in (True, False)]
    proofs = [next(one for one in ahead.seen if one.metric == "error_rate") for ahead in found]

    assert proofs[0].proof == pytest.approx(proofs[1].proof, rel=0.05)
    assert found[0].lasts > proofs[0].proof > 10 * 3600
    assert prospect(plan(), 0, traffic(1, errors=0.001), 500_000, proven={proofs[0].gate}).lasts == 900


def test_what_passes_by_time_is_said_to_see_only_what_it_keeps_out():
    """Of doubled errors a fifth looked tolerable after the two minutes of `emergency@2` at 100 requests a second, where a proof was due."""
    emergency = Plan.of({"profile": "emergency@2"})
    ahead = {rps: prospect(emergency, 0, traffic(rps)) for rps in (100, 150)}

    assert [one.sees for one in ahead.values()] == [False, True]
    assert ahead[100].seen[0].proof < 120 < ahead[100].seen[0].seconds


def test_what_passes_by_time_rules_nothing_out_for_the_stages_after_it():
    first, second = (ahead for _, ahead in climb(Plan.of({"profile": "low"}), 0, traffic(100)))

    assert first.seen[0].proof < first.lasts
    assert second.seen[0].seconds > 0


@pytest.mark.parametrize(("rps", "percent", "minutes"), [(100, 10, 2), (20, 50, 10), (5, 50, 60)])
def test_an_emergency_is_as_quick_as_its_proof(rps, percent, minutes):
    """Where two minutes say enough it takes two; where they don't, more people have it rather than longer."""
    emergency = Plan.of({"profile": "emergency"})
    share = fitting(emergency, 0, traffic(rps))
    ahead = prospect(emergency, 0, traffic(rps), share)

    assert share == percent * 10_000
    assert ahead.sees
    assert 120 <= ahead.lasts <= 60 * minutes


def test_a_stage_that_never_ends_rules_nothing_out_for_those_after_it():
    """Latencies of two values far apart: moved by a quarter the tail is where it was, so that no proof ever comes."""
    slow = {"metric": "p99_latency", "max_increase": 0.1, "must_detect": 0.25, "policy": "proven"}
    stages = [{"percent": percent, "bake": "15m", "gates": [slow]} for percent in (1, 10)]
    two = replace(traffic(100), control=Totals(2000, 2000, 20, samples={"latency": Sample.of([0.1] * 1980 + [1.0] * 20)}))
    first, second = (ahead for _, ahead in climb(plan(*stages), 0, two))

    assert first.lasts == second.lasts == math.inf
    assert [one.seconds for one in (*first.seen, *second.seen)] == [math.inf, math.inf]


def test_no_rung_goes_beyond_a_later_percent_nor_past_an_approval():
    assert plan(auto(), {"percent": 10}).stages[0].rungs == (10_000, 20_000, 50_000, 100_000)
    assert plan(auto(), auto(at_least=10), approval={"before": [10]}).stages[0].rungs == (10_000, 20_000, 50_000)
    assert plan(auto(), auto(at_least=10), approval={"before": [10]}).stages[1].approval
    assert plan(approval={"before": [20, 100]}).stages[0].rungs == (10_000, 20_000, 50_000, 100_000)


@pytest.mark.parametrize(
    ("stages", "key"),
    [
        ([{"percent": 5, "at_least": 3}], "stages.0.at_least"),
        ([{"percent": 5}, auto(at_least=2)], "stages.1.at_least"),
        ([{"percent": 50}, auto()], "stages.1.percent"),
    ],
)
def test_what_can_not_fit_is_refused_with_its_place(stages, key):
    with pytest.raises(PlanError) as refused:
        plan(*stages)
    assert refused.value.key == key


def test_a_chosen_percent_is_frozen_with_the_plan_and_is_no_edit_of_it():
    climb = plan(auto(), auto(at_least=10), {"percent": 50})
    chosen = climb.fit(0, 200_000)

    assert [stage.percent for stage in chosen.stages] == [20, 20, 50]
    assert Plan.thaw(chosen.to_dict()) == chosen
    assert (chosen.blank, chosen.digest) == (climb, climb.digest)


# -- whole rollouts -----------------------------------------------------------------------------------------------------


def minutes(house, count, rps, *, every=0):
    """So many minutes of traffic, of which every `every`-th call fails."""
    steps = []
    for _ in range(count):
        share = house.client.live(FLAG).share or 0
        for arm, part in (("control", 1 - share / 1e6), ("candidate", share / 1e6)):
            n = round(60 * rps * part)
            bad = n // every if every else 0
            for failed, k in ((False, n - bad), (True, bad)):
                if k:
                    house.recorder.record(FLAG, arm=arm, seconds=0.1, error=failed, n=k)
        house.clock.advance(60)
        steps += house.rollouts.tick()
    return steps


def test_traffic_is_counted_before_the_start():
    house = House(tables={FLAG: {}})
    minutes(house, 20, 5, every=100)
    status = house.rollouts.start(FLAG)

    assert status.percent == 20
    assert status.eta == pytest.approx(house.rollouts.forecast(FLAG).expected, rel=0.01)
    assert [step.percent for step in status.history] == [0, 20]


def test_what_other_processes_serve_counts_too(houses):
    serving, starting = houses(2, tables={FLAG: {}})
    minutes(serving, 20, 5, every=100)
    starting.rollouts.tick()

    assert starting.rollouts.forecast(FLAG).rps == pytest.approx(5, rel=0.1)
    assert starting.rollouts.start(FLAG).percent == 20


def test_a_function_behind_a_rollout_that_is_not_started_is_counted():
    with pf.connect({"flags": {FLAG: {"rollout": {}}}}, clock=ManualClock()) as flags:

        @pf.progressive(FLAG, candidate=lambda user: "new", flags=flags, key=lambda user: user)
        def serve(user):
            return "old"

        assert {serve(f"user-{n}") for n in range(100)} == {"old"}
        control = flags.metrics.read(FLAG)["control"]
        assert (control["requests"], control["units"]) == (100, 100)


def test_who_starts_without_traffic_climbs_to_the_rung_that_fits_once_it_is_known():
    """Two requests a second: 1 % of them would take days."""
    house = House(tables={FLAG: {}})
    assert house.rollouts.start(FLAG).percent == 1
    steps = minutes(house, 60, 2, every=100)
    fitted = [step for step in steps if "see sooner what matters" in step.reason]

    assert fitted
    assert fitted[-1].percent >= 10
    assert house.status().percent >= fitted[-1].percent
    assert fitted[0].source in (State.JUDGING, State.HELD)


def test_two_stages_at_the_same_share_count_every_call_once():
    stages = [auto(at_least=20, bake="5m", gates=[{**GATE, "policy": "no_alarm"}]), {"percent": 20, "bake": "5m", "gates": [GATE]}]
    house = House(tables={FLAG: {"stages": stages}})
    house.rollouts.start(FLAG)
    minutes(house, 9, 50, every=100)

    assert house.status().stage == 1
    assert house.status().samples["candidate"] <= 9 * 60 * 10 - 5 * 60 * 10
    evidence = house.rollouts._parts.ledger.page(FLAG).record.evidence
    assert evidence.totals.candidate.requests == house.status().samples["candidate"]


def test_the_time_left_is_told_and_shrinks():
    house = House(tables={FLAG: {}})
    minutes(house, 20, 100, every=100)
    told = [house.rollouts.start(FLAG).eta]
    for _ in range(12):
        minutes(house, 20, 100, every=100)
        told.append(house.status().eta)

    assert told == sorted(told, reverse=True)
    assert told[0] - told[-1] == pytest.approx(4 * 3600, rel=0.1)
    house.rollouts.pause(FLAG)
    assert house.status().eta is None
    assert house.status().to_dict()["eta"] is None


def test_nobody_knows_how_long_it_takes_without_traffic():
    house = House(tables={FLAG: {}})

    assert house.rollouts.start(FLAG).eta is None


def test_a_start_says_what_each_stage_will_see_and_what_is_hopeless():
    house = House(tables={FLAG: {}})
    minutes(house, 20, 100, every=100)
    notes = house.rollouts.start(FLAG).notes

    assert [note.partition(":")[0] for note in notes] == ["1 %", "10 %", "50 %", "after 100 %"]
    assert "error_rate: a rise to ×2 is seen after" in notes[0]
    assert all("error_rate: a rise to ×2 is ruled out by then" in note for note in notes[1:3])  # which lasts
    assert notes[3] == "after 100 %: error_rate by a control, p99_latency by a control, * by a control"

    slow = House(tables={FLAG: {}})
    minutes(slow, 60, 0.05, every=100)
    hopeless = [note for note in slow.rollouts.start(FLAG).notes if note.startswith("hopeless")]
    assert hopeless
    assert all(word in hopeless[0] for word in ("min_absolute", "deadline = ", "larger percent"))


def test_a_forecast_of_a_service_without_errors_asks_for_points():
    said = forecast(Plan.of({}), rps=1000, error_rate=0.0)

    assert "error_rate: a rise of 0.1 points is seen after" in str(said)
    assert said.expected == pytest.approx(said.to_full)
    assert forecast(Plan.of({}), rps=0.001).expected is None
    assert "never gets to everybody" in str(forecast(Plan.of({}), rps=0.001))
    assert all(stage["lasts"] is None or math.isfinite(stage["lasts"]) for stage in forecast(Plan.of({}), rps=0.001).to_dict()["stages"])
