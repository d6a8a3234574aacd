"""The formulas against values that somebody else's implementation gave."""

from __future__ import annotations

import math

import pytest

from progflags.canary import Decision, Evidence, Gate, judge
from progflags.canary.counting._sketch import bucket_index, edge
from progflags.canary.judging._integrity import srm
from progflags.canary.sequential._means import tuning, two_sided_radius
from progflags.canary.sequential._sequential import LEVEL, RATIO, fresh, level, log_mean, ratio
from support.windows import arm, window


@pytest.mark.parametrize(
    ("counts", "plain", "tolerant"),
    [
        ((4, 600, 0, 600), 5.63254, 4.92975),
        ((5, 100, 0, 100), 9.69183, 8.11875),
        ((6, 600, 0, 600), 17.1131, 13.7053),
        ((7, 600, 0, 600), 30.7924, 23.5680),
        ((72, 36000, 36, 36000), 61.7865, 14.6112),
        ((72, 36000, 3564, 3564000), 69408.3, 3091.63),
        ((36, 36000, 3564, 3564000), 0.297747, 0.225633),
    ],
)
def test_the_rate_test_agrees_with_an_independent_implementation(counts, plain, tolerant):
    """One batch, no margin and ten per cent."""
    assert math.exp(log_mean(ratio(fresh(RATIO), 1.0, True, *counts))) == pytest.approx(plain, rel=1e-5)
    assert math.exp(log_mean(ratio(fresh(RATIO), 1.1, True, *counts))) == pytest.approx(tolerant, rel=1e-5)


def test_the_absolute_test_agrees_with_an_independent_implementation():
    """Breach of 0.1 % by 10 and 12 in 3,000."""
    assert math.exp(log_mean(level(fresh(LEVEL), 0.001, True, 10, 3000))) == pytest.approx(26.870913, rel=1e-6)
    assert math.exp(log_mean(level(fresh(LEVEL), 0.001, True, 12, 3000))) == pytest.approx(292.484577, rel=1e-6)


def test_compliance_with_a_tenth_of_a_percent_takes_4519_clean_requests():
    """Evidence of 20 is reached at 4,519 requests without an error, not one sooner."""

    def clean(n):
        return math.exp(log_mean(level(fresh(LEVEL), 0.001, False, 0, n)))

    assert clean(3000) == pytest.approx(6.098154, rel=1e-6)
    assert clean(5000) == pytest.approx(29.746464, rel=1e-6)
    assert clean(4518) < 20 <= clean(4519)


@pytest.mark.parametrize(
    ("value", "scale", "index"),
    [
        (1, 0, -1),
        (1.5, 0, 0),
        (2, 0, 0),
        (2.1, 0, 1),
        (4, 0, 1),
        (8, 0, 2),
        (2, 1, 1),
        (4, 1, 3),
        (80, 1, 12),
        (500, 1, 17),
        (2, 3, 7),
        (80, 3, 50),
        (500, 3, 71),
        (80, 5, 202),
        (500, 5, 286),
    ],
)
def test_bucket_indices_are_opentelemetrys(value, scale, index):
    """Buckets are (lower, upper], at every scale of the published examples."""
    assert bucket_index(value, scale) == index


def test_bucket_edges_are_opentelemetrys():
    """Around 500 at scale 5, and the upper edge of its bucket at scale 3."""
    assert edge(286, 5) == pytest.approx(490.2929, abs=1e-4)
    assert edge(287, 5) == pytest.approx(501.0289, abs=1e-4)
    assert edge(72, 3) == 512


@pytest.mark.parametrize(
    ("counts", "shares", "factor"),
    [
        ((60, 40), (0.5, 0.5), 1.93264942),
        ((600, 400), (0.5, 0.5), 26667080.34),
        ((5200, 4800), (0.5, 0.5), 274.1330),
        ((510, 490), (0.5, 0.5), 0.36087389),
        ((130, 9870), (0.01, 0.99), 4.946011),
        ((160, 9840), (0.01, 0.99), 306763.91),
    ],
)
def test_the_sample_ratio_check_agrees_with_savvi(counts, shares, factor):
    """Bayes factors of published splits."""
    assert math.exp(srm(counts, shares)) == pytest.approx(factor, rel=1e-6)


def test_the_sequential_sample_ratio_check_stops_where_savvi_does():
    """The published stream of 1,000 draws is refuted at the 402nd, with the published p-value."""
    np = pytest.importorskip("numpy")
    np.random.seed(1)
    draws = np.random.multinomial(1, (0.1, 0.3, 0.6), size=1000)
    running = draws.cumsum(axis=0)

    stop = next(n for n in range(1000) if srm(tuple(map(float, running[n])), (0.1, 0.4, 0.5)) >= math.log(20)) + 1

    assert stop == 402
    assert tuple(running[401]) == (40, 129, 233)
    largest = max(srm(tuple(map(float, running[n])), (0.1, 0.4, 0.5)) for n in range(402))
    assert math.exp(-largest) == pytest.approx(0.04845591105969517, abs=1e-7)


def test_the_two_sided_sequence_is_growthbooks():
    """The published relative lift 0.50336 with standard error 0.33341 over 6,461 users, tuned for 1,000 and 5,000."""
    n, lift, se = 3000 + 3461, 0.50336, 0.33341

    def bounds(n_opt):
        inner = -2 * math.log(0.05)
        half = two_sided_radius(se * se, n, 0.05, (inner + math.log1p(inner)) / n_opt)
        return lift - half, lift + half

    assert bounds(1000) == pytest.approx((-0.55844, 1.56516), abs=2e-5)
    assert bounds(5000) == pytest.approx((-0.50969, 1.51646), abs=1e-4)
    assert tuning(0.025, 1000) == pytest.approx((-2 * math.log(0.05) + math.log1p(-2 * math.log(0.05))) / 1000)


def test_four_errors_against_none_hold_and_seven_roll_back():
    """Sparse errors at equal exposure (users' report): 4 v 0 is not enough at one in twenty, 7 v 0 is; unplanned, it takes 8."""

    def verdict(errors, looks=0):
        gate = Gate("error_rate", max_increase=0.0, policy="no_alarm")
        start = Evidence.start([gate], modes={"error_rate": "ratio"}, restarts=False, looks=looks)
        return judge(start.add(window(arm(600), arm(600, errors))).look(), baked=1, bake=0)

    assert math.exp(log_mean(ratio(fresh(RATIO), 1.0, True, 4, 600, 0, 600))) == pytest.approx(5.63254, rel=1e-5)
    assert verdict(4).findings[0].evidence == pytest.approx(3.89541, rel=1e-5)  # by the mixture that decides now
    assert verdict(4, looks=1).decision != Decision.ROLLBACK
    assert verdict(7, looks=1).decision == Decision.ROLLBACK
    assert [verdict(errors).decision == Decision.ROLLBACK for errors in (7, 8)] == [False, True]
