"""
Has anything changed since everybody has it? The watch after 100 %, held against the control as it was before.

There is no control arm any more, so this is a comparison in time: it finds changes, not causes. A Monday, a campaign or
another team's release look the same. It therefore warns, in so many words, and never rolls back; the absolute gates do that.

Each metric is looked at whenever the candidate's count has doubled, at most some thirty times in a lifetime, and the k-th
look may spend alpha / (k (k + 1)), which adds up to alpha however long the watch is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, Final

from progflags.canary import Window

__all__ = ["Drift"]

_FIRST: Final = 1_000  # observations before the first look, and the least there must have been of the control
_TOLERATED: Final = 0.25  # what a day differs from the one before by anyway
_ALPHA: Final = 0.01

Counts = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drift:
    """
    What the control was like just before the end of the climb, and what has changed since.

    `before`: events and trials by metric. `looks`: how often each was looked at. `changes`: what was found, as sentences.
    """

    before: Mapping[str, Counts] = field(default_factory=dict)
    looks: Mapping[str, int] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, window: Window) -> Drift:
        """From the last stage's totals; metrics the control had too little of are left out."""
        return cls({metric: counts for metric, counts in _rates(window, "control").items() if counts[1] >= _FIRST and counts[0] > 0})

    def look(self, window: Window) -> Drift:
        """With the candidate's totals since everybody has it. A change once found stays found."""
        drift = self
        for metric, (events, trials) in _rates(window, "candidate").items():
            look = drift.looks.get(metric, 0)
            if metric not in drift.before or trials < _FIRST * 2**look:
                continue
            drift = replace(drift, looks={**drift.looks, metric: look + 1})
            up = metric == "error_rate"
            if _worse(drift.before[metric], (events, trials), up=up) < _ALPHA / ((look + 1) * (look + 2)):
                was, now = drift.before[metric][0] / drift.before[metric][1], events / trials
                then = f"was {was:.2%} on the control before"
                said = f"{metric} is {now:.2%} since everybody has it and {then}: a change in time, whatever its cause"
                drift = replace(drift, changes={metric: said, **drift.changes})
        return drift

    def findings(self) -> list[dict[str, Any]]:
        """The changes as findings among a verdict's: warnings, of a kind of their own."""
        return [
            {
                "metric": metric,
                "kind": "change",
                "decision": "HOLD",
                "severity": "warning",
                "passed": False,
                "causal": False,
                "evidence": None,
                "threshold": None,
                "reason": reason,
            }
            for metric, reason in self.changes.items()
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "before": {metric: list(counts) for metric, counts in self.before.items()},
            "looks": dict(self.looks),
            "changes": dict(self.changes),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Drift:
        before = {str(metric): (float(events), float(trials)) for metric, (events, trials) in body["before"].items()}
        return cls(before, {str(k): int(v) for k, v in body["looks"].items()}, {str(k): str(v) for k, v in body["changes"].items()})


def _rates(window: Window, arm: str) -> dict[str, Counts]:
    """The error rate, and the share of units that had each tracked event."""
    totals = window.candidate if arm == "candidate" else window.control
    rates = {"error_rate": (float(totals.errors), float(totals.trials))}
    rates |= {name: (float(moments.n), float(totals.units)) for name, moments in totals.events.items() if totals.units}
    return rates


def _worse(before: Counts, now: Counts, *, up: bool) -> float:
    """
    The p-value of "no worse than the tolerated stretch of what it was".

    Source: normal approximation of the log ratio of two proportions (Katz et al. 1978), one-sided; half an event is added
    to a count of nothing.
    """
    (x0, n0), (x1, n1) = before, now
    x1 = max(x1, 0.5)
    spread = math.sqrt(max(1e-12, 1 / x0 - 1 / n0 + 1 / x1 - 1 / n1))
    log_ratio = math.log((x1 / n1) / (x0 / n0)) * (1 if up else -1)
    return 1 - NormalDist().cdf((log_ratio - math.log(1 + _TOLERATED)) / spread)
