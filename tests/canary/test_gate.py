"""Gates: what is written is what is meant, or it is refused with the remedy."""

from __future__ import annotations

import math

import pytest

from progflags.canary import Gate, Kind, Policy, Severity


@pytest.mark.parametrize(
    ("metric", "kind", "quantile"),
    [
        ("error_rate", Kind.RATE, None),
        ("timeout_rate", Kind.RATE, None),
        ("p99_latency", Kind.QUANTILE, 0.99),
        ("p50_latency", Kind.QUANTILE, 0.5),
        ("p999_latency", Kind.QUANTILE, 0.999),
        ("mean_payload", Kind.MEAN, None),
        ("cpu", Kind.GAUGE, None),
        ("conversion", Kind.RATE, None),
    ],
)
def test_a_metrics_name_tells_its_kind(metric, kind, quantile):
    """Without `kind` or `quantile` being written."""
    gate = Gate(metric, max=0.5)

    assert (gate.kind, gate.quantile) == (kind, quantile)


def test_an_instruments_own_name_takes_a_quantile():
    """`http.server.request.duration` at its 99th."""
    gate = Gate("http.server.request.duration", quantile=0.99, max_increase=0.1)

    assert gate.kind == Kind.QUANTILE
    assert gate.sample == "http.server.request.duration"


def test_defaults_are_the_documented_ones():
    """Critical, detectable, weight 1, no hidden margins."""
    gate = Gate("error_rate", max_increase=0.1)

    assert (gate.severity, gate.policy, gate.weight, gate.min_absolute) == (Severity.CRITICAL, Policy.DETECTABLE, 1.0, 0.0)
    assert gate.detect(up=True) == 1.0
    assert Gate("p99_latency", max_increase=0.1).detect(up=True) == 0.25
    assert Gate("conversion", max_decrease=0.1).detect(up=False) == 0.10


def test_a_table_round_trips():
    """`Gate.of(gate.to_dict())` is the gate."""
    for gate in (
        Gate("p99_latency", max=0.5, max_increase=0.1, severity="warning", policy="observed", must_detect=0.5, weight=2.0),
        Gate("*", anomaly=False),
        Gate("x", quantile=0.9, min=1.0),
        Gate("revenue", kind="mean", max_decrease=0.02, direction="higher_is_better", min_absolute=0.1),
    ):
        assert Gate.of(gate.to_dict()) == gate


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"metric": ""}, "name of a metric"),
        ({"metric": "error_rate"}, "no bound"),
        ({"metric": "error_rate", "max": math.nan}, "finite"),
        ({"metric": "error_rate", "max": math.inf}, "finite"),
        ({"metric": "error_rate", "max": True}, "finite"),
        ({"metric": "error_rate", "max": "0.1"}, "finite"),
        ({"metric": "error_rate", "max": 5}, "0.1 % is 0.001"),
        ({"metric": "error_rate", "max": -0.1}, "between 0 and 1"),
        ({"metric": "error_rate", "max_increase": -0.1}, "0 or more"),
        ({"metric": "conversion", "max_decrease": 1.0}, "between 0 and 1"),
        ({"metric": "latency", "min": 2, "max": 1, "kind": "mean"}, "above its max"),
        ({"metric": "error_rate", "max": 0.1, "severity": "fatal"}, "severity is one of"),
        ({"metric": "error_rate", "max": 0.1, "policy": "hope"}, "policy is one of"),
        ({"metric": "error_rate", "max": 0.1, "kind": "ratio"}, "kind is one of"),
        ({"metric": "error_rate", "max": 0.1, "weight": 0}, "weight"),
        ({"metric": "error_rate", "max": 0.1, "must_detect": 0}, "must_detect"),
        ({"metric": "error_rate", "max": 0.1, "min_absolute": -1}, "min_absolute"),
        ({"metric": "*", "max": 0.1}, "anomalies"),
        ({"metric": "*"}, "anomalies"),
        ({"metric": "*", "anomaly": True}, "anomaly = false"),
        ({"metric": "error_rate", "anomaly": "no"}, "anomaly is false"),
        ({"metric": "p99_latency", "quantile": 1.0, "max": 1}, "between 0 and 1"),
        ({"metric": "x", "kind": "quantile", "max": 1}, "which"),
        ({"metric": "x", "kind": "mean", "quantile": 0.5, "max": 1}, "quantile"),
        ({"metric": "conversion", "max_increase": 0.1, "direction": "higher_is_better"}, "max_decrease"),
        ({"metric": "error_rate", "max_decrease": 0.1, "direction": "lower_is_better"}, "max_increase"),
        ({"metric": "error_rate", "max": 0.1, "direction": "up"}, "direction"),
        ({"metric": "error_rate", "max_increas": 0.1}, "did you mean 'max_increase'"),
        ({"max": 0.1}, "name of a metric"),
    ],
)
def test_a_gate_that_is_built_wrong_says_how_to_build_it(wrong, says):
    """One sentence with the remedy, when the gate is written and not when it is judged."""
    with pytest.raises(ValueError, match=says.replace("*", r"\*")):
        Gate.of(wrong)
