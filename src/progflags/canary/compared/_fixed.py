"""
One look, with the tests of the literature: Fisher, Welch, the exact binomial, and for a quantile the exceedances of the control's.

Honest for one look only: repeated at every tick they roll back four to five times as many healthy candidates as alpha
says, which is why "sequential" is the default. Margins are built into the tests (the baseline is stretched by what is
tolerated), alpha is divided over the critical gates by weight.

The tests and their sources: `_tests`; what each says of a claim, and the interval that is the same test turned round: `_turned`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from progflags.canary._config import CanaryConfig
from progflags.canary._gate import Gate
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision, Kind, Policy, Severity
from progflags.canary.compared._tests import rank
from progflags.canary.compared._turned import interval, p_value
from progflags.canary.judging import change, moved, odds, quantity, reconciled
from progflags.canary.report import CanaryReport
from progflags.canary.samples import Series, dropped_of, outcomes, series_for
from progflags.canary.sequential import Claim, claims

__all__ = ["fixed"]


def fixed(config: CanaryConfig, gates: Sequence[Gate], baseline: Mapping[str, Any], canary: Mapping[str, Any]) -> CanaryReport:
    """The report of one look at both sides."""
    weights = sum(gate.weight for gate in gates if gate.critical) or 1.0
    findings, pairs = [], []
    for gate in gates:
        alpha = config.alpha * (gate.weight / weights if gate.critical else 1.0)
        b, c = (outcomes(gate, series_for(gate, side)) for side in (baseline, canary))
        pairs.append((gate, b, c))
        several = _claims(gate)
        # A two-sided test that looks both ways is one test.
        tests = len({claim.bound if not claim.relative or config.alternative == "worse" else "either" for claim in several})
        found = [replace(_finding(config, claim, alpha / tests, b, c), metric=gate.metric) for claim in several]
        findings.append(min(found, key=lambda one: (_RANK[one.decision], one.p_value if one.p_value is not None else 2.0)))
    decision, reason = Decision.PASS, f"{len(findings)} gate{'' if len(findings) == 1 else 's'} passed"
    for wanted in (Decision.HOLD, Decision.ROLLBACK):
        worst = next((finding for finding in findings if finding.decision == wanted), None)
        if worst is not None:
            decision, reason = wanted, worst.reason
    return CanaryReport.of(Verdict(decision, reason, tuple(findings), notes=dropped_of(pairs)), method="fixed", alpha=config.alpha)


def _claims(gate: Gate) -> tuple[Claim, ...]:
    """As everywhere; but `latency` against the control is one claim about the whole distribution, for Mann-Whitney's test."""
    found = claims(gate)
    if len(gate.each) == 1:
        return found
    compared = {claim.bound: replace(claim, name=f"{gate.metric} {claim.bound}", gate=gate) for claim in found if claim.relative}
    return (*(claim for claim in found if not claim.relative), *compared.values())


_RANK = {Decision.ROLLBACK: 0, Decision.HOLD: 1, Decision.PASS: 2}


@dataclass(frozen=True, slots=True)
class _Held:
    """Control and candidate held against one another: their data, their values, and the p-value of "within the bound"."""

    sides: tuple[Series | None, Series | None]
    values: tuple[float | None, float | None]
    p: float | None


def _finding(config: CanaryConfig, claim: Claim, alpha: float, b: Series | None, c: Series | None) -> MetricResult:
    wrong = _unfit(claim, b, c)
    values = [None if series is None or not series.n or wrong else _value(claim, series) for series in (b, c)]
    way = ("greater" if claim.up else "less") if config.alternative == "worse" else "two-sided"
    known = c is not None and values[1] is not None and (values[0] is not None or not claim.relative)
    held = _Held((b, c), (values[0], values[1]), p_value(claim, b, c, way) if c is not None and known else None)
    decision, reason = (Decision.HOLD, wrong) if wrong else _decide(config, claim, alpha, held)
    effect = change(values[0], values[1])
    n_b, n_c = (0 if series is None else int(series.n) for series in (b, c))
    return MetricResult(
        metric=claim.gate.metric,
        kind=claim.kind,
        passed=decision == Decision.PASS,
        decision=decision,
        severity=Severity(claim.gate.severity),
        baseline=values[0],
        canary=values[1],
        effect=effect,
        p_value=held.p,
        evidence=None,
        evidence_max=None,
        threshold=None,
        n=n_b + n_c,
        batches=1,
        reason=reason,
        gate=f"{claim.gate.metric} {claim.bound} {claim.limit:g}",
        n_baseline=n_b,
        n_canary=n_c,
        level=claim.gate.quantile,
        unit=claim.unit if claim.kind in {Kind.QUANTILE, Kind.MEAN} else "",
        _interval=lambda: None if wrong else _interval(config, claim, alpha, held),
    )


