"""A verdict: the decision, its reason in one sentence, and a finding per metric with the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from progflags._json import digest
from progflags._printed import printable
from progflags.canary._words import Decision, Kind, Severity

__all__ = ["MetricResult", "Verdict", "searched"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class MetricResult:
    """
    What was found about one metric.

    `baseline` and `canary` are the arms' estimates (a share, seconds, a mean; None: no data), `effect` is candidate over
    control minus 1. `interval` bounds it, or for an absolute gate the candidate's own value, and is made of the gate's tests turned
    round: each end is one-sided, at the level at which its test decides, so the bound lies before it exactly where the gate was broken
    (see the page on verdicts). It holds at every look, of the method "fixed" at one. `evidence` is the wealth of the test against the
    gate now, `evidence_max` the most it ever was (or what a planned look saw that decided): it decides at `threshold`.
    `p_value` is always valid: min(1, 1/evidence_max). `n` counts observations of both arms, `n_baseline` and `n_canary` each.
    `detectable` is the smallest regression, as a fraction, that would have been caught by now with 80 % power; `proven`, whether
    the opposite of a regression is.
    `design_effect`: how many of these requests one independent request is worth, for requests of one user go together (None: not
    compared, or of an absolute gate nobody knows whose they are; 1: each is a witness of its own).
    `level`: of a quantile, which one decided.
    `unit`: what values are measured in, as UCUM has it ("s", "By"); empty for rates, and where nobody said.

        for name, found in analyzer.analyze(baseline, canary).results.items():
            print(name, found.decision, found.baseline, found.canary, found.interval, found.reason)
    """

    metric: str
    kind: Kind
    passed: bool
    decision: Decision
    severity: Severity
    baseline: float | None
    canary: float | None
    effect: float | None
    p_value: float | None
    evidence: float | None
    evidence_max: float | None
    threshold: float | None
    n: int
    batches: int
    reason: str
    gate: str = ""
    n_baseline: int = 0
    n_canary: int = 0
    proven: bool = False
    eta: float | None = None
    design_effect: float | None = None
    level: float | None = None
    unit: str = ""
    _interval: Callable[[], Interval | None] = field(default=lambda: None, repr=False, compare=False)
    _detectable: Callable[[], float | None] = field(default=lambda: None, repr=False, compare=False)

    @cached_property
    def interval(self) -> Interval | None:
        """Bounds of `effect`, or of `canary` where the gate is absolute; computed when first asked for, from the same totals."""
        return self._interval()

    @cached_property
    def detectable(self) -> float | None:
        """The smallest regression, as a fraction, that would have been caught by now with 80 % power; None: not even ×50."""
        return self._detectable()

    def to_dict(self, *, brief: bool = False) -> dict[str, Any]:
        """Plain JSON values; what is infinite or not a number is null. `brief`: without what takes a search, see `searched`."""
        return {
            "metric": self.metric,
            "gate": self.gate,
            "kind": str(self.kind),
            "passed": self.passed,
            "decision": str(self.decision),
            "severity": str(self.severity),
            "baseline": _finite(self.baseline),
            "canary": _finite(self.canary),
            "effect": _finite(self.effect),
            "p_value": _finite(self.p_value),
            "evidence": _finite(self.evidence),
            "evidence_max": _finite(self.evidence_max),
            "threshold": _finite(self.threshold),
            "proven": self.proven,
            "n": self.n,
            "n_baseline": self.n_baseline,
            "n_canary": self.n_canary,
            "batches": self.batches,
            "eta": _finite(self.eta),
            "design_effect": _finite(self.design_effect),
            **({} if self.level is None else {"level": self.level}),
            **({"unit": self.unit} if self.unit else {}),
            "reason": self.reason,
            **({} if brief else searched(self.interval, self.detectable)),
        }


def searched(interval: Interval | None, detectable: float | None) -> dict[str, Any]:
    """What of a finding is found by searching, and so only when somebody asks: as plain JSON values."""
    return {
        "interval": None if interval is None else [_finite(interval[0]), _finite(interval[1])],
        "detectable": _finite(detectable),
    }


@dataclass(frozen=True)
class Verdict:
    """
    One judgement. `findings` in the order of the gates; `eta` seconds until a HOLD could become a PASS at this traffic.

    `integrity` holds the checks of the data itself: sample ratio, dispersion, negative control, rejected values. `notes`
    are sentences for whoever reads: what these checks advise, and which of many warnings to take seriously.
    """

    decision: Decision
    reason: str
    findings: tuple[MetricResult, ...] = ()
    eta: float | None = None
    integrity: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _body: Callable[[], Any] = field(default=lambda: None, repr=False, compare=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the evidence and the gates it was judged by: what a replay must arrive at."""
        return digest(self._body())

    def to_dict(self, *, brief: bool = False) -> dict[str, Any]:
        """Plain JSON values. `brief` leaves out of the findings what takes a search: `whole` finds it again in the evidence."""
        return {
            "decision": str(self.decision),
            "reason": self.reason,
            "eta": _finite(self.eta),
            "digest": self.digest,
            "integrity": {key: _finite(value) if isinstance(value, float) else value for key, value in self.integrity.items()},
            "notes": list(self.notes),
            "findings": [finding.to_dict(brief=brief) for finding in self.findings],
        }

    def __str__(self) -> str:
        return printable(f"{self.decision}: {self.reason}")


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
