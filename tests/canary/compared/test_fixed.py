"""One look with the literature's tests, and Kayenta's labels, against their published values."""

from __future__ import annotations

import math
import random

import pytest
from scipy.stats import ttest_ind

from progflags.canary import CanaryAnalyzer, CanaryConfig, Gate, Rate
from progflags.canary.compared._kayenta import (
    Label,
    Labelled,
    classify,
    cles,
    cohens_d,
    iqr_kept,
    percentile,
    score,
    shift_interval,
    sigma_kept,
)
from progflags.canary.compared._tests import fisher, hodges_lehmann, mann_whitney, welch
from progflags.canary.sequential._exact import at_least, at_most, conditional_p


def test_fisher_is_rs():
    """Published tables."""
    assert fisher(8, 10, 1, 6) == pytest.approx(0.0349650350, abs=1e-9)
    assert fisher(8, 1000, 2, 1000, "greater") == pytest.approx(0.0542478286, abs=1e-9)


def test_mann_whitney_is_scipys_documented_one():
    """U and p of the published example, exact and asymptotic; NaN stays NaN."""
    from scipy.stats import mannwhitneyu

    assert mann_whitney((19, 22, 16, 29, 24), (20, 11, 17, 12)) == pytest.approx((17, 0.1111111), abs=1e-6)
    assert mannwhitneyu((19, 22, 16, 29, 24), (20, 11, 17, 12), method="asymptotic").pvalue == pytest.approx(0.1113468865)
    assert mann_whitney((1, 2, 3, 4), (5, 6, 7, 8))[1] == pytest.approx(0.0285714, abs=1e-6)
    assert mann_whitney((1, 2, 3), (5, 6, 7))[1] == pytest.approx(0.1)
    assert math.isnan(mann_whitney((1, math.nan), (2, 3))[1])


def test_the_binomial_tails_are_scipys():
    """Without scipy."""
    from scipy.stats import binom

    rng = random.Random(1)
    for _ in range(300):
        n, p = rng.randrange(1, 5000), rng.random() ** 3
        x = min(n, max(0, int(rng.gauss(n * p, 2 * math.sqrt(n * p)))))
        assert at_least(x, n, p) == pytest.approx(float(binom.sf(x - 1, n, p)), rel=1e-7, abs=1e-12)
        assert at_most(x, n, p) == pytest.approx(float(binom.cdf(x, n, p)), rel=1e-7, abs=1e-12)


def test_the_conditional_test_of_four_against_none():
    """p = 1/16 at equal exposure."""
    assert conditional_p(1.0, True, (4, 600, 0, 600)) == pytest.approx(0.0625)
    assert conditional_p(1.0, True, (0, 0, 3, 10)) == 1.0


def test_hodges_lehmann_is_the_median_difference_with_its_interval():
    """Shift of three, exactly; the interval covers it."""
    rng = random.Random(2)
    base = [rng.gauss(0, 1) for _ in range(300)]

    shift, low, high = hodges_lehmann([v + 3 for v in base], base)

    assert shift == pytest.approx(3, abs=0.01)
    assert low < 3 < high
    assert high - low < 0.5


