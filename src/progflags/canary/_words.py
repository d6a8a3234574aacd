"""The words of a judgement: what is decided, how bad a finding is, what lets a gate pass, what kind of number it watches."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["LATENCY", "Decision", "Kind", "Policy", "Severity"]


LATENCY: Final = "latency"  #: the sample of how long requests took, in seconds; as a metric its tail, at several quantiles


class Decision(StrEnum):
    """
    What a judgement says: go on, wait, or back out. HOLD is a verdict with a reason, not the absence of one.

        report = analyzer.analyze(baseline, canary)
        if report.decision is pf.CanaryDecision.ROLLBACK:
            print(report.reason)
    """

    #: nothing keeps it from going on
    PASS = "PASS"  # noqa: S105 - a decision, not a password
    HOLD = "HOLD"  #: too little is known, or a warning asks to wait
    ROLLBACK = "ROLLBACK"  #: a critical gate is broken


class Severity(StrEnum):
    """How far a finding may reach: `critical` may roll back, `warning` may hold but never roll back."""

    CRITICAL = "critical"
    WARNING = "warning"


class Policy(StrEnum):
    """
    What lets a gate pass once bake and minimum samples are met.

    `no_alarm`: no evidence against it. `observed`: and the estimate is inside the bound. `detectable`: and a regression of
    `must_detect` would have been caught by now with 80 % power. `proven`: the opposite has been ruled out.
    """

    NO_ALARM = "no_alarm"
    OBSERVED = "observed"
    DETECTABLE = "detectable"
    PROVEN = "proven"


class Kind(StrEnum):
    """What sort of number a metric is; it decides which test speaks for it."""

    RATE = "rate"
    COUNT = "count"
    QUANTILE = "quantile"
    MEAN = "mean"
    GAUGE = "gauge"
