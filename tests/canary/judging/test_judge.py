"""The judge: what rolls back, what holds and says why, and what may pass."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest

from progflags.canary import Decision, Evidence, Gate, Policy, Window, judge
from progflags.canary.counting._totals import Moments, Totals, exact
from support.windows import arm, window


def judged(gates, *stream, baked=100.0, bake=60.0, **options):
    evidence = Evidence.start(gates)
    for batch in stream:
        evidence = evidence.add(batch)
    return judge(evidence, baked=baked, bake=bake, **options)


def healthy(n=20_000, errors=200, batches=10):
    """Ten equal batches of an ordinary service."""
    return [window(arm(n, errors), arm(n, errors)) for _ in range(batches)]


RATE = Gate("error_rate", max_increase=0.5)


def test_a_healthy_candidate_passes_once_everything_is_met():
    """Bake over, samples there, the estimate inside the bound, and half as many errors more would not have gone unseen."""
    verdict = judged([replace(RATE, max_increase=0.0, must_detect=0.5)], *healthy(5000, 50))

    assert verdict.decision == Decision.PASS
    assert verdict.findings[0].passed
    assert "a rise of 50 % is ruled out" in verdict.reason


def test_five_percent_errors_against_none_roll_back():
    """F21 and the classic: control without a single error, candidate failing one in twenty."""
    for seed in range(100):
        rng = random.Random(seed)
        stream = [window(arm(50), arm(50, sum(rng.random() < 0.05 for _ in range(50)))) for _ in range(20)]
        assert judged([RATE], *stream, baked=1).decision == Decision.ROLLBACK


def test_a_rollback_waits_for_nothing():
    """Neither bake, nor minimum samples, nor freshness, nor a broken assignment delay it."""
    verdict = judged([RATE], *[window(arm(3), arm(3, 3))] * 12, baked=0, bake=3600, min_samples=10_000, fresh=False, share=0.5)

    assert verdict.decision == Decision.ROLLBACK
    assert verdict.eta is None


def test_a_rollback_stays_one():
    """Absorbing: an hour of flawless service later the verdict is the same."""
    evidence = Evidence.start([RATE])
    for batch in [window(arm(100), arm(100, 50))] * 10 + [window(arm(10_000, 500), arm(10_000))] * 60:
        evidence = evidence.add(batch)

    assert judge(evidence, baked=99, bake=1).decision == Decision.ROLLBACK
    assert judge(evidence, baked=99, bake=1).findings[0].evidence < 20


def test_an_improvement_is_never_a_rollback():
    """F20: half the errors, half the latency."""
    gates = [RATE, Gate("p99_latency", max_increase=0.1)]
    rng = random.Random(1)
    stream = [
        window(
            arm(500, 50, latencies=[rng.lognormvariate(-2, 0.5) for _ in range(500)]),
            arm(500, 25, latencies=[rng.lognormvariate(-2.7, 0.5) for _ in range(500)]),
        )
        for _ in range(20)
    ]

    verdict = judged(gates, *stream)

    assert verdict.decision == Decision.PASS
    assert verdict.findings[0].effect < 0


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize(
    ("control", "candidate"),
    [
        (None, None),
        (arm(1000, 1), None),
        (None, arm(1000, 1)),
        (arm(), arm()),
        (arm(1000, 1), arm()),
        (arm(), arm(1000, 1)),
        (Totals(requests=1000), Totals(requests=1000)),
        (Totals(rejected=1000), Totals(rejected=1000)),
    ],
    ids=["nothing", "no candidate", "no control", "both empty", "candidate empty", "control empty", "success unknown", "all rejected"],
)
@pytest.mark.parametrize("metric", ["error_rate", "p99_latency", "mean_latency", "conversion", "never_heard_of", "timeout_rate"])
def test_no_data_is_never_good_news(metric, control, candidate, policy):
    """F1 to F3: whatever is missing, on whichever side, under whichever policy: HOLD, with a reason."""
    evidence = Evidence.start([Gate(metric, max_increase=0.1, policy=policy)]).add(window(control, candidate))

    verdict = judge(evidence, baked=1e6, bake=1.0, min_samples=0)

    known = control is not None and candidate is not None and control.requests > 0 and candidate.requests > 0
    if metric in {"timeout_rate", "never_heard_of", "conversion"} and known and policy in {Policy.NO_ALARM, Policy.OBSERVED}:
        return  # an event nobody had yet: seen by requests, absent so far
    assert verdict.decision == Decision.HOLD
    assert verdict.reason


def test_zero_traffic_on_the_candidate_names_the_broken_assignment():
    """F3: 1,000 units on the control where 1 % was planned for the candidate."""
    verdict = judged([RATE], window(arm(5000, 5, units=1000), arm()), share=0.01)

    assert verdict.decision == Decision.HOLD
    assert verdict.integrity["units"] == [1000, 0]
    assert verdict.integrity["srm"] > 1


def test_a_broken_assignment_blocks_a_pass():
    """3 % seen where 10 % was planned."""
    stream = [window(arm(20_000, 200, units=970), arm(20_000, 200, units=30)) for _ in range(10)]

    assert judged([RATE], *stream, share=0.5).decision == Decision.HOLD
    verdict = judged([RATE], *stream, share=0.1)
    assert verdict.decision == Decision.HOLD
    assert "assignment is broken" in verdict.reason
    assert judged([RATE], *stream, share=0.03).decision == Decision.PASS


def test_units_that_several_workers_met_break_no_assignment():
    """Sixteen workers each count the same 400 units, of which 54 % happen to be the candidate's: no alarm."""
    whole = window(arm(20_000, 200, units=16 * 184), arm(20_000, 200, units=16 * 216), workers=tuple(f"w{i}" for i in range(16)))

    assert judged([RATE], whole, share=0.5).integrity["srm_failed"] is False
    assert judged([RATE], replace(whole, workers=("one",)), share=0.5).integrity["srm_failed"] is True


