"""Every kind of gate, by either method: the decision is against exactly where the bound lies before the interval."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.canary.test_bounds import Service

from progflags.canary import CanaryAnalyzer, CanaryConfig, Decision, Evidence, Gate, Rate, judge

RATES = {
    "error_rate max_increase": Gate("error_rate", max_increase=0.1),
    "error_rate max": Gate("error_rate", max=0.03),
    "conversion max_decrease": Gate("conversion", max_decrease=0.05),
    "conversion min": Gate("conversion", min=0.03),
    "crashes max_increase": Gate("crashes", kind="count", max_increase=0.2),
    "crashes max": Gate("crashes", kind="count", max=0.03),
    "crashes min": Gate("crashes", kind="count", min=0.03),
}
VALUES = {
    "p90_latency max_increase": Gate("p90_latency", max_increase=0.1),
    "p90_latency max_decrease": Gate("p90_latency", max_decrease=0.1),
    "p90_latency max": Gate("p90_latency", max=0.35),
    "p50_latency min": Gate("p50_latency", min=0.1),
    "latency max_increase": Gate("latency", max_increase=0.1),
    "latency max": Gate("latency", max=0.6),
    "mean_spent max_increase": Gate("mean_spent", max_increase=0.1),
    "mean_spent max_decrease": Gate("mean_spent", max_decrease=0.1),
    "mean_spent max": Gate("mean_spent", max=0.13),
    "mean_spent min": Gate("mean_spent", min=0.1),
}


def bound(finding) -> tuple[float, bool]:
    """The bound that decided, in the unit of its interval, and whether beyond it is above."""
    _, name, limit = finding.gate.rsplit(" ", 2)
    return float(limit) * (-1 if name == "max_decrease" else 1), name in {"max", "max_increase"}


def against(finding) -> bool:
    """Whether the gate was broken; where the control breaks the same bound that is no reason to roll back."""
    return finding.decision == Decision.ROLLBACK or "both share" in finding.reason


def agrees(finding) -> None:
    """One-sided like the test."""
    limit, up = bound(finding)
    if finding.interval is None:  # nothing to hold against one another, so nothing against it
        assert not against(finding)
        return
    low, high = finding.interval
    assert low <= high
    assert ((limit < low) if up else (high < limit)) == against(finding), (finding.interval, finding.reason)


def report(gate, control, candidate, **options):
    return CanaryAnalyzer(CanaryConfig([gate], min_samples=0, **options)).analyze({gate.metric: control}, {gate.metric: candidate})


METHODS = [{"method": "sequential"}, {"method": "sequential", "look": True}, {"method": "fixed"}]
SIDED = [*METHODS, {"method": "fixed", "alternative": "two-sided"}]


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(RATES)),
    options=st.sampled_from(SIDED),
    counts=st.tuples(*[st.integers(0, 120)] * 2),
    sizes=st.tuples(*[st.sampled_from([40, 400, 1500, 4000])] * 2),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_of_rates_and_counts(name, options, counts, sizes, alpha):
    gate = RATES[name]
    sides = [Rate(x, exposure=float(n)) if "crashes" in name else Rate(min(x, n), n) for x, n in zip(counts, sizes, strict=True)]
    agrees(report(gate, *sides, alpha=alpha, **options).results[gate.metric])


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(VALUES)),
    options=st.sampled_from(SIDED),
    n=st.sampled_from([30, 150, 400]),
    factor=st.sampled_from([0.5, 0.8, 0.93, 1.0, 1.08, 1.2, 1.5, 2.5]),
    sign=st.sampled_from([1, 1, -1]),
    seed=st.integers(0, 10_000),
)
def test_of_quantiles_and_means(name, options, n, factor, sign, seed):
    rng, gate = random.Random(seed), VALUES[name]
    sign = sign if "spent" in name else 1
    control, candidate = ([sign * rng.lognormvariate(-2.2, 0.6) for _ in range(n)] for _ in range(2))
    found = report(gate, control, [factor * value for value in candidate], **options)
    agrees(found.results[gate.metric])


@settings(max_examples=25)
@given(
    relative=st.booleans(),
    seed=st.integers(0, 10_000),
    rates=st.tuples(*[st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.6])] * 3),
    users=st.sampled_from([2, 20, 200]),
)
def test_of_a_rollout_whatever_happened_before(relative, seed, rates, users):
    """A quiet hour after a bad one, one user that is most of the traffic: what was refuted stays so, and who keeps silent bounds nothing."""
    rng = random.Random(seed)
    gates = [Gate("error_rate", max_increase=0.2) if relative else Gate("error_rate", max=0.04), Gate("p90_latency", max_increase=0.1)]
    service = Service(gates)
    for rate in rates:
        for _ in range(4):
            for arm, fails, slow in (("control", 0.01, 1.0), ("candidate", rate, 1 + rate)):
                calls = [(rng.randrange(users), rng.random() < fails, slow * rng.lognormvariate(-2, 0.5)) for _ in range(120)]
                service.serve(calls, arm=arm)
            verdict = service.look()
    for finding in verdict.findings:
        agrees(finding)


def test_an_absolute_bounds_interval_is_the_candidates_own():
    """2 % of ten thousand, whatever the control: about 1.7 to 2.3 %, in no unit of the control's."""
    for method in ("sequential", "fixed"):
        for control in (Rate(1, 10_000), Rate(2000, 10_000)):
            found = report(Gate("error_rate", max=0.05), control, Rate(200, 10_000), method=method).results["error_rate"]
            assert 0.015 < found.interval[0] < 0.02 < found.interval[1] < 0.025
    slow = report(Gate("p90_latency", max=0.5), [0.1] * 500, [0.2 + 0.001 * k for k in range(500)], method="fixed").results["p90_latency"]
    assert 0.6 < slow.interval[0] < 0.65 < slow.interval[1] < 0.7


@pytest.mark.parametrize("method", ["sequential", "fixed"])
def test_a_one_sided_test_has_one_sided_ends(method):
    """At alpha each; two-sided at half of it, and so wider: where both ends moved a coverage of 1 - alpha would be promised that isn't there."""
    one, two = (
        report(Gate("error_rate", max_increase=0.0), Rate(100, 10_000), Rate(110, 10_000), method=method, alternative=way).results[
            "error_rate"
        ]
        for way in ("worse", "two-sided")
    )
    assert two.interval[0] < one.interval[0] < one.effect < one.interval[1]


def test_readings_are_no_sample_and_have_none():
    """A gauge's bound is held by how many readings in a row are beyond it."""
    evidence = Evidence.start([Gate("cpu", max=0.9)])
    assert judge(evidence, baked=0, bake=0).findings[0].interval is None


def test_it_narrows_to_the_truth():
    """A hundred times the data, and both ends within a tenth of it."""
    for method in ("sequential", "fixed"):
        found = report(Gate("error_rate", max=0.5), Rate(0, 1), Rate(20_000, 1_000_000), method=method).results["error_rate"]
        assert found.interval == pytest.approx((0.02, 0.02), rel=0.1)
        assert math.isfinite(sum(found.interval))
