"""
More values that somebody else published, as far as a function of ours computes such a thing.

Not held against anything, because nothing of ours computes it: polynomial stitching, the empirical-process law of the iterated
logarithm and double stitching (boundaries for quantiles of raw streams; ours are read off histograms by mixtures of binomial
likelihood ratios, and a copy of those boundaries in a test would only test the copy), intervals for the shares of a multinomial
split (the sample-ratio check tests one planned split), and the chi-square test of a split (the sequential check stands in its
place, because chi-square is not valid when repeated).
"""

from __future__ import annotations

import math

import pytest

from progflags.canary import CanaryAnalyzer, CanaryConfig, Decision, Evidence, Gate, judge
from progflags.canary.compared._kayenta import shift_interval
from progflags.canary.compared._tests import welch
from progflags.canary.counting._sketch import Sample
from progflags.canary.judging._integrity import SRM_ALPHA, srm
from progflags.canary.sequential._exact import at_most, conditional_p
from progflags.canary.sequential._means import Means, radius, tuning, two_sided_radius
from progflags.canary.sequential._quantiles import ratio_interval
from support.windows import arm, window

RHO = 12.60056  # variance at which the published mixtures are tightest, for an intrinsic time of 100 at 1 in 20


def repeated(counts):
    return [value for value, n in counts.items() for _ in range(n)]


def test_the_interval_of_heavily_tied_samples_is_rs():
    """R's wilcox.test at 98 % on 180 against 180 values with thirteen distinct ones; R stops its search at 1e-4."""
    experiment = repeated(
        {0.5: 20, 1.0: 41, 1.5: 67, 2.0: 37, 2.5: 3, 3.0: 2, 3.5: 3, 4.0: 1, 5.0: 1, 5.5: 3, 8.5: 1, 19.0: 1},
    )
    control = repeated(
        {0.0: 1, 0.5: 7, 1.0: 32, 1.5: 70, 2.0: 33, 2.5: 22, 3.0: 6, 3.5: 2, 4.0: 3, 4.5: 1, 5.5: 1, 7.0: 1, 7.5: 1},
    )
    assert (len(experiment), sum(experiment), len(control), sum(control)) == (180, 302.5, 180, 323.0)

    low, high, estimate = shift_interval(experiment, control, 0.98)

    assert low == pytest.approx(-0.4999173250549087, abs=1e-4)
    assert high == pytest.approx(-6.912685789769486e-6, abs=1e-4)
    assert estimate == pytest.approx(-3.45e-5, abs=1e-4)


def test_the_conditional_tails_make_rs_poisson_test():
    """R's two-sided poisson.test(c(11, 21), c(800, 3011)) adds the tail of the outcomes that are no likelier: two or fewer."""
    upper = conditional_p(1.0, True, (11, 800, 21, 3011))

    assert upper + at_most(2, 32, 800 / 3811) == pytest.approx(0.0796686330, abs=1e-9)


def test_the_mixture_boundary_is_confseqs():
    """Howard and others' two-sided normal mixture at v = 100: its tuning, and the boundary 30.35209."""
    assert 1 / tuning(0.025, 1.0) * 100 == pytest.approx(RHO, abs=1e-5)
    assert two_sided_radius(100.0, 1.0, 0.05, 100 / RHO) == pytest.approx(30.35209, abs=1e-5)


def test_the_one_sided_sequence_never_claims_more_than_the_exact_mixture():
    """The published exact boundary is 27.66071; the closed form of the literature lies outside it by half a percent."""
    assert 27.66071 <= radius(100.0, 1.0, 0.05, 100 / RHO) <= 27.66071 * 1.006


def test_the_evidence_of_a_mean_never_claims_more_than_the_exact_mixture():
    """At a sum of 10 with variance 100 the exact log-mixture is -0.0650; a difference of 10 with that variance says less."""
    seen = Means((1.0, 10.0, 0.0, 100.0, 0.0, 100 / RHO / tuning(0.05)), before=(1000, 1000, 1000, 1000))

    assert -1.0 < seen.evidence(0.0, True, relative=True, alpha=0.05) <= -0.06502391