def test_too_much_nonsense_blocks_a_pass():
    """More than 1 % of the observations rejected."""
    ok, bad = arm(20_000, 200), replace(arm(20_000, 200), rejected=300)

    assert judged([RATE], *healthy(), window(ok, replace(ok, rejected=100))).decision == Decision.PASS
    verdict = judged([RATE], *[window(ok, bad)] * 10)
    assert verdict.decision == Decision.HOLD
    assert "1 %" in verdict.reason


def test_a_hold_says_how_long_it_will_take():
    """Bake, samples and power each give an estimate at the present traffic."""
    assert judged([RATE], *healthy(), baked=30, bake=600).eta == pytest.approx(570)
    few = judged([RATE], *[window(arm(100, 1), arm(5))] * 2, baked=60, bake=10, min_samples=100)
    assert few.eta >= 540
    assert "10 of 100 samples" in few.reason
    weak = judged([RATE], *[window(arm(100, 1), arm(100, 1))] * 10, baked=600, bake=60)
    assert weak.decision == Decision.HOLD
    assert "would not yet have been caught" in weak.reason
    assert weak.eta > 60


def test_stale_data_hold():
    """However good they were."""
    assert judged([RATE], *healthy(), fresh=False).decision == Decision.HOLD


def test_a_warning_holds_and_never_rolls_back():
    """Ten times the errors on a warning gate."""
    verdict = judged([replace(RATE, severity="warning")], *[window(arm(1000, 10), arm(1000, 100))] * 10)

    assert verdict.decision == Decision.HOLD
    assert verdict.findings[0].decision == Decision.HOLD
    assert "warning" in verdict.reason


def test_policies_ask_for_more_and_more():
    """No alarm, estimate inside, a doubling visible, the opposite proven."""

    def passes(policy, control, candidate, batches=10):
        return judged([replace(RATE, policy=policy)], *[window(control, candidate)] * batches).decision == Decision.PASS

    little, more, much = arm(100, 1), arm(2000, 20), arm(100_000, 1000)
    above = arm(100, 2)

    assert passes("no_alarm", little, above)
    assert not passes("observed", little, above)
    assert passes("observed", little, little)
    assert not passes("detectable", little, little)
    assert passes("detectable", more, more)
    assert not passes("proven", little, little)
    assert passes("proven", much, much)


def test_an_absolute_bound_is_broken_or_kept_with_proof():
    """0.1 %: 5 % errors break it, 4,600 clean requests prove it (with a share of alpha of its own)."""
    gate = Gate("error_rate", max=0.001, policy="proven")

    assert judged([gate], window(arm(100), arm(100, 5))).decision == Decision.ROLLBACK
    assert judged([gate], window(arm(), arm(2000))).decision == Decision.HOLD
    assert judged([gate], window(arm(), arm(4600))).decision == Decision.PASS


def test_a_shared_incident_is_nobodys_regression():
    """F17: both arms fail ten times as often; the bound is broken by both, so HOLD. A candidate that is worse still rolls back."""
    gate = Gate("error_rate", max=0.01)
    shared = [window(arm(1000, 50), arm(1000, 50))] * 5

    verdict = judged([gate], *shared)
    assert verdict.decision == Decision.HOLD
    assert "control breaks the same bound" in verdict.reason
    assert judged([gate], *[window(arm(1000, 50), arm(1000, 150))] * 5).decision == Decision.ROLLBACK
    assert judged([RATE], *shared).decision != Decision.ROLLBACK


