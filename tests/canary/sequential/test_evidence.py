"""Evidence: the same bits from the same batches, silence from silence, and alpha spent once."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.canary import Evidence, Gate, Recorder, Window, clipped, cuped, judge, slope_of
from progflags.canary.sequential._claims import claims
from progflags.canary.sequential._sequential import MAJORITY, fresh, log_mean, majority
from progflags.canary.sequential._track import Track
from progflags.events import Bus, Exposed, Exposure, Tracked
from progflags.testing import ManualClock
from support.windows import arm, window

GOLDEN = Path(__file__).parents[2] / "golden" / "evidence1.json"

GATES = [
    Gate("error_rate", max_increase=0.1, max=0.02),
    Gate("p99_latency", max_increase=0.1, max=0.5),
    Gate("conversion", max_decrease=0.02),
    Gate("mean_latency", max_increase=0.1, severity="warning"),
    Gate("cpu", max=0.85),
    Gate("*", anomaly=False),
]


def batches(seed, n=6, size=300):
    """A handful of ordinary batches."""
    rng = random.Random(seed)
    for _ in range(n):
        arms = []
        for requests in (size, size // 3):
            latencies = [rng.lognormvariate(-2.5, 0.6) for _ in range(requests)]
            units = requests // 2
            arms.append(
                arm(
                    requests,
                    rng.randrange(4),
                    latencies=latencies,
                    thresholds=(0.5,),
                    units=units,
                    events={"conversion": rng.randrange(units // 5)},
                )
            )
        yield window(*arms)


def gathered(stream, gates=GATES, **options):
    evidence = Evidence.start(gates, **options)
    for batch in stream:
        evidence = evidence.add(batch)
    return evidence


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5))
def test_a_restart_between_two_batches_changes_no_bit(seed, at):
    """F9: killed after any batch, read back from its document, the final evidence is bit-equal to an uninterrupted run."""
    uninterrupted, restarted = Evidence.start(GATES), Evidence.start(GATES)
    for number, batch in enumerate(batches(seed)):
        uninterrupted = uninterrupted.add(batch)
        restarted = restarted.add(Window.from_json(json.loads(json.dumps(batch.to_json()))))
        if number == at:
            restarted = Evidence.from_json(json.loads(json.dumps(restarted.to_json())))

    assert restarted == uninterrupted
    assert judge(restarted, baked=9, bake=5).digest == judge(uninterrupted, baked=9, bake=5).digest


def test_evidence_of_another_version_is_refused():
    """Rather than read wrongly."""
    with pytest.raises(ValueError, match="version 7"):
        Evidence.from_json({"v": 7})


def test_a_rollout_under_way_goes_on_with_evidence_of_version_1():
    """Bounds and alpha as they were; comparisons, which knew no users then, begin anew. A decision on it is not made again."""
    body = json.loads(GOLDEN.read_text(encoding="utf-8"))["evidence"]

    evidence = Evidence.from_json(body)

    bound, compared = claims(evidence.gates[0])
    assert evidence.track(bound).best == Track.from_json(body["tracks"][f"{bound.name}/bad"]).best
    assert evidence.track(compared) is None
    assert dict(evidence.alphas) == body["alphas"]
    assert (evidence.batches, evidence.totals.control.trials) == (5, 2000)
    later = evidence.stage(evidence.gates).add(window(arm(400, 2, users=64), arm(100, 1, users=64), revision=2))
    assert later.track(compared).batches == 1


@pytest.mark.parametrize("alpha", [0, 1, -0.1, math.nan])
def test_an_impossible_alpha_is_refused(alpha):
    """A probability of error between 0 and 1."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Evidence.start(GATES, alpha)


def test_an_empty_batch_changes_nothing():
    """F1: a gap in the metrics is a factor of one, never NaN."""
    evidence = gathered(batches(1))

    assert evidence.add(Window("f", 1)) is evidence
    again = evidence.add(window(arm(), arm()))
    assert {name: track.now for name, track in again.tracks.items()} == {name: track.now for name, track in evidence.tracks.items()}


def test_one_arm_alone_moves_no_comparison():
    """F2: the candidate's data are missing; the wealth stays where it was."""
    evidence = gathered(batches(1), [Gate("error_rate", max_increase=0.0), Gate("p99_latency", max_increase=0.0)])

    later = evidence.add(window(arm(1000, 500, latencies=[9.0] * 500)))

    assert {n: t.now for n, t in later.tracks.items()} == {n: t.now for n, t in evidence.tracks.items()}


