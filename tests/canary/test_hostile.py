"""What a hostile user does to a canary: each of these once gave a wrong verdict, or none at all."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.canary import Decision, Evidence, Gate, Recorder, Window, explicit, exponential, judge
from progflags.canary.counting._sketch import Sample, bucket_index
from progflags.canary.counting._totals import Moments, Totals, exact
from progflags.events import Bus
from progflags.testing import ManualClock
from support.windows import arm, poisson, window


def judged(gate, stream, **options):
    """The verdict after a stream of batches, its bake over."""
    evidence = Evidence.start([gate] if isinstance(gate, Gate) else gate, **options)
    for batch in stream:
        evidence = evidence.add(batch)
    return judge(evidence, baked=99, bake=1)


# -- incidents that both arms share -----------------------------------------------------------------------------------------

BOUND = Gate("error_rate", max=0.01)
CALM, STORM = window(arm(1000, 2), arm(1000, 2)), window(arm(1000, 100), arm(1000, 100))


def test_an_incident_of_both_that_is_over_rolls_nothing_back():
    """F17, afterwards: as the control recovers, what the candidate shared with it must not become its own; at last it passes."""
    evidence = Evidence.start([BOUND])
    decisions = []
    for batch in [CALM] * 10 + [STORM] * 3 + [CALM] * 200:
        evidence = evidence.add(batch)
        decisions.append(judge(evidence, baked=99, bake=1).decision)

    assert Decision.ROLLBACK not in decisions
    assert decisions[12] == Decision.HOLD
    assert decisions[-1] == Decision.PASS


def test_an_incident_of_both_after_hours_of_calm_rolls_nothing_back():
    """F17, late: the control's evidence is restarted with the candidate's, or its good hours would hide what is going on."""
    verdict = judged(BOUND, [CALM] * 400 + [STORM] * 8)

    assert verdict.decision == Decision.HOLD
    assert "control breaks the same bound" in verdict.reason


def test_after_an_incident_of_both_a_candidate_that_fails_alone_is_found():
    """The excuse is for what was shared: five percent errors against none, later on, are the candidate's."""
    alone = window(arm(1000, 2), arm(1000, 50))

    assert judged(BOUND, [CALM] * 10 + [STORM] * 3 + [CALM] * 100 + [alone] * 10).decision == Decision.ROLLBACK


def test_a_bound_on_what_few_of_few_users_do_is_not_diluted_by_their_requests():
    """Four hundred users, who come back all the time; in the end sixty of them crashed, where two percent may."""
    first, later = window(arm(1000, units=400), arm(1000, units=400)), window(arm(5000), arm(5000, events={"crashed": 6}))

    verdict = judged(Gate("crashed", max=0.02), [first] + [later] * 10)

    assert verdict.decision == Decision.ROLLBACK
    assert not verdict.findings[0].proven


