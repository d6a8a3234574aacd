"""Histograms of other producers: folded exactly where they are finer, never interpolated where they are coarser (F24)."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.canary import Evidence, Gate, Window, explicit, exponential, judge
from progflags.canary.counting._sketch import EDGES, OVERFLOW, Sample, bucket_index
from progflags.canary.counting._totals import Totals

BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]


def produced(values, scale):
    """What an exporter at that scale would send."""
    found = Counter(bucket_index(value, scale) for value in values)
    low, high = min(found), max(found)
    return exponential(scale, low, [found[i] for i in range(low, high + 1)])


positive = st.lists(st.floats(1e-3, 50, allow_subnormal=False), min_size=1, max_size=50)


@given(positive, st.integers(5, 9))
def test_a_finer_scale_folds_into_ours_exactly(values, scale):
    """The counts are those of the values themselves (a value a rounding error beside an edge may go either way)."""
    mine, theirs = Sample.of(values), produced(values, scale)

    assert theirs.n == mine.n
    for place in range(0, OVERFLOW, 7):
        assert abs(theirs.above(place) - mine.above(place)) <= sum(abs(v / EDGES[place] - 1) < 1e-9 for v in values)


@given(positive, st.integers(-2, 4))
def test_a_coarser_scale_is_exact_at_its_own_edges(values, scale):
    """And only there."""
    sample = produced(values, scale)

    assert sample.n == len(values)
    for place in sample.edges:
        assert abs(sample.above(place) - sum(v > EDGES[place] for v in values)) <= sum(abs(v / EDGES[place] - 1) < 1e-9 for v in values)


def test_a_threshold_between_edges_moves_up():
    """Never down, never in between; beyond the last edge there is none."""
    sample = explicit(BOUNDS, [0, 0, 0, 0, 10, 50, 30, 5, 2, 1, 1, 1, 0, 0, 0])

    place = sample.place_of(0.5)

    assert EDGES[place] == pytest.approx(0.1, rel=0.022)
    assert EDGES[sample.snapped(place + 1)] == pytest.approx(0.25, rel=0.022)
    assert sample.snapped(OVERFLOW - 1) == OVERFLOW
    assert Sample.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def test_merging_keeps_the_edges_both_have():
    """Two coarse producers are exact where both are; a fine one beside a coarse one is exact where that is."""
    one, other = explicit([0.1, 0.5, 1.0], [5, 5, 5, 0]), explicit([0.1, 1.0], [5, 5, 0])

    assert len(one.merge(other).edges) == 2
    assert one.merge(Sample.of([0.2])).edges == one.edges
    assert one.merge(explicit([0.3], [1, 1])).edges == (OVERFLOW,)
    assert one.merge(Sample()).edges == one.edges


def test_healthy_coarse_histograms_roll_nothing_back_and_slow_ones_are_found():
    """Through the judge, with OpenTelemetry's default boundaries."""
    rng = random.Random(1)

    def arm(slower):
        found = Counter()
        for _ in range(800):
            value = rng.lognormvariate(-2.5, 0.6) * slower
            found[next((i for i, bound in enumerate(BOUNDS) if value <= bound), len(BOUNDS))] += 1
        return Totals(requests=800, samples={"latency": explicit(BOUNDS, [found[i] for i in range(len(BOUNDS) + 1)])})

    def decided(slower):
        evidence = Evidence.start([Gate("p99_latency", max_increase=0.1, policy="no_alarm")])
        for _ in range(20):
            evidence = evidence.add(Window("f", 1, {"control": arm(1.0), "candidate": arm(slower)}))
        return judge(evidence, baked=1, bake=0).decision

    assert decided(1.0) == "PASS"
    assert decided(2.5) == "ROLLBACK"


def test_lengths_that_do_not_fit_are_refused():
    """Two bounds make three buckets."""
    with pytest.raises(ValueError, match="3 buckets"):
        explicit([1, 2], [1, 2])