def test_warming_batches_are_not_compared_but_absolute_bounds_are_watched():
    """A cold candidate is no regression, a broken one is a breach."""
    gates = [Gate("error_rate", max_increase=0.0, max=0.01)]
    relative, absolute = claims(gates[0])[1], claims(gates[0])[0]

    evidence = Evidence.start(gates).add(window(arm(1000), arm(1000, 100)), warming=True)

    assert evidence.track(relative) is None
    assert evidence.track(absolute).best > math.log(40)


def test_the_next_stage_goes_on_where_claims_are_the_same_and_starts_anew_where_not():
    """F14: a widened margin is another claim, with what is left of alpha."""
    evidence = gathered(batches(2), [Gate("error_rate", max_increase=0.1), Gate("conversion", max_decrease=0.1)])

    later = evidence.stage([Gate("error_rate", max_increase=0.1), Gate("conversion", max_decrease=0.5)])

    same, changed = (claims(gate)[0] for gate in later.gates)
    assert later.track(same).logs == evidence.track(same).logs
    assert later.track(changed) is None
    assert later.alpha_of(changed) < evidence.alpha_of(claims(evidence.gates[1])[0])
    assert later.samples == (0, 0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(GATES + [Gate(f"m{i}", max=0.5, weight=i + 1.0) for i in range(6)]), min_size=1, max_size=5),
        min_size=1,
        max_size=6,
    )
)
def test_alpha_is_spent_once_over_the_whole_rollout(stages):
    """Whatever gates later stages bring, announced or not."""
    first, *rest = stages
    evidence = Evidence.start(first, 0.05, later=rest[0] if rest else ())
    for gates in rest:
        evidence = evidence.stage(gates)

    assert math.fsum(evidence.alphas.values()) <= 0.05 * (1 + 1e-12)


def test_weights_divide_alpha_and_warnings_take_none():
    """A gate of weight 3 gets three times the alpha; a warning has its own."""
    gates = [Gate("a", max=0.1, weight=3), Gate("b", max=0.1), Gate("c", max=0.1, severity="warning")]
    evidence = Evidence.start(gates, 0.05, restarts=False)

    one, two, warning = (claims(gate)[0] for gate in gates)

    assert evidence.alpha_of(one) == pytest.approx(0.0375)
    assert evidence.alpha_of(two) == pytest.approx(0.0125)
    assert evidence.alpha_of(warning) == 0.05


def test_anomalies_divide_their_share_over_every_metric_ever_seen():
    """The k-th metric found gets 1/(k(k+1)): never more than the gate's share, however many there are."""
    evidence = gathered(batches(4), [Gate("*", anomaly=False)])

    spent = sum(evidence.alpha_of(claim) for claim in evidence.claims)

    assert len(evidence.found) == 4
    assert 0 < spent <= 0.05


def test_the_state_stays_small():
    """Evidence of six gates is below 24 KiB of JSON after a million requests, groups of users and all; a window below 8 KiB."""
    evidence = gathered(batches(5, n=3, size=20_000))

    assert len(json.dumps(evidence.to_json())) < 24 * 1024
    assert len(json.dumps(evidence.totals.to_json())) < 8 * 1024


def test_a_batch_of_another_revision_starts_its_totals_anew_and_keeps_the_wealth():
    """F16: a share changed by hand; exposures of each batch absorb it."""
    gate = Gate("error_rate", max_increase=0.0)
    before = Evidence.start([gate]).add(window(arm(1000, 1), arm(10, 3)))

    after = before.add(window(arm(1000, 1), arm(500, 1), revision=2))

    assert after.totals.control.requests == 1000
    assert after.samples == (2000, 510)
    assert after.track(claims(gate)[0]).batches == 2


def test_a_metric_that_breaks_holds_and_the_others_are_judged(monkeypatch):
    """F25: a bug in one metric's arithmetic is that metric's HOLD."""
    from progflags.canary.sequential import _step

    def broken(*_):
        raise ZeroDivisionError("bug")

    monkeypatch.setattr(_step.Step, "_exceed", broken)
    gates = [Gate("p99_latency", max_increase=0.1, policy="no_alarm"), Gate("error_rate", max_increase=0.1, policy="no_alarm")]

    verdict = judge(gathered(batches(1), gates), baked=9, bake=5)

    assert [finding.decision for finding in verdict.findings] == ["HOLD", "PASS"]
    assert "bug" in verdict.findings[0].reason


# -- the wealth of one track ------------------------------------------------------------------------------------------


