"""Always-valid bounds of quantiles, and of their quotient."""

from __future__ import annotations

import random

import pytest

from progflags.canary.counting._sketch import Sample
from progflags.canary.sequential._quantiles import quantile_bounds, ratio_interval

BOTH, HALVES = (0.05, 0.05), (0.025, 0.025)


def sample(rng, n, slower=1.0):
    return Sample.of(rng.lognormvariate(-2.5, 0.6) * slower for _ in range(n))


def test_bounds_cover_the_true_quantile_and_narrow():
    """The median of the service is 82 ms; ten times the data, a third of the width."""
    rng = random.Random(1)
    some, many = quantile_bounds(sample(rng, 1000), 0.5, BOTH), quantile_bounds(sample(rng, 10_000), 0.5, BOTH)

    assert some[0] < many[0] < 0.0821 < many[1] < some[1]


def test_the_quotient_is_covered_in_nearly_every_run():
    """A hundred runs each of the median and the tail, at true quotients of 1 and 1.5: at most five in a hundred miss."""
    rng = random.Random(2)
    for quantile, slower in ((0.5, 1.0), (0.95, 1.5)):
        missed = 0
        for _ in range(60):
            low, high = ratio_interval(sample(rng, 600, slower), sample(rng, 1500), quantile, HALVES)
            missed += not low <= slower <= high
        assert missed <= 3


def test_the_quotient_is_narrower_than_two_separate_intervals_allow():
    """Both arms' uncertainty together, not one on top of the other."""
    rng = random.Random(3)
    c, b = sample(rng, 5000), sample(rng, 5000)
    (c_low, c_high), (b_low, b_high) = (quantile_bounds(s, 0.95, (0.05 / 4, 0.05 / 4)) for s in (c, b))

    low, high = ratio_interval(c, b, 0.95, HALVES)

    assert low < 1 < high
    assert high / low < 0.98 * (c_high / b_low) / (c_low / b_high)


def test_swapping_the_arms_inverts_the_interval():
    """Twice as slow is half as fast."""
    rng = random.Random(4)
    c, b = sample(rng, 2000, 2.0), sample(rng, 2000)

    low, high = ratio_interval(c, b, 0.5, HALVES)
    other = ratio_interval(b, c, 0.5, HALVES)

    assert (1 / other[1], 1 / other[0]) == pytest.approx((low, high))
    assert low > 1


def test_little_data_bound_nothing():
    """Five observations on one side; none at all."""
    rng = random.Random(5)

    assert ratio_interval(sample(rng, 5), sample(rng, 5), 0.99, HALVES)[1] > 2
    assert ratio_interval(Sample(), sample(rng, 5), 0.5, HALVES) is None
    assert quantile_bounds(Sample(), 0.5, BOTH) == (0.0, float("inf"))