def test_a_bound_of_zero_is_broken_by_the_first_event():
    """And kept by its absence."""
    gate = Gate("error_rate", max=0.0)

    assert judged([gate], window(arm(10), arm(1000, 1))).decision == Decision.ROLLBACK
    assert judged([gate], window(arm(10), arm(1000))).decision == Decision.PASS


def test_a_latency_bound_is_judged_exactly_where_it_is():
    """500 ms at the 99th percentile, though 500 ms is no bucket edge: 501 ms breaks it, 499 ms does not."""
    gate = Gate("p99_latency", max=0.5)

    def slow(seconds):
        values = [0.1] * 950 + [seconds] * 50
        return window(arm(10, latencies=[0.1] * 10), arm(1000, latencies=values, thresholds=(0.5,)))

    assert judged([gate], *[slow(0.501)] * 5).decision == Decision.ROLLBACK
    assert judged([gate], *[slow(0.499)] * 5).decision == Decision.PASS


def test_a_median_gate_does_not_listen_to_the_tail():
    """A p50 gate is about p50."""
    rng = random.Random(2)

    def batch(tail):
        return window(
            *(arm(500, latencies=[rng.lognormvariate(-2, 0.3) * (t if rng.random() < 0.05 else 1) for _ in range(500)]) for t in (1, tail))
        )

    stream = [batch(20) for _ in range(12)]

    assert judged([Gate("p50_latency", max_increase=0.1, policy="no_alarm")], *stream).decision == Decision.PASS
    assert judged([Gate("p99_latency", max_increase=0.1)], *stream).decision == Decision.ROLLBACK


def test_a_quantile_outside_the_histogram_is_refused():
    """F23: half a microsecond is below what is resolved, and the verdict says so."""
    fast = window(arm(500, latencies=[4e-7] * 500), arm(500, latencies=[4e-7] * 500))

    verdict = judged([Gate("p99_latency", max_increase=0.1, policy="no_alarm")], *[fast] * 5)

    assert verdict.decision == Decision.HOLD
    assert "outside what the histogram resolves" in verdict.reason


def test_gauges_are_bounded_by_most_of_their_readings():
    """One peak holds, a steady breach rolls back, no reading at all holds."""
    gate = Gate("cpu", max=0.85)

    def reading(value):
        return Window("f", 1, {"control": arm(10), "candidate": arm(1000)}, {"cpu": Moments(1, exact(value), exact(value) ** 2)})

    assert judged([gate], *[reading(0.5)] * 10).decision == Decision.PASS
    assert judged([gate], reading(0.99)).decision == Decision.HOLD
    assert judged([gate], *[reading(0.99)] * 8).decision == Decision.ROLLBACK
    assert judged([gate], *healthy()).decision == Decision.HOLD


def test_conversion_is_compared_by_units_at_risk():
    """A unit exposed in the first batch may convert in the last; both arms age alike."""
    first = window(arm(1000, units=1000, users=50), arm(1000, units=1000, users=50))

    def had(k):
        return arm(0, events={"conversion": k}, users=50)

    rest, fewer = [window(had(50), had(50))] * 4, [window(had(100), had(50))] * 4
    gate = Gate("conversion", max_decrease=0.1, policy="no_alarm")

    assert judged([gate], first, *rest).decision == Decision.PASS
    assert judged([gate], first, *fewer).decision == Decision.ROLLBACK


def test_revenue_per_unit_is_a_mean_over_exposed_units():
    """Units without a purchase count as zero; a fall of a fifth is found, no fall is not."""
    rng = random.Random(4)

    def revenue(factor):
        values = [rng.expovariate(1 / 20) * factor for _ in range(300)]
        total, squares = sum(map(exact, values)), sum(exact(v) ** 2 for v in values)
        return Totals(requests=1000, trials=1000, units=1000, events={"revenue": Moments(300, total, squares)})

    gate = Gate("revenue", kind="mean", max_decrease=0.02, policy="no_alarm")

    def verdict(factor):
        evidence = Evidence.start([gate])
        for _ in range(30):
            evidence = evidence.add(window(revenue(1.0), revenue(factor)))
        return judge(evidence, baked=9, bake=1)

    assert verdict(1.0).decision == Decision.PASS
    assert verdict(0.8).decision == Decision.ROLLBACK
    assert verdict(1.0).findings[0].baseline == pytest.approx(6.0, rel=0.1)


def test_means_stay_silent_while_asymptotics_do_not_hold():
    """Ninety observations, however different."""
    gate = Gate("mean_latency", max_increase=0.0, policy="no_alarm")

    verdict = judged([gate], window(arm(90, latencies=[0.1, 0.11] * 45), arm(90, latencies=[9.0, 9.1] * 45)))

    assert verdict.decision != Decision.ROLLBACK


