"""The watch after 100 % always has something to lose against: a control, the control as it was, or bounds it has set."""

from __future__ import annotations

import math
import random

import pytest
from benchmarks.service_days import CURVES, at
from tests.support.windows import poisson

from progflags._json import canonical, loads
from progflags.canary import Gate, Sample, Totals
from progflags.errors import TransitionRefused
from progflags.rollout import Plan, State, lint
from progflags.rollout.plan._memory import Memory

from .conftest import FLAG, House, rollout_table

ERRORS = {"metric": "error_rate", "max_increase": 0.25, "min_absolute": 0.001, "policy": "no_alarm"}
P99 = {"metric": "p99_latency", "max_increase": 0.10, "policy": "no_alarm"}
STAGE = {"percent": 50, "bake": "10m", "gates": [ERRORS, P99]}
LATENCIES = [0.05 * math.exp(0.02 * k) for k in range(100)]  # 50 to 360 ms


def call(house, arm, n, *, bad=0.0, slower=1.0):
    failed = round(n * bad)
    for k, seconds in enumerate(LATENCIES):
        many = n // 100 + (k < n % 100)
        errors = min(many, failed // 100 + (k < failed % 100))
        for failing, count in ((False, many - errors), (True, errors)):
            if count:
                house.recorder.record(FLAG, arm=arm, seconds=seconds * slower, error=failing, n=count)


def watched(rps=10, *, errors=0.01, **table):
    """A rollout at the beginning of its watch."""
    house = House(tables={FLAG: rollout_table(**{"stages": [STAGE], "watch": "24h", "batch": "10s", **table})})
    house.rollouts.start(FLAG)
    for _ in range(200):
        if house.status().state in (State.WATCHING, State.COMPLETED):
            return house
        for arm in ("control", "candidate"):
            call(house, arm, rps * 10, bad=errors)
        house.clock.advance(10)
        house.rollouts.tick()
    raise AssertionError(house.status())


def goes_wrong(house, *, minutes=10, rps=10, **how):
    """So many seconds until it is rolled back; None: it isn't."""
    share = (house.client.live(FLAG).share or 0) / 1e6
    for seconds in range(10, minutes * 60 + 1, 10):
        call(house, "candidate", round(rps * 10 * share), **how)
        if share < 1:
            call(house, "control", max(1, round(rps * 10 * (1 - share))), bad=0.01 if seconds % 100 == 0 else 0.0)
        house.clock.advance(10)
        house.rollouts.tick()
        if house.status().state is State.ROLLED_BACK:
            return seconds
    return None


@pytest.mark.parametrize("holdback", [0, 1])
@pytest.mark.parametrize(("errors", "how"), [(0.01, {"bad": 0.12}), (0.0, {"bad": 0.12}), (0.01, {"bad": 0.01, "slower": 3.0})])
def test_what_breaks_after_everybody_has_it_is_rolled_back_within_ten_minutes(errors, how, holdback):
    house = watched(errors=errors, holdback=holdback)
    seconds = goes_wrong(house, **how)

    assert seconds is not None
    assert seconds <= 600
    assert house.exposed() == 0


def test_what_breaks_after_a_long_healthy_time_is_found_as_soon():
    """Hours of health are no credit: the test begins anew every quarter of an hour."""
    house = watched()
    assert goes_wrong(house, minutes=40, bad=0.01) is None
    assert goes_wrong(house, bad=0.12) <= 120


def test_the_reason_says_that_it_is_a_change_in_time():
    house = watched()
    goes_wrong(house, bad=0.12)

    assert "error_rate is 12 % since everybody has it; the control had 1 %, and" in house.status().reason
    assert house.status().reason.endswith("more than time explains")
    assert any(finding["kind"] == "remembered" for finding in house.status().findings)


def test_a_healthy_watch_completes():
    house = watched(watch="30m")
    assert goes_wrong(house, minutes=32, bad=0.01) is None
    assert house.status().state is State.COMPLETED


def test_the_bounds_of_the_control_as_it_was_stand_in_the_history():
    house = watched()
    step = next(step for step in house.status().history if step.target == "watching")

    assert "bounds from the control as it was: error_rate: max 0.0" in step.reason
    assert "p99_latency: max 0." in step.reason
    assert house.rollouts.verify(FLAG) == ()


def test_a_bound_of_its_own_is_not_replaced():
    house = watched(stages=[{**STAGE, "gates": [{**ERRORS, "max": 0.5}, P99]}])
    gates = house.rollouts._parts.ledger.page(FLAG).record.evidence.gates

    assert [gate.max for gate in gates if gate.metric == "error_rate"] == [0.5]


def test_a_holdback_is_kept_until_the_watch_ends_and_then_everybody_has_it():
    house = watched(watch="10m", holdback=1)
    assert house.status().percent == 99
    assert house.status().watched_by == {"error_rate": "control", "p99_latency": "control"}
    goes_wrong(house, minutes=11, bad=0.01)

    assert house.status().state is State.COMPLETED
    assert (house.status().percent, house.exposed()) == (100, 100)


def test_a_profile_keeps_a_holdback_and_stages_of_ones_own_do_not():
    assert [Plan.of({"profile": name}).holdback for name in ("low", "standard", "high")] == [0, 10_000, 10_000]
    assert Plan.of({"stages": [STAGE]}).holdback == 0
    assert Plan.of({"profile": "standard", "holdback": 0}).holdback == 0
    assert Plan.of({"profile": "standard"}).final == 1_000_000
    assert Plan.of({"profile": "high@1"}).final == 990_000  # as it was: for good
    assert Plan.of({"profile": "standard", "keep_holdback": True}).final == 990_000


def test_the_status_says_what_watches_each_metric():
    gauge = {"metric": "cpu", "max": 0.9, "severity": "warning"}
    event = {"metric": "signup", "max_decrease": 0.1, "policy": "no_alarm"}
    house = House(tables={FLAG: rollout_table(stages=[{**STAGE, "gates": [ERRORS, P99, gauge, event]}])})

    told = {"error_rate": "remembered", "p99_latency": "remembered", "cpu": "bound", "signup": "nothing"}
    assert house.status().watched_by == told
    assert house.rollouts.forecast(FLAG).watched_by == told
    assert "signup by nothing" in str(house.rollouts.forecast(FLAG))
    assert [one.rule for one in lint(house.rollouts.plan(FLAG))] == ["short-bake", "short-business", "unwatched"]


def test_a_control_that_nobody_met_watches_nothing_and_the_status_says_so():
    house = House(tables={FLAG: rollout_table(stages=[STAGE])})
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG, full=True)

    assert house.status().state is State.WATCHING
    assert house.status().watched_by == {"error_rate": "nothing", "p99_latency": "nothing"}


