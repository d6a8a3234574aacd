"""Count, test, judge: is the candidate worse than the control, and may one believe it yet?"""

from __future__ import annotations

from progflags.canary._analyzer import CanaryAnalyzer
from progflags.canary._config import CanaryConfig
from progflags.canary._gate import Gate
from progflags.canary._grammar import parse_gate
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision, Kind, Policy, Severity
from progflags.canary.counting import Pool, Recorder, Sample, Summed, Totals, Window, explicit, exponential
from progflags.canary.judging import (
    Foreseen,
    Prospect,
    asked,
    bounded,
    foresee,
    judge,
    next_asked,
    prospects,
    requests_to_detect,
    requests_to_prove,
    ruled_out,
    scatter,
    smallest_detectable,
    whole,
)
from progflags.canary.report import CanaryReport
from progflags.canary.samples import Rate
from progflags.canary.sequential import Evidence, clipped, cuped, fresh_levels, level_test, slope_of

#: What an analysis decides: the same three words as a rollout's verdict.
CanaryDecision = Decision

__all__ = [
    "CanaryAnalyzer",
    "CanaryConfig",
    "CanaryDecision",
    "CanaryReport",
    "Decision",
    "Evidence",
    "Foreseen",
    "Gate",
    "Kind",
    "MetricResult",
    "Policy",
    "Pool",
    "Prospect",
    "Rate",
    "Recorder",
    "Sample",
    "Severity",
    "Summed",
    "Totals",
    "Verdict",
    "Window",
    "asked",
    "bounded",
    "clipped",
    "cuped",
    "explicit",
    "exponential",
    "foresee",
    "fresh_levels",
    "judge",
    "level_test",
    "next_asked",
    "parse_gate",
    "prospects",
    "requests_to_detect",
    "requests_to_prove",
    "ruled_out",
    "scatter",
    "slope_of",
    "smallest_detectable",
    "whole",
]
