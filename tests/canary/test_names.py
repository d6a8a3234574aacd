"""A gate judges what it names: the mean's size, the quantile it is called after, one sample whatever its order."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from progflags.canary import CanaryAnalyzer, CanaryConfig, CanaryDecision, Evidence, Gate, Rate
from progflags.canary.compared._tests import exceedance, mann_whitney
from progflags.canary.compared._turned import quantile_interval
from support.sizes import size

HOLD, PASS, ROLLBACK = CanaryDecision.HOLD, CanaryDecision.PASS, CanaryDecision.ROLLBACK


def judged(gate, control, canary, **options):
    return CanaryAnalyzer(CanaryConfig([gate], **options)).analyze(control, canary)


# -- means ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sequential", "fixed"])
@pytest.mark.parametrize("bound", ["max_decrease", "max_increase"])
def test_a_margin_is_a_part_of_the_means_size_below_zero_too(method, bound):
    """Identical losses pass; the same gate finds losses a third larger (or smaller), and says which way they moved."""
    gate = Gate("net", kind="mean", **{bound: 0.05})
    same, factor = {"net": [-4.0, -6.0] * 1000}, 1.33 if bound == "max_decrease" else 0.67
    moved = judged(gate, same, {"net": [value * factor for value in same["net"]]}, method=method)

    assert judged(gate, same, same, method=method).decision == PASS
    assert moved.decision == ROLLBACK
    finding = moved.results["net"]
    assert finding.effect == pytest.approx(1 - factor)
    assert finding.interval[0] <= finding.effect <= finding.interval[1]


def test_means_around_zero_are_within_a_margin_of_nothing():
    """Where the control's mean may be of either sign, no sign is guessed: noise rolls nothing back."""
    rng, wrong = random.Random(4), 0
    for _ in range(size(60, full=1000)):
        arms = [{"net": [rng.gauss(0, 1) for _ in range(400)]} for _ in range(2)]
        wrong += judged(Gate("net", kind="mean", max_decrease=0.1), *arms).decision == ROLLBACK
    assert wrong <= 0.05 * size(60, full=1000) + 3


@pytest.mark.parametrize("method", ["sequential", "fixed"])
def test_all_zeros_on_both_sides_show_nothing(method):
    """No sales on either side: nothing could have been seen, so nothing passes."""
    report = judged(Gate("revenue", kind="mean", max_decrease=0.1), {"revenue": [0.0] * 500}, {"revenue": [0.0] * 500}, method=method)

    assert report.decision == HOLD


def test_a_mean_speaks_from_fifty_values_that_are_not_zero():
    """One large order among five hundred is no asymptotics; a hundred are."""

    def side(n, value):
        return {"revenue": [value] * n + [0.0] * (1000 - n)}

    gate = Gate("revenue", kind="mean", max_decrease=0.1)
    assert judged(gate, side(49, 10.0), side(0, 0.0)).decision == HOLD
    assert judged(gate, side(200, 10.0), side(60, 10.0)).decision == ROLLBACK


# -- quantiles --------------------------------------------------------------------------------------------------------------


def test_a_quantile_that_is_the_same_is_no_regression():
    """What p90 and p95 do is no business of a gate on p99, whatever the method."""
    control = [1.0] * 900 + [2.0] * 85 + [10.0] * 15
    canary = [1.0] * 850 + [2.0] * 135 + [10.0] * 15
    for method in ("sequential", "fixed"):
        report = judged(Gate("p99_latency", max_increase=0.1), {"latency": control * 4}, {"latency": canary * 4}, method=method)
        assert report.decision == PASS, report.reason


def test_one_look_finds_the_tail_and_calls_a_faster_middle_no_regression():
    """3 % eight times as slow are found at p99; 6.9 % faster is never worse."""
    rng = random.Random(5)
    slow = {"latency": [0.1] * 4850 + [0.8] * 150}
    assert judged(Gate("p99_latency", max_increase=0.1), {"latency": [0.1] * 5000}, slow, method="fixed").decision == ROLLBACK
    for _ in range(size(20, full=300)):
        values = [rng.lognormvariate(-2, 0.5) for _ in range(3000)]
        edge = sorted(values)[-90]
        tail = [value * (3.7 if value >= edge else 0.931) for value in values]
        control = {"latency": [rng.lognormvariate(-2, 0.5) for _ in range(3000)]}
        faster = {"latency": [value * 0.931 for value in values]}
        assert judged(Gate("p99_latency", max_increase=0.1), control, {"latency": tail}, method="fixed").decision == ROLLBACK
        assert judged(Gate("p50_latency", max_increase=0.0), control, faster, method="fixed").decision != ROLLBACK


