"""Count, test, judge: is the candidate worse than the control, and may one believe it yet?"""

from __future__ import annotations

from progflags.canary._analyzer import CanaryAnalyzer
from progflags.canary._config import CanaryConfig
from progflags.canary._evidence import Evidence
from progflags.canary._gate import Gate
from progflags.canary._judge import judge, whole
from progflags.canary._means import clipped, cuped, slope_of
from progflags.canary._otel import explicit, exponential
from progflags.canary._outcome import CanaryReport
from progflags.canary._planning import Prospect, prospects, requests_to_detect, requests_to_prove, smallest_detectable
from progflags.canary._pool import Pool
from progflags.canary._rate import Rate
from progflags.canary._recorder import Recorder
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._window import Window
from progflags.canary._words import Decision, Kind, Policy, Severity

#: What an analysis decides: the same three words as a rollout's verdict.
CanaryDecision = Decision

__all__ = [
    "CanaryAnalyzer",
    "CanaryConfig",
    "CanaryDecision",
    "CanaryReport",
    "Decision",
    "Evidence",
    "Gate",
    "Kind",
    "MetricResult",
    "Policy",
    "Pool",
    "Prospect",
    "Rate",
    "Recorder",
    "Severity",
    "Verdict",
    "Window",
    "clipped",
    "cuped",
    "explicit",
    "exponential",
    "judge",
    "prospects",
    "requests_to_detect",
    "requests_to_prove",
    "slope_of",
    "smallest_detectable",
    "whole",
]