def test_welch_is_the_published_comparison():
    """Equal means give a p of one."""
    assert welch([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_welch_is_scipys(alternative):
    """But for values that hardly vary, where scipy warns that it lost the digits."""
    rng = random.Random(7)
    for _ in range(50):
        a, b = ([rng.gauss(mean, spread) for _ in range(rng.randint(2, 40))] for mean, spread in ((1.0, 0.5), (1.1, 3.0)))
        theirs = ttest_ind(a, b, equal_var=False, alternative=alternative).pvalue
        assert welch(a, b, alternative) == pytest.approx(theirs, rel=1e-9)


def test_one_look_rolls_back_holds_and_passes():
    """Rates by Fisher, latency by Mann-Whitney, means by Welch."""
    rng = random.Random(3)
    gates = [Gate("error_rate", max_increase=0.1), Gate("p99_latency", max_increase=0.1), Gate("mean_size", max_increase=0.1)]

    def data(errors, slower, larger):
        return {
            "error_rate": Rate(errors, 5000),
            "p99_latency": [rng.lognormvariate(-2, 0.5) * slower for _ in range(800)],
            "mean_size": [rng.gauss(100, 10) * larger for _ in range(400)],
        }

    def decided(*new):
        return {
            name: result.decision
            for name, result in CanaryAnalyzer(CanaryConfig(gates, "fixed")).analyze(data(20, 1, 1), data(*new)).results.items()
        }

    assert decided(20, 1, 1) == {"error_rate": "PASS", "p99_latency": "PASS", "mean_size": "PASS"}
    assert decided(80, 1, 1)["error_rate"] == "ROLLBACK"
    assert decided(20, 1.5, 1)["p99_latency"] == "ROLLBACK"
    assert decided(20, 1, 1.5)["mean_size"] == "ROLLBACK"
    assert decided(25, 1, 1)["error_rate"] == "HOLD"


def test_constants_have_a_defined_verdict():
    """Zero variance, all ties, one value."""
    analyzer = CanaryAnalyzer(CanaryConfig([Gate("mean_x", max_increase=0.1), Gate("p50_x", max_increase=0.1)], "fixed", min_samples=1))

    same = analyzer.analyze({"x": [5.0] * 200}, {"x": [5.0] * 200})
    more = analyzer.analyze({"x": [5.0] * 200}, {"x": [9.0] * 200})

    assert same.decision == "PASS"
    assert more.decision == "ROLLBACK"
    assert analyzer.analyze({"x": [5.0]}, {"x": [5.0]}).decision == "PASS"


# -- Kayenta ------------------------------------------------------------------------------------------------------------------


ONES, TENS = (1,) * 5, (10,) * 5
SMALL = (1, 2.2, 1.1, 2.5, 3)
LARGE = (20, 22, 21, 25, 30)


def test_the_interval_is_rs():
    """Published vector at 95 %."""
    assert shift_interval((10, 20, 30, 40), (1, 2, 3, 4), 0.95) == pytest.approx((6.0, 39.0, 22.5), abs=1e-6)


def test_high_is_high_and_critical_where_it_says():
    """Published case: twelve times in the mean."""
    found = classify(LARGE, SMALL, confidence=0.95, tolerance=0.10)

    assert found.label == "High"
    assert found.interval == pytest.approx((17.80, 27.80), abs=1e-2)
    assert found.shift == pytest.approx(20.0, abs=1e-2)
    assert found.ratio == pytest.approx(12.0408, abs=1e-4)
    assert classify(LARGE, SMALL, confidence=0.95, tolerance=0.10, allowed=13).label == "Pass"
    assert classify(LARGE, SMALL, confidence=0.95, tolerance=0.10, critical=True, critical_increase=12.04).critical
    not_so = classify(LARGE, SMALL, confidence=0.95, tolerance=0.10, critical=True, critical_increase=13)
    assert (not_so.label, not_so.critical) == ("High", False)


@pytest.mark.parametrize(
    ("experiment", "control", "label"),
    [
        ((10, 12.2, 10.1, 12.5, 23), LARGE, "Pass"),
        ((1, 1, 1, 1, 10), ONES, "Pass"),
        (TENS, ONES, "High"),
        (ONES, TENS, "Low"),
        ((54.9, 54.5, 55.1, 55.6, 57.4), (0,) * 5, "High"),
        ((3, 1, 2), (1, 2, 3), "Pass"),
        ((), ONES, "Nodata"),
        (ONES, (), "Nodata"),
        ((0, 1, 2, 1, 0, 0), (0,) * 6, "Pass"),
    ],
)
def test_labels_are_kayentas(experiment, control, label):
    """Published cases, and the sparse errors that users complain about."""
    assert classify(experiment, control, confidence=0.95, tolerance=0.10).label == label


def test_the_interval_of_the_falling_case_is_kayentas():
    """-17.80 to 0.99995."""
    assert classify((10, 12.2, 10.1, 12.5, 23), LARGE, confidence=0.95, tolerance=0.10).interval == pytest.approx(
        (-17.80, 0.99995), abs=1e-3
    )


def test_no_data_keeps_its_criticality_and_a_zero_baseline_has_no_ratio():
    """Published."""
    silent = classify((), ONES, critical=True)
    assert (silent.label, silent.critical) == (Label.NODATA, True)
    assert math.isnan(silent.ratio)
    assert math.isnan(silent.shift)
    assert math.isnan(classify((54.9, 54.5, 55.1, 55.6, 57.4), (0,) * 5).ratio)


def test_a_direction_hears_one_side_only():
    """Higher is fine where only a decrease matters."""
    assert classify(TENS, ONES, direction="decrease").label == "Pass"
    assert classify(ONES, TENS, direction="increase").label == "Pass"


def test_effect_sizes_percentiles_and_outliers_are_kayentas():
    """Published."""
    nist = [95.1772, 95.1567, 95.1937, 95.1959, 95.1442, 95.0610, 95.1591, 95.1195, 95.1772, 95.0925, 95.1990, 95.1682]
    assert cohens_d((5, 5, 5, 10, 10, 10), (1, 1, 1, 2, 2, 2)) == pytest.approx(3.03821, abs=1e-5)
    assert cles(range(1, 6), range(1, 6)) == 0.5
    assert cles(TENS, ONES) == 0.0
    assert percentile([i / 2 for i in range(8)], 5) == pytest.approx(0.175)
    assert percentile(nist, 90) == pytest.approx(95.19568)
    assert iqr_kept([21, 23, 24, 25, 50, 29, 23, 21]) == [21, 23, 24, 25, 29, 23, 21]
    assert sigma_kept([1] * 10 + [20]) == [1] * 10


GOOD, HIGH, LOW, NONE = (Labelled(label) for label in (Label.PASS, Label.HIGH, Label.LOW, Label.NODATA))


@pytest.mark.parametrize(
    ("groups", "points"),
    [
        ([(None, [GOOD, HIGH])], 50),
        ([(None, [GOOD, HIGH, LOW])], 33.33),
        ([(75, [GOOD]), (25, [HIGH])], 75.0),
        ([(15, [GOOD, HIGH, LOW]), (85, [HIGH])], 5.0),
        ([(None, [GOOD, Labelled(Label.HIGH, critical=True)])], 0),
        ([(None, [GOOD, Labelled(Label.NODATA, critical=True)])], 0),
        ([(None, [NONE, NONE])], 0),
        ([(None, [NONE, GOOD])], 0),
        ([(50, [NONE]), (50, [GOOD])], 100),
    ],
)
def test_scores_are_kayentas(groups, points):
    """Published: weights, criticals, missing data."""
    assert score(groups)[0] == pytest.approx(points, abs=0.01)


def test_the_kayenta_method_gives_labels_a_score_and_a_decision():
    """For teams that compare before they move over."""
    rng = random.Random(5)
    base, same, slow = ([rng.gauss(100, 10) * f for _ in range(60)] for f in (1, 1, 1.5))
    config = CanaryConfig([Gate("mean_latency", max_increase=0.1), Gate("mean_size", max_increase=0.1, severity="warning")], "kayenta")

    good = CanaryAnalyzer(config).analyze({"latency": base, "size": base}, {"latency": same, "size": same})
    bad = CanaryAnalyzer(config).analyze({"latency": base, "size": base}, {"latency": slow, "size": same})
    none = CanaryAnalyzer(config).analyze({"latency": base, "size": base}, {})

    assert (good.decision, good.to_dict()["score"]) == ("PASS", 100)
    assert bad.decision == "ROLLBACK"
    assert set(bad.to_dict()["labels"].values()) == {"High", "Pass"}
    assert none.decision == "HOLD"
    assert (
        CanaryAnalyzer(CanaryConfig([Gate("error_rate", max_increase=0.1)], "kayenta"))
        .analyze({"error_rate": Rate(1, 10)}, {"error_rate": Rate(9, 10)})
        .decision
        == "HOLD"
    )