def test_an_anomaly_gate_watches_whatever_is_seen():
    """A metric nobody named falls: rolled back, by name."""

    def batch(conversions):
        return window(arm(1000, 10, units=1000, events={"signup": 200}), arm(1000, 10, units=1000, events={"signup": conversions}))

    assert judged([Gate("*", anomaly=False)], *[batch(200)] * 5).decision == Decision.PASS
    verdict = judged([Gate("*", anomaly=False)], *[batch(50)] * 5)
    assert verdict.decision == Decision.ROLLBACK
    assert "signup" in verdict.reason


def test_an_increase_that_does_not_matter_rolls_nothing_back():
    """Ten times of next to nothing, where less than half a point does not matter."""
    stream = [window(arm(10_000, 1), arm(10_000, 10))] * 10

    assert judged([RATE], *stream).decision == Decision.ROLLBACK
    assert judged([replace(RATE, min_absolute=0.005)], *stream).decision != Decision.ROLLBACK


def test_errors_that_never_occur_pass_only_where_a_floor_says_what_matters():
    """Nothing against nothing: a doubling of zero can't be seen, half a point more could be."""
    clean = [window(arm(2000), arm(2000))] * 10

    assert judged([RATE], *clean).decision == Decision.HOLD
    assert "min_absolute" in judged([RATE], *clean).reason
    assert judged([replace(RATE, min_absolute=0.005)], *clean).decision == Decision.PASS
    assert judged([replace(RATE, policy="no_alarm")], *clean).decision == Decision.PASS


def test_one_hot_client_is_one_surprise():
    """F18: five thousand retries of one user in one batch of the candidate."""
    stream = [*[window(arm(1000, 1), arm(1000, 1))] * 10, window(arm(1000, 1), arm(6000, 5001)), *[window(arm(1000, 1), arm(1000, 1))] * 10]

    assert judged([RATE], *stream).decision != Decision.ROLLBACK


def test_clustered_errors_are_reported():
    """Half of the control's errors come from one shard of its users."""
    shards = tuple((1000, 60 if i == 0 else 10) for i in range(8))
    verdict = judged([RATE], *[window(arm(8000, 130, shards=shards), arm(8000, 130))] * 3)

    assert verdict.integrity["clustered"] is True
    assert verdict.integrity["negative_control"] > 20


def test_a_verdict_is_plain_json_and_one_sentence():
    """Numbers finite or null, a reason per metric, and a digest that a replay arrives at."""
    verdict = judged([RATE, Gate("p99_latency", max_increase=0.1)], *[window(arm(1000), arm(1000, 30))] * 15)

    told = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))

    assert told["findings"][0]["effect"] is None  # from nothing: infinite
    assert told["findings"][0]["reason"].count("\n") == 0
    assert len(told["digest"]) == 64
    assert str(verdict).startswith("ROLLBACK: error_rate is 3 % against 0 %")


def test_intervals_cover_the_estimate_and_narrow():
    """Always valid, and the wider the less is known."""
    some = judged([RATE], *[window(arm(100, 2), arm(100, 2))] * 10).findings[0]
    many = judged([RATE], *[window(arm(10_000, 200), arm(10_000, 200))] * 10).findings[0]

    assert some.interval[0] < many.interval[0] < 0 < many.interval[1] < some.interval[1]
    assert many.interval[1] < 0.2


def test_always_valid_p_values_never_rise():
    """The most evidence there ever was decides."""
    evidence, seen = Evidence.start([RATE]), []
    rng = random.Random(7)
    for _ in range(40):
        evidence = evidence.add(window(arm(200, 2), arm(200, rng.randrange(8))))
        seen.append(judge(evidence, baked=1, bake=9).findings[0].p_value)

    assert seen == sorted(seen, reverse=True)
    assert all(0 <= p <= 1 for p in seen)


def test_a_late_leak_is_found():
    """F19: healthy for an hour, then one percent more errors with every batch."""
    rng = random.Random(5)
    evidence = Evidence.start([Gate("error_rate", max_increase=0.1)])
    for number in range(400):
        rate = 0.01 * (1.01 ** max(0, number - 180))
        errors = sum(rng.random() < rate for _ in range(200))
        evidence = evidence.add(window(arm(2000, 20), arm(200, errors)))
        if judge(evidence, baked=1, bake=9).decision == Decision.ROLLBACK:
            break

    assert 180 < number < 399


def test_a_stage_without_gates_passes_when_its_bake_is_over():
    """Legal, if unwise."""
    assert judged([], *healthy(), baked=1, bake=2).decision == Decision.HOLD
    assert judged([], *healthy()).decision == Decision.PASS
    assert math.isfinite(judged([], *healthy(), baked=1, bake=2).eta)


def test_a_stage_with_absolute_gates_only_needs_no_control():
    """At 100 % there is none."""
    verdict = judged([Gate("error_rate", max=0.01)], *[window(None, arm(20_000, 20))] * 3)

    assert verdict.decision == Decision.PASS
