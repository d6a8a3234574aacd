"""Samples: exact where tests look, within a bucket where people look, and the same bits in any order."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.canary.counting._sketch import EDGES, UNIT, Sample, Tally, position

latencies = st.lists(st.floats(0, 1e6, allow_nan=False), max_size=60)


@given(latencies, latencies, latencies)
def test_merging_is_exact_in_any_order(a, b, c):
    """Three workers' samples merged in any grouping equal one worker that saw everything, bit for bit."""
    one, two, three = (Sample.of(values, (0.5,)) for values in (a, b, c))

    whole = Sample.of([*a, *b, *c], (0.5,))

    assert one.merge(two).merge(three) == three.merge(one.merge(two)) == whole


@given(latencies, latencies)
def test_what_was_merged_can_be_taken_away_again(a, b):
    """(a + b) - a is b: a batch is the difference of two cumulative samples."""
    one, two = Sample.of(a, (0.25,)), Sample.of(b, (0.25,))

    assert one.merge(two).minus(one) == two


@given(st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_within_a_bucket_of_the_samples_own(values, q):
    """At most 1.1 % off, on either side."""
    exact = sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]

    assert Sample.of(values).quantile(q) == pytest.approx(exact, rel=0.0110)


@given(latencies, st.integers(0, len(EDGES) - 2))
def test_counts_above_an_edge_are_exact(values, place):
    """The distribution function has no error at an edge."""
    assert Sample.of(values).above(place) == sum(value > EDGES[place] for value in values)


@given(st.floats(1e-6, 1e13))
def test_every_value_is_in_the_bucket_that_says_so(value):
    """(lower, upper]: also at the edges themselves."""
    place = position(value)

    assert place == 0 or EDGES[place - 1] < value
    assert value <= EDGES[place]


def test_an_edge_belongs_to_the_bucket_below_it():
    """All 2,049 edges."""
    assert [position(upper) for upper in EDGES] == list(range(len(EDGES)))


def test_a_threshold_is_counted_exactly_where_it_is():
    """500 ms is no bucket edge, yet 499.9 ms is below it and 500.1 ms above."""
    sample = Sample.of([0.4999, 0.5, 0.5001, 0.6], (0.5,))

    assert sample.more_than(0.5) == 2


def test_a_billion_observations_do_not_overflow():
    """Counters beyond 2^31, sums beyond 2^63."""
    tally = Tally()
    tally.add(60.0, 4_000_000_000)
    tally.add(1.0, 4_000_000_000)

    sample = tally.sample()

    assert sample.n == 8_000_000_000
    assert sample.mean == 30.5
    assert sample.variance == pytest.approx(29.5**2)
    assert Sample.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def test_extremes_have_a_place_and_say_so():
    """Zero, a nanosecond, ten thousand years: counted, and their quantile is no made-up number."""
    assert Sample.of([0.0, -0.0, 1e-9]).quantile(0.5) == EDGES[0]
    assert Sample.of([1e15]).quantile(0.5) == math.inf
    assert math.isnan(Sample().quantile(0.5))


def test_memory_is_bounded_whatever_comes():
    """A hundred thousand observations over the whole range: at most 17 KiB of counters."""
    rng, tally = random.Random(1), Tally()
    for _ in range(100_000):
        tally.add(math.exp(rng.uniform(-20, 35)))

    assert tally.counts.itemsize * len(tally.counts) <= 17 * 1024


def test_latency_needs_half_of_that():
    """A microsecond to an hour, which is any latency: both arms together stay within 17 KiB."""
    tally = Tally()
    for value in (1e-6, 3600.0):
        tally.add(value)

    assert 2 * tally.counts.itemsize * len(tally.counts) <= 17 * 1024


def test_sums_are_exact_integers():
    """The mean of a million tenths is a tenth, whatever the order of addition."""
    sample = Sample.of([0.1] * 10).merge(Sample.of([0.1] * 999_990))

    assert sample.total == 1_000_000 * int(0.1 * UNIT)


def test_moving_buckets_after_growth_keeps_counts():
    """Small after large and large after small."""
    values = [1.0, 100.0, 1e-4, 5e4, 2e-6, 1.0]

    assert Sample.of(values) == Sample.of(sorted(values)) == Sample.of(sorted(values, reverse=True))