def _interval(config: CanaryConfig, claim: Claim, alpha: float, held: _Held) -> tuple[float, float] | None:
    """One-sided at alpha either way, as the test is; two-sided half of it. The bound lies outside exactly where it was refuted."""
    level = alpha if config.alternative == "worse" else alpha / 2
    ends = interval(claim, *held.sides, (level, level))
    bound = claim.limit if claim.up or not claim.relative else -claim.limit
    broken = held.p is not None and _broken(config, claim, alpha, held.values, held.p)
    return None if ends is None else reconciled(ends, bound, up=claim.up, broken=broken)


def _unfit(claim: Claim, b: Series | None, c: Series | None) -> str:
    """Why the sides can't be held against one another; empty when they can. A quantile or a mean is of values, a rate of one thing."""
    rated = [bool(series.rates) for series in (b, c) if series is not None and series.n]
    if any(rated) and claim.kind in {Kind.QUANTILE, Kind.MEAN}:
        return f"{claim.gate.metric}: a {claim.kind} is of numbers, and a rate is none"
    return "" if len(set(rated)) < 2 else f"{claim.gate.metric}: a rate on one side and numbers on the other"


def _value(claim: Claim, series: Series) -> float:
    if series.rates:
        return series.pooled.value
    values = series.flat
    if claim.kind == Kind.QUANTILE:
        ordered = sorted(values)
        return ordered[rank(claim.gate.quantile or 0.5, len(ordered)) - 1]
    return math.fsum(values) / len(values)


def _decide(config: CanaryConfig, claim: Claim, alpha: float, held: _Held) -> tuple[Decision, str]:
    sides, values, p = held.sides, held.values, held.p
    metric = claim.gate.metric
    for name, series, value in (("baseline", sides[0], values[0]), ("canary", sides[1], values[1])):
        if series is not None and series.spoiled:
            return Decision.HOLD, f"{metric}: {series.dropped} values of the {name} are not finite or negative, more than 1 %"
        if value is None and (name == "canary" or claim.relative):
            return Decision.HOLD, f"{metric}: no data in the {name}"
    assert p is not None
    assert values[1] is not None
    effect = change(values[0], values[1])
    size = f" ({how})" if (how := moved(effect, values[0])) else ""
    canary, baseline = (quantity(claim.kind, value, claim.unit) for value in (values[1], values[0]))
    named = metric if claim.kind != Kind.QUANTILE or claim.gate.quantile else f"the median of {metric}"
    what = f"{named} is {canary}" + ("" if values[0] is None else f" against {baseline}{size}")
    chance = f"{odds(1 / max(p, 1e-300))} by chance"
    if _broken(config, claim, alpha, values, p):
        if claim.gate.critical:
            return Decision.ROLLBACK, f"{what}: {chance}; {odds(1 / alpha)} decides"
        return Decision.HOLD, f"{what}: {chance}; a warning, so nothing is rolled back"
    short = [name for name, s in (("baseline", sides[0]), ("canary", sides[1])) if s is not None and s.n < config.min_samples]
    if short and not any(rate.trials is None for s in sides if s is not None for rate in s.rates):
        return Decision.HOLD, f"{metric}: fewer than {config.min_samples} samples in the {' and the '.join(short)}"
    if claim.kind == Kind.MEAN and claim.relative and not values[0] and not values[1] and not any(s and any(s.flat) for s in sides):
        return Decision.HOLD, f"{metric}: every value on both sides is 0, so nothing could have been seen"
    if claim.gate.policy != Policy.NO_ALARM and claim.gate.anomaly is None and _beyond(claim, values):
        return Decision.HOLD, f"{what}, beyond the bound, though one look can't tell it from chance ({chance})"
    return Decision.PASS, f"{what}: {chance}"


def _broken(config: CanaryConfig, claim: Claim, alpha: float, values: tuple[float | None, float | None], p: float) -> bool:
    return p < alpha and (config.alternative == "worse" or _beyond(claim, values))


def _beyond(claim: Claim, values: tuple[float | None, float | None]) -> bool:
    baseline, canary = values
    assert canary is not None
    bar = claim.limit if not claim.relative else claim.null_at(baseline or 0.0) * (baseline or 0.0)
    return canary > bar + 1e-12 if claim.up else canary < bar - 1e-12
