"""What a gate that passes by its estimate is said to see: what nine in ten candidates that bad would not get through with."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.windows import arm, window

from progflags.canary import Evidence, Gate
from progflags.canary.judging._estimates import estimate
from progflags.canary.judging._outside import outside

ERRORS = Gate("error_rate", max_increase=0.25, min_absolute=0.001, policy="observed")
P99 = Gate("p99_latency", max_increase=0.10, min_absolute=0.005, policy="observed")


def seen(gate, control, candidate):
    """Evidence of both arms, and the gate's claim."""
    evidence = Evidence.start([gate]).add(window(control, candidate))
    return evidence, evidence.claims[0]


def least(enough):
    """How many times the traffic is enough, to a percent."""
    scale = 0.01
    while not enough(scale):
        scale *= 1.01
    return scale


def latencies(chance, n, slower=1.0):
    return list(0.08 * slower * np.exp(0.5 * chance.standard_normal(n)))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_nine_of_ten_with_doubled_errors_look_worse_than_tolerated_by_then(share):
    """By simulation, of 4,000: the standard error is half a point, and counts are whole numbers."""
    calls = 100_000
    evidence, claim = seen(ERRORS, arm(int(calls * (1 - share)), int(calls * (1 - share) / 100)), arm(int(calls * share)))
    n = calls * least(outside(evidence, claim, 1.0))
    chance = np.random.default_rng(20261128)
    control = chance.binomial(int(n * (1 - share)), 0.01, 4000) / int(n * (1 - share))
    candidate = chance.binomial(int(n * share), 0.02, 4000) / int(n * share)

    assert 0.06 <= np.mean(candidate <= np.maximum(1.25 * control, control + 0.001)) <= 0.13


def test_nine_of_ten_with_a_slower_tail_look_slower_than_tolerated_by_then():
    """Likewise of 200, by the finding's own estimate: the standard error is two points."""
    chance = np.random.default_rng(20261128)
    evidence, claim = seen(P99, arm(20_000, latencies=latencies(chance, 20_000)), arm(20_000, latencies=latencies(chance, 20_000)))
    n = round(20_000 * least(outside(evidence, claim, 0.25)))
    inside = 0
    for _ in range(200):
        fast, slow = latencies(chance, n), latencies(chance, n, 1.25)
        inside += estimate(*seen(P99, arm(n, latencies=fast), arm(n, latencies=slow))).inside

    assert 0.03 <= inside / 200 <= 0.16


def test_what_is_worse_by_just_what_the_bound_lets_in_is_never_seen():
    """At 0.05 % errors 0.1 points matter, and as much may an estimate lie beyond: half of such candidates look better than that."""
    evidence, claim = seen(ERRORS, arm(1_000_000, 500), arm(1_000_000, 500))

    assert not outside(evidence, claim, claim.matters(0.0005))(1e6)


@pytest.mark.parametrize(
    "gate", [Gate("order", max_decrease=0.1), Gate("error_rate", max=0.01), Gate("mean_price", max_increase=0.1)], ids=str
)
def test_of_falls_bounds_and_means_only_an_alarm_is_a_sight(gate):
    evidence, claim = seen(gate, arm(1_000_000, 5000), arm(1_000_000, 5000))

    assert not outside(evidence, claim, 1.0)(1e6)