def test_a_watch_that_watches_nothing_is_refused_at_the_start():
    event = {"metric": "signup", "max_decrease": 0.1}
    table = rollout_table(stages=[{"percent": 50, "bake": "10m", "gates": [event]}], watch_gates=[event])
    house = House(tables={FLAG: table})
    with pytest.raises(TransitionRefused, match="would watch nothing.*holdback"):
        house.rollouts.start(FLAG)

    assert house.status().state is State.DRAFT
    assert House(tables={FLAG: {**table, "watch": "0s"}}).rollouts.start(FLAG).state is State.RAMPING
    assert House(tables={FLAG: {**table, "holdback": 1}}).rollouts.start(FLAG).state is State.RAMPING


@pytest.mark.parametrize("gates", [[], [{"metric": "signup", "max_decrease": 0.1}], [{"metric": "*", "anomaly": False}]])
def test_stages_whose_gates_need_a_control_are_watched_by_what_the_profile_compares(gates):
    plan = Plan.of({"stages": [{"percent": 50, "bake": "1m", "gates": gates}]})

    assert [gate.metric for gate in plan.gates(1)] == ["error_rate", "p99_latency"]


def test_what_a_running_rollout_began_with_stays():
    frozen = Plan.of({"stages": [STAGE]}).to_dict()
    for key in ("remember", "keep_holdback", "max_units"):
        del frozen[key]
    old = Plan.thaw(frozen)

    assert (old.remember, old.keep_holdback) == (False, True)


# -- the memory by itself -----------------------------------------------------------------------------------------------


def hours_of(name, chance, begin, count, *, rps=5.0):
    """(wall time, trials, errors, stretch of latencies) by quarter of an hour; the weekend has its own."""
    for quarter in range(count * 4):
        now = begin + quarter * 900
        load, failing, stretch = at(name, now)
        n = poisson(chance, rps * 900 * load)
        yield now, n, poisson(chance, n * 0.005 * failing), stretch


def totals(n, errors, stretch):
    sample = Sample.of([seconds * stretch for seconds in LATENCIES])
    whole = sample
    for _ in range(max(0, n // 100 - 1)):
        whole = whole.merge(sample)
    return Totals(n, n, errors, samples={"latency": whole})


@pytest.mark.parametrize("service", CURVES)
def test_a_healthy_day_of_watching_is_rarely_rolled_back(service):
    """By day or by night, into the weekend and out of it: at most alpha, with three standard errors for so few lives."""
    gates = [Gate.of(ERRORS), Gate("p99_latency", max_increase=0.1)]
    chance, lives, false = random.Random(11), 12, 0
    for life in range(lives):
        memory, begin = Memory(), 1_800_000_000.0 + life * 86_400 / 2
        for now, n, errors, stretch in hours_of(service, chance, begin, 5):
            memory = memory.learn(gates, totals(n, errors, stretch), now)
        memory = memory.begin({}, 86_400.0, 0.05)
        for now, n, errors, stretch in hours_of(service, chance, begin + 5 * 3600, 24):
            memory = memory.look(gates, totals(n, errors, stretch), now, 900.0)
        false += bool(memory.broken)

    assert false / lives <= 0.05 + 3 * (0.05 * 0.95 / lives) ** 0.5


def test_the_drift_is_measured_from_the_controls_own_past_and_never_less_than_half_as_much_again():
    gate, memory = Gate.of(ERRORS), Memory()
    for part, errors in enumerate((10, 10, 10, 10)):
        memory = memory.learn([gate], Totals(10_000, 10_000, errors), part * 3 * 3600.0)
    steady = memory.drift(gate)
    for part, errors in enumerate((40, 5, 80, 10)):
        memory = memory.learn([gate], Totals(10_000, 10_000, errors), part * 3 * 3600.0)

    assert steady == 1.5
    assert memory.drift(gate) > 2


def test_it_survives_being_written_down():
    gates = [Gate.of(ERRORS), Gate("p99_latency", max_increase=0.1)]
    memory = Memory().learn(gates, totals(2000, 20, 1.0), 0.0).begin({"error_rate": 2.0}, 3600.0, 0.05)
    memory = memory.look(gates, totals(1000, 200, 3.0), 10.0, 10.0)

    assert memory.broken
    assert Memory.from_json(loads(canonical(memory.to_json()))) == memory