@pytest.mark.parametrize(("n_b", "n_c"), [(1000, 1000), (9900, 100)], ids=["1:1", "1:99"])
def test_conversions_that_take_ten_batches_are_no_breach(n_b, n_c):
    """Five percent buy, but later: neither arm has any at first, so neither is condemned, and both are well at last."""

    def side(n, bought):
        return arm(n, units=n, events={"bought": n // 20} if bought else {})

    evidence, decisions = Evidence.start([Gate("bought", min=0.03)]), []
    for number in range(80):
        evidence = evidence.add(window(side(n_b, number >= 10), side(n_c, number >= 10)))
        decisions.append(judge(evidence, baked=99, bake=1).decision)

    assert Decision.ROLLBACK not in decisions
    assert decisions[-1] == Decision.PASS


# -- proof, where errors come in clusters ---------------------------------------------------------------------------------------


def bursts(rng, n, rate):
    """Errors of an arm in geometric bursts of five on average, each of one user; as totals with their shards."""
    cells = [[n // 8, 0] for _ in range(8)]
    for _ in range(poisson(rng, n * rate / 5)):
        cells[rng.randrange(8)][1] += 1 + int(math.log(rng.random()) / math.log(0.8))
    return arm(n, min(n, sum(failed for _, failed in cells)), shards=tuple((trials, min(trials, failed)) for trials, failed in cells))


def test_bursts_that_stay_away_prove_nothing():
    """A candidate exactly at the worst that `proven` must rule out is proven better in at most beta of the runs."""
    rng, runs = random.Random(11), 60
    gate = Gate("error_rate", max_increase=0.5, must_detect=1.0, policy="proven")

    def proven():
        evidence = Evidence.start([gate])
        for _ in range(40):
            evidence = evidence.add(window(bursts(rng, 6000, 0.01), bursts(rng, 6000, 0.02)))
        return judge(evidence, baked=99, bake=1).findings[0].proven

    assert sum(proven() for _ in range(runs)) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("users", "decision"), [(8, Decision.HOLD), (64, Decision.ROLLBACK)])
def test_a_planned_look_knows_that_errors_cluster(users, decision):
    """A third more errors: of eight groups of users, who fail together, they are no finding; of everybody they are."""
    evidence = Evidence.start([Gate("error_rate", max_increase=0.0, policy="proven")], looks=1)
    for _ in range(4):
        control, candidate = arm(6000, 60, users=64), arm(6000, 80, users=64)
        few = {**candidate.cells, "x": arm(6000, 80, users=users).cells["x"]}
        evidence = evidence.add(window(control, replace(candidate, cells=few)))

    assert judge(evidence.look(), baked=99, bake=1).decision == decision


# -- sketches of other producers, and of ones that were asked for less -------------------------------------------------------------

COARSE = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]


def shown(values):
    """Values as an explicit histogram shows them."""
    counts = [sum(value <= bound for value in values) for bound in COARSE]
    return explicit(COARSE, [b - a for a, b in zip([0, *counts], [*counts, len(values)], strict=True)], total=math.fsum(values))


def coarse(seed, stretch):
    """Twenty batches of a lognormal service whose candidate is `stretch` as slow, seen through explicit buckets."""
    rng = random.Random(seed)

    def side(factor):
        return Totals(1000, 1000, samples={"latency": shown([0.03 * factor * math.exp(rng.gauss(0, 0.6)) for _ in range(1000)])})

    return [Window("f", 1, {"control": side(1.0), "candidate": side(stretch)}) for _ in range(20)]


def test_what_lies_between_two_edges_is_not_proven():
    """Three times as many between 250 and 500 ms: half as slow again, for all one knows, and not proven to be less than a quarter."""
    control, candidate = (
        Totals(1000, 1000, samples={"latency": explicit(COARSE, [0, 0, 0, 0, 490, 500 - over, over, 2, 0, 0, 0])}) for over in (8, 28)
    )

    finding = judged(Gate("p99_latency", max_increase=0.05, must_detect=0.25, policy="proven"), [window(control, candidate)] * 20).findings[
        0
    ]

    assert not finding.proven
    assert finding.decision == Decision.HOLD


def test_what_lies_between_two_edges_would_not_have_been_caught():
    """A candidate 2.2 times as slow is not seen through these buckets, so nobody may pass because it would have been."""
    assert judged(Gate("p99_latency", max_increase=0.05, policy="no_alarm"), coarse(2, 2.2)).decision == Decision.PASS

    assert judged(Gate("p99_latency", max_increase=0.05, must_detect=1.2), coarse(2, 1.0)).decision == Decision.HOLD


def test_a_tolerated_decrease_is_tolerated_through_coarse_buckets():
    """5 % less where 10 % less is tolerated: the threshold moves away from the null whichever way that is."""
    gate = Gate("latency", quantile=0.5, max_decrease=0.10, policy="no_alarm")

    assert judged(gate, coarse(3, 0.95)).decision == Decision.PASS


def test_a_bound_between_two_edges_condemns_and_acquits_nobody():
    """Everything at 260 ms, seen as "between 250 and 500": neither above 300 ms for sure, nor below."""
    sample = {"latency": shown([0.26] * 1000)}
    stream = [window(candidate=Totals(1000, 1000, samples=sample))] * 5

    for bound in (0.3, 0.45):
        verdict = judged(Gate("p99_latency", max=bound), stream)
        assert verdict.decision == Decision.HOLD
        assert not verdict.findings[0].proven


def test_a_bound_above_the_last_edge_condemns_nobody():
    """Six seconds, seen as "above five": not above seven for sure."""
    sample = {"latency": shown([6.0] * 1000)}
    stream = [Window("f", 1, {"candidate": Totals(1000, 1000, samples=sample)})] * 5

    assert judged(Gate("p99_latency", max=7.0), stream).decision == Decision.HOLD


def test_a_worker_that_was_not_asked_for_a_threshold_is_not_taken_for_fast():
    """Merged with one that counted above 500 ms exactly, its ten percent at 600 ms count as well; in either order, and taken away again."""
    asked, other = Sample.of([0.1] * 900, (0.5,)), Sample.of([0.6] * 100)

    both = asked.merge(other)
    assert both == other.merge(asked)
    assert both.more_than(0.5) == 100
    assert both.minus(other).more_than(0.5) == 0
    assert asked.merge(Sample()).over == {0.5: 0}
    assert judged(Gate("p99_latency", max=0.5), [window(candidate=Totals(1000, 1000, samples={"latency": both}))] * 5).decision == (
        Decision.ROLLBACK
    )


values = st.lists(st.floats(1e-4, 10), min_size=1, max_size=20)


@given(values, st.sampled_from(COARSE), st.booleans())
def test_counts_above_a_threshold_are_bounded_from_both_sides(seen, threshold, fine):
    """Whoever made the histogram: never more than `few=False` says, nor less than `few=True`."""
    sample, truth = Sample.of(seen) if fine else shown(seen), sum(value > threshold for value in seen)

    assert sample.more_than(threshold) <= truth <= sample.more_than(threshold, few=False)


@given(values, st.integers(0, 5))
def test_squares_of_other_producers_are_never_too_small(seen, scale):
    """A mean's noise is overstated, not understated: by explicit buckets and by exponential ones of any scale."""
    places = [bucket_index(value, scale) for value in seen]
    counts = [places.count(index) for index in range(min(places), max(places) + 1)]

    for sample in (shown(seen), exponential(scale, min(places), counts, total=math.fsum(seen))):
        assert sample.squares >= Sample.of(seen).squares * (1 - 1e-6)


def test_a_mean_without_its_noise_is_no_evidence():
    """A tenth of a percent slower, from histograms: their squares are not known, and were taken for no noise at all."""
    made = [explicit(COARSE, [0, 0, 100, 900, 900, 90, 9, 1, 0, 0, 0], total=2000 * mean) for mean in (0.1, 0.1001)]
    bare = [Sample(sample.n, sample.total, 0, sample.base, sample.counts) for sample in made]
    for pair in (made, bare):
        control, candidate = (Totals(2000, 2000, samples={"latency": sample}) for sample in pair)
        assert judged(Gate("mean_latency", max_increase=0.0), [window(control, candidate)]).decision == Decision.HOLD


# -- sources ----------------------------------------------------------------------------------------------------------------


def gauge(*readings):
    return Moments(len(readings), sum(map(exact, readings)), sum(exact(value) ** 2 for value in readings))


def test_a_source_that_never_answers_passes_no_gate():
    """Even where the gate does not say `kind = "gauge"`: it is not an event that never happened in a thousand requests."""
    recorder = Recorder(Bus(), ManualClock())
    recorder.count("f", 1)
    recorder.source("failures", lambda: None)
    for name in ("control", "candidate"):
        recorder.record("f", arm=name, n=10_000, error=False)

    verdict = judged(Gate("failures", max=0.01, policy="observed"), [recorder.window("f")])

    assert verdict.decision == Decision.HOLD
    assert "no data" in verdict.reason


def test_a_source_that_answers_late_is_judged_from_then_on():
    """Its first looks have no reading, and one of them came before it was named; six beyond the bound refute it all the same."""
    quiet, silent = window(arm(100), arm(100)), Window("f", 1, {"control": arm(100), "candidate": arm(100)}, {"failures": gauge()})
    loud = Window("f", 1, {"control": arm(100), "candidate": arm(100)}, {"failures": gauge(0.5)})

    verdict = judged(Gate("failures", max=0.01), [quiet, silent, *[loud] * 12])

    assert verdict.decision == Decision.ROLLBACK


def test_a_source_that_is_called_like_a_metric_lends_it_no_power():
    """A reading named error_rate does not make a hundred requests enough to have seen a doubling."""
    named = Window("f", 1, {"control": arm(100, 1), "candidate": arm(100, 1)}, {"error_rate": gauge(0.01)})

    assert judged(Gate("error_rate", max_increase=0.5), [named]).decision == Decision.HOLD


# -- trouble in one place stays there -------------------------------------------------------------------------------------------


def test_a_finding_that_can_not_be_made_delays_nobody_elses_rollback(monkeypatch):
    """F25: the judge stumbles over one gate; the other rolls back, and the verdict can be told."""
    from progflags.canary.judging import _findings

    def stumbles(evidence, claim):
        if claim.gate.metric == "p99_latency":
            raise ZeroDivisionError("a bug")
        return real(evidence, claim)

    real = _findings.estimate
    monkeypatch.setattr(_findings, "estimate", stumbles)
    monkeypatch.setattr(_findings, "interval", lambda *_: 1 / 0)
    stream = [window(arm(1000, 2, latencies=[0.1] * 9), arm(1000, 200, latencies=[0.1] * 9))] * 12

    verdict = judged([Gate("p99_latency", max_increase=0.1), Gate("error_rate", max_increase=0.5)], stream)

    assert verdict.decision == Decision.ROLLBACK
    assert "could not be judged: ZeroDivisionError" in verdict.findings[0].reason
    assert verdict.to_dict()["findings"][1]["interval"] is None


def test_a_latency_bound_of_nothing_is_judged():
    """max = 0 divided by itself."""
    verdict = judged(Gate("p99_latency", max=0.0), [window(arm(10, latencies=[0.0] * 10), arm(10, latencies=[0.0] * 10))])

    assert "could not be judged" not in verdict.reason
    assert verdict.to_dict()


@pytest.mark.parametrize("name", ["", "*"])
def test_an_event_without_a_usable_name_stops_no_anomaly_gate(name):
    """Whoever tracks an event may call it anything; the rest is watched on."""
    odd = Totals(1000, 1000, 1, events={name: Moments(1, exact(1.0), exact(1.0) ** 2)}, samples={name: Sample.of([0.1])})

    verdict = judged(Gate("*", anomaly=False), [Window("f", 1, {"control": odd, "candidate": arm(1000, 300)})] * 12)

    assert verdict.decision == Decision.ROLLBACK