def test_the_exceedance_test_keeps_its_level_and_its_interval_agrees():
    """Of like samples no more than alpha are refuted; a stretch is refuted exactly where the interval ends."""
    rng, refuted, runs = random.Random(6), 0, size(300, full=4000)
    for _ in range(runs):
        control, canary = ([rng.expovariate(1.0) for _ in range(300)] for _ in range(2))
        refuted += exceedance(canary, control, 0.9) < 0.05
    assert refuted <= 0.05 * runs + 3 * (0.05 * 0.95 * runs) ** 0.5
    low, high = quantile_interval(canary, control, 0.9, (0.025, 0.025))
    for bound, way, outwards in ((low, "greater", -1), (high, "less", 1)):
        assert exceedance(canary, control, 0.9, (1 + bound) * (1 - outwards * 1e-9), way) >= 0.025
        assert exceedance(canary, control, 0.9, (1 + bound) * (1 + outwards * 1e-9), way) < 0.025


# -- rates and samples --------------------------------------------------------------------------------------------------------


def test_events_in_batches_count_as_in_one():
    """Conversions that stop, and eleven errors against none, are found in a list of rates as in one rate."""
    stopped = judged(Gate("conversion", max_decrease=0.1), {"conversion": [Rate(50, 990)] * 60}, {"conversion": [Rate(0, 10)] * 60})
    failing = [Rate(2, 100)] * 4 + [Rate(3, 100)]
    errors = judged(Gate("error_rate", max_increase=0.1), {"error_rate": [Rate(0, 100)] * 5}, {"error_rate": failing})

    assert (stopped.decision, errors.decision) == (ROLLBACK, ROLLBACK)


def test_two_sided_spends_alpha_once():
    """p just below alpha decides, and just above it does not: both directions are one test."""
    for events, expected in ((30, ROLLBACK), (27, None)):
        report = judged(
            Gate("error_rate", max_increase=0.0),
            {"error_rate": Rate(15, 1000)},
            {"error_rate": Rate(events, 1000)},
            method="fixed",
            alternative="two-sided",
        )
        p = report.results["error_rate"].p_value
        assert (0.025 < p < 0.05) if expected else p > 0.05
        assert (report.decision == ROLLBACK) == bool(expected)


@pytest.mark.parametrize("number", [Decimal, Fraction, float])
def test_a_rate_takes_numbers_of_any_kind(number):
    """And is judged as the same rate in whole numbers; what is no number is refused at once."""
    gate, control = Gate("error_rate", max_increase=0.1), {"error_rate": Rate(1, 1000)}
    given = judged(gate, control, {"error_rate": Rate(number(40), number(1000))})

    assert given.decision == judged(gate, control, {"error_rate": Rate(40, 1000)}).decision == ROLLBACK
    for wrong in (Decimal("nan"), Decimal("-1"), Decimal("inf"), "40", True, object()):
        with pytest.raises(ValueError, match="finite number"):
            Rate(wrong, 1000)


@pytest.mark.parametrize("method", ["sequential", "fixed"])
def test_the_order_of_one_array_changes_nothing(method):
    """An array is a sample: eight orders of the same numbers, one verdict to the last digit."""
    rng = random.Random(7)
    control, canary = [rng.lognormvariate(-2, 0.6) for _ in range(800)], [rng.lognormvariate(-1.8, 0.6) for _ in range(800)]
    for gate in (Gate("p90_latency", max_increase=0.1), Gate("mean_latency", max_increase=0.1)):
        told = set()
        for _ in range(8):
            rng.shuffle(control)
            rng.shuffle(canary)
            told.add(judged(gate, {"latency": control}, {"latency": canary}, method=method).reason)
        assert len(told) == 1, told