@pytest.mark.parametrize(
    ("quantile", "offset", "published"),
    [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)],
)
def test_the_quotient_of_quantiles_claims_no_more_than_the_published_test(quantile, offset, published):
    """1…1000 against the same moved up: never refuted, at a level up to one half, where the published test does not."""
    a, b = (Sample.of((i + moved) / 1000 for i in range(1, 1001)) for moved in (0, offset))

    assert ratio_interval(b, a, quantile, (min(published, 0.5),) * 2)[0] < 1  # half of its level on either side


def test_the_quotient_of_medians_refutes_what_the_published_test_refutes():
    """A hundred up is refuted one-sidedly at 1 in 20, seventy is not: as published (0.0055 and 0.81)."""
    a, small, large = (Sample.of((i + moved) / 1000 for i in range(1, 1001)) for moved in (0, 70, 100))

    assert ratio_interval(small, a, 0.5, (0.05, 0.05))[0] < 1
    assert ratio_interval(large, a, 0.5, (0.05, 0.05))[0] >= 1


def growthbook(n_opt):
    """The published relative lift of revenue from its sums, and half the interval around it."""
    (s_b, q_b, n_b), (s_c, q_c, n_c) = (1396.87, 52377.9767, 3000), (2422.7, 134698.29, 3461)
    b, c = s_b / n_b, s_c / n_c
    v_b, v_c = (q_b - s_b * b) / (n_b - 1), (q_c - s_c * c) / (n_c - 1)
    variance = v_c / n_c / b**2 + v_b / n_b * c**2 / b**4
    return c / b - 1, math.sqrt(variance), two_sided_radius(variance, n_b + n_c, 0.05, tuning(0.025, n_opt))


def test_the_two_sided_sequence_is_growthbooks_from_the_sums():
    """To 1e-5 for the default tuning of 1,000 users; the second row is published after a covariate of nothing was taken out."""
    lift, error, half = growthbook(1000)

    assert (lift, error) == pytest.approx((0.50336, 0.33341), abs=1e-5)
    assert (lift - half, lift + half) == pytest.approx((-0.55844, 1.56516), abs=1e-5)
    lift, _, half = growthbook(5000)
    assert (lift - half, lift + half) == pytest.approx((-0.50969, 1.51646), abs=5e-5)


def test_the_two_sided_sequence_of_proportions_is_growthbooks():
    """1396 of 3000 against 2422 of 3461, tuned for 5,000: 0.50386 (0.40098, 0.60675)."""
    b, c = 1396 / 3000, 2422 / 3461
    variance = c * (1 - c) / 3461 / b**2 + b * (1 - b) / 3000 * c**2 / b**4

    half = two_sided_radius(variance, 6461, 0.05, tuning(0.025, 5000))

    assert (c / b - 1 - half, c / b - 1, c / b - 1 + half) == pytest.approx((0.40098, 0.50386, 0.60675), abs=1e-5)


def test_a_split_that_one_look_calls_broken_is_not_when_looks_are_free():
    """(130, 9870) planned 1 : 99 has a chi-square p of 0.0026; the sequential check waits, and fires at (160, 9840)."""
    bar = -math.log(SRM_ALPHA)

    assert srm((130, 9870), (0.01, 0.99)) < bar < srm((160, 9840), (0.01, 0.99))


def moments(n, total, squares):
    """`n` values with exactly that sum and sum of squares: half of them as far above the mean as the others are below."""
    mean, pairs = total / n, n // 2
    away = math.sqrt((squares - total * total / n) / (2 * pairs))
    return [mean - away] * pairs + [mean] * (n % 2) + [mean + away] * pairs