def test_a_fair_gauge_earns_nothing_and_a_steady_breach_is_refuted_in_six_readings():
    """Half of the readings beyond the bound is no breach; six in a row are."""
    logs = fresh(MAJORITY)
    assert (math.exp(log_mean(majority(logs, True))) + math.exp(log_mean(majority(logs, False)))) / 2 == pytest.approx(1)

    for _ in range(6):
        logs = majority(logs, True)
    assert math.exp(log_mean(logs)) > 20


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([-0.7, 0.4, 0.0]), min_size=1, max_size=30), st.sets(st.integers(0, 29)))
def test_restarts_never_add_up_to_more_than_the_best_single_bet(steps, restarts):
    """Stakes are divided, not multiplied: the mixture's wealth is at most that of its luckiest copy, and starts at one."""
    track, plain = Track.start(1, restarts=True), [0.0]
    best = [0.0]
    for number, step in enumerate(steps):
        if number in restarts and track.batches:
            track = track.restart()
        track = track.add((track.logs[0] + step,))
        plain.append(plain[-1] + step)
        best.append(max(plain[-1] - since for since in plain))

    assert track.now <= max(best) + 1e-9
    assert Track.from_json(json.loads(json.dumps(track.to_json()))) == track


def test_restarting_itself_costs_nothing():
    """The wealth just after a restart is the wealth just before it."""
    track = Track.start(2, restarts=True).add((1.0, -3.0))

    for _ in range(6):
        later = track.restart()
        assert later._wealth(later.logs) == pytest.approx(track._wealth(track.logs), abs=1e-12)
        track = later.add((later.logs[0] + 0.3, later.logs[1] - 0.2))


# -- faults -------------------------------------------------------------------------------------------------------------


def test_a_billion_requests_overflow_nothing():
    """F22: counts beyond 2^31, evidence beyond what a float can hold; everything stays finite."""
    huge = 10**10
    evidence = gathered([window(arm(huge, huge // 1000), arm(huge, huge // 10))] * 5, [Gate("error_rate", max=0.001, max_increase=0.1)])

    verdict = judge(evidence, baked=1, bake=9)

    assert verdict.decision == "ROLLBACK"
    assert math.isfinite(verdict.findings[0].evidence_max)
    json.dumps(verdict.to_dict(), allow_nan=False)
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_a_batch_delivered_twice_is_counted_once():
    """F6: a controller that reads the same cumulative window again finds an empty batch."""
    first = window(arm(1000, 3), arm(100, 9))
    evidence = Evidence.start([Gate("error_rate", max_increase=0.1)]).add(first)

    assert evidence.add(first.minus(first)).tracks == evidence.tracks
    assert evidence.add(first.minus(first)).samples == evidence.samples


def test_a_covariate_taken_out_where_it_is_tracked_finds_a_loss_sooner():
    """
    Live, and mergeable: capped before it is tracked, and what the month before explains taken off each user's sum once.

    The difference stays, its noise falls: a loss of 2 % is found among 2,000 users every time, without it hardly ever.
    """
    gate = Gate("revenue", kind="mean", max_decrease=0.0, policy="no_alarm")

    def judged(seed, adjusted):
        rng, bus = random.Random(seed), Bus()
        recorder = Recorder(bus, ManualClock())
        recorder.count("f", 1, [gate])
        for number in range(2000):
            unit, name, before, noise = b"u%d" % number, rng.choice(["control", "candidate"]), rng.gauss(100, 30), rng.gauss(20, 5)
            (spent,) = clipped([(0.8 * before + noise) * (0.98 if name == "candidate" else 1.0)], 300.0)
            (explained,) = cuped([0.0], [before], slope=0.8, centre=100.0)
            bus.tell(Exposed(Exposure("f", 1, "on", name), unit))
            bus.tell(Tracked("revenue", unit, spent))
            bus.tell(Tracked("revenue", unit, explained if adjusted else 0.0))
        return judge(Evidence.start([gate]).add(recorder.window("f")), baked=1, bake=0).decision

    assert [judged(seed, True) for seed in range(5)] == ["ROLLBACK"] * 5
    assert [judged(seed, False) for seed in range(5)].count("ROLLBACK") <= 2


def test_cuped_and_winsorising_leave_the_difference_and_lower_the_noise():
    """The same slope, centre and cap for both arms, from before the comparison."""
    rng = random.Random(6)
    before = [rng.gauss(100, 30) for _ in range(2000)]
    after = [0.8 * x + rng.gauss(20, 5) for x in before]
    slope, centre = slope_of(after, before)

    adjusted = cuped(after, before, slope=slope, centre=centre)

    def spread(values):
        mean = math.fsum(values) / len(values)
        return math.fsum((v - mean) ** 2 for v in values) / len(values)

    assert slope == pytest.approx(0.8, abs=0.02)
    assert math.fsum(adjusted) == pytest.approx(math.fsum(after))
    assert spread(adjusted) < spread(after) / 15
    assert max(clipped([1.0, 2.0, 1e9], 10.0)) == 10.0
    with pytest.raises(ValueError):
        cuped([1.0], [1.0, 2.0], slope=1.0, centre=0.0)