@pytest.mark.parametrize("method", ["sequential", "fixed"])
@pytest.mark.parametrize("n", [1000, 12_000])
def test_what_never_returned_is_the_slowest(method, n):
    """Three in a hundred infinite latencies are a tail that p99 finds, few or many."""
    slow = [0.1] * (n * 97 // 100) + [float("inf")] * (n * 3 // 100)
    report = judged(Gate("p99_latency", max_increase=0.1), {"latency": [0.1] * n}, {"latency": slow}, method=method)

    assert report.decision == ROLLBACK
    assert report.results["p99_latency"].n_canary == n


@pytest.mark.parametrize("method", ["sequential", "fixed"])
def test_what_was_dropped_stands_in_the_report_and_too_much_holds(method):
    """A boolean is no latency. One in a thousand is told; one in twenty proves nothing, not even what looks far worse."""
    gate, control = Gate("p90_latency", max_increase=0.1), {"latency": [0.1, 0.12] * 1000}
    few = judged(gate, control, {"latency": [0.1, 0.12] * 1000 + [True, float("nan")]}, method=method)
    many = judged(gate, control, {"latency": [1.0, 1.2] * 1000 + [True] * 100}, method=method)

    assert any("2 of the canary's 2002 values" in note for note in few.extra["notes"])
    assert few.decision != ROLLBACK
    assert many.decision == HOLD
    assert "100 values" in many.reason


# -- latency at several quantiles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "factor", "level"), [((0.98, 1.0), 1.6, 0.99), ((0.8, 0.93), 1.2, 0.9)])
def test_latency_listens_at_several_quantiles_and_says_which_one_decided(where, factor, level):
    """A slow tail of two percent is p99's, what is slower below p93 is seen at p90; `p50_latency` hears neither."""
    rng = random.Random(3)
    control = [rng.lognormvariate(-2, 0.3) for _ in range(8000)]
    canary = sorted(rng.lognormvariate(-2, 0.3) for _ in range(8000))
    first, last = (int(part * len(canary)) for part in where)
    canary[first:last] = [value * factor for value in canary[first:last]]

    report = judged(Gate("latency", max_increase=0.1), {"latency": control}, {"latency": canary})
    finding = report.results["latency"]

    assert report.decision == ROLLBACK
    assert (finding.metric, finding.level, report.to_dict()["results"]["latency"]["level"]) == ("latency", level, level)
    assert report.reason.startswith(f"p{100 * level:g}_latency is ")
    assert f"p{100 * level:g} at most +10 %" in report.to_html()
    assert judged(Gate("p50_latency", max_increase=0.1), {"latency": control}, {"latency": canary}).decision != ROLLBACK


def test_several_quantiles_share_one_gates_alpha():
    """Three chances to be wrong are no more than one; and a healthy candidate passes all of them."""
    gate, same = Gate("latency", max_increase=0.25), [0.1 + (i * 2654435761 % 4096) / 4096 for i in range(40_000)]
    evidence = Evidence.start([gate, Gate("error_rate", max_increase=0.1)], 0.05)

    assert sum(evidence.share_of(claim) for claim in evidence.claims_of(gate)) <= 0.025
    assert len(evidence.claims_of(gate)) == 3
    assert judged(gate, {"latency": same}, {"latency": same[::-1]}).decision == PASS


def test_one_look_at_latency_is_mann_whitneys():
    """As a distribution: what is usually slower is found, a slow tail is not; its own p-value."""
    rng = random.Random(5)
    control = [rng.lognormvariate(-2, 0.3) for _ in range(500)]
    slower, tail = [value * 1.2 for value in control], [*control[:490], *(value * 5 for value in control[490:])]
    found = judged(Gate("latency", max_increase=0.0), {"latency": control}, {"latency": slower}, method="fixed")

    assert found.decision == ROLLBACK
    assert found.results["latency"].p_value == pytest.approx(mann_whitney(slower, control, "greater")[1])
    assert judged(Gate("latency", max_increase=0.0), {"latency": control}, {"latency": tail}, method="fixed").decision != ROLLBACK