def test_welchs_test_is_growthbooks():
    """Revenue of 3,407 users against 3,461: the absolute difference, its test, and the relative lift with both arms' noise, all to 1e-5."""
    control, treated = moments(3407, 1396.87, 52377.9767), moments(3461, 2422.7, 134698.29)
    gate = Gate("mean_revenue", max_increase=0.0)

    finding = CanaryAnalyzer(CanaryConfig([gate], method="fixed")).analyze({"mean_revenue": control}, {"mean_revenue": treated}).findings[0]

    assert finding.canary - finding.baseline == pytest.approx(0.29, abs=1e-5)
    assert welch(treated, control) == pytest.approx(0.02016, abs=1e-5)
    assert finding.p_value == pytest.approx(0.02016 / 2, abs=1e-5)  # one-sided, as the gate asks
    assert finding.effect == pytest.approx(0.70732, abs=1e-5)


def test_the_lifts_interval_is_the_test_turned_round():
    """One-sided like the test: where it begins and ends, Welch's test of as much more than the control's has a p of alpha."""
    control, treated = moments(3407, 1396.87, 52377.9767), moments(3461, 2422.7, 134698.29)
    analyzer = CanaryAnalyzer(CanaryConfig([Gate("mean_revenue", max_increase=0.0)], method="fixed"))

    low, high = analyzer.analyze({"mean_revenue": control}, {"mean_revenue": treated}).findings[0].interval

    for lift, way in ((low, "greater"), (high, "less")):
        assert welch(treated, [value * (1 + lift) for value in control], way) == pytest.approx(0.05, rel=1e-3)


# -- what a measurement means: Argo Rollouts' documented semantics ----------------------------------------------------------

GOOD, BAD, FEW = arm(20_000, 20), arm(20_000, 2_000), arm(40)


@pytest.mark.parametrize(
    ("gate", "candidate", "decision"),
    [
        (Gate("error_rate", max=0.01), BAD, Decision.ROLLBACK),  # the failure condition holds: Failed
        (Gate("error_rate", max=0.01), GOOD, Decision.PASS),  # the success condition holds: Successful
        (Gate("error_rate", max=0.01), FEW, Decision.HOLD),  # neither: Inconclusive, which pauses
        (Gate("error_rate", max=0.01), None, Decision.HOLD),  # no value: Inconclusive too, and neither of the others
        (Gate("error_rate", max=0.01, severity="warning"), BAD, Decision.HOLD),  # a dry run changes no outcome to Failed
    ],
    ids=["failed", "successful", "inconclusive", "no value", "dry run"],
)
def test_measurements_mean_what_they_mean_in_argo(gate, candidate, decision):
    """Failed backs out, Successful goes on, everything else pauses."""
    evidence = Evidence.start([gate]).add(window(GOOD, candidate))

    assert judge(evidence, baked=1, bake=0).decision == decision


def test_one_failure_wins_over_any_success_and_any_inconclusive():
    """The gravest phase of several metrics is the run's."""
    gates = [Gate("latency", quantile=0.5, max=1.0), Gate("error_rate", max=0.01), Gate("nothing_seen", max_increase=0.1)]
    evidence = Evidence.start(gates).add(window(arm(20_000, 20, latencies=[0.1] * 500), arm(20_000, 2_000, latencies=[0.1] * 500)))

    verdict = judge(evidence, baked=1, bake=0)

    assert [finding.decision for finding in verdict.findings] == [Decision.PASS, Decision.ROLLBACK, Decision.HOLD]
    assert verdict.decision == Decision.ROLLBACK


def test_a_metric_that_errors_is_not_successful(monkeypatch):
    """A measurement that could not be taken holds the run, however good the others are."""
    from progflags.canary.sequential import _step

    def broken(*_args):
        raise RuntimeError("no such series")

    monkeypatch.setattr(_step, "bounded", broken)
    gates = [Gate("error_rate", max=0.01), Gate("conversion", max_decrease=0.5, policy="no_alarm")]
    sides = arm(20_000, 20, units=20_000, events={"conversion": 2_000})

    verdict = judge(Evidence.start(gates).add(window(sides, sides)), baked=1, bake=0)

    assert verdict.decision == Decision.HOLD
    assert "could not be judged" in verdict.reason
