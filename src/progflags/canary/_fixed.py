"""
One look, with the tests of the literature: Fisher, Mann-Whitney U, Welch, the exact binomial.

Honest for one look only: repeated at every tick they roll back four to five times as many healthy candidates as alpha
says, which is why "sequential" is the default. Margins are built into the tests (the baseline is stretched by what is
tolerated), alpha is divided over the critical gates by weight.

Source: Fisher (1935); Mann & Whitney (1947); Hodges & Lehmann (1963); Welch (1947); all as scipy has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import Any

from progflags.canary._claims import Claim, claims
from progflags.canary._config import CanaryConfig
from progflags.canary._exact import at_least, at_most, conditional_p
from progflags.canary._gate import Gate
from progflags.canary._outcome import CanaryReport
from progflags.canary._series import Series, outcomes, series_for
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision, Kind, Policy, Severity

__all__ = ["fisher", "fixed", "hodges_lehmann", "lift_interval", "mann_whitney", "welch"]


def fisher(x_c: int, n_c: int, x_b: int, n_b: int, alternative: str = "two-sided") -> float:
    """Fisher's exact p-value; "greater": the candidate's rate is higher. Source: scipy.stats.fisher_exact."""
    from scipy.stats import fisher_exact

    found: Any = fisher_exact([[x_c, n_c - x_c], [x_b, n_b - x_b]], alternative=alternative)
    return float(found[1])


def mann_whitney(canary: Sequence[float], baseline: Sequence[float], alternative: str = "two-sided") -> tuple[float, float]:
    """(U, p) of the rank-sum test, exact where scipy's automatic choice says so. Source: scipy.stats.mannwhitneyu."""
    from scipy.stats import mannwhitneyu

    u, p = mannwhitneyu(canary, baseline, alternative=alternative)
    return float(u), float(p)


def welch(canary: Sequence[float], baseline: Sequence[float], alternative: str = "two-sided") -> float:
    """The p-value of Welch's unequal-variance t-test. Source: scipy.stats.ttest_ind."""
    from scipy.stats import ttest_ind

    found: Any = ttest_ind(canary, baseline, equal_var=False, alternative=alternative)
    return float(found.pvalue)


def hodges_lehmann(canary: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """
    (shift, lower, upper): the median of all pairwise differences and its rank-based interval.

    Beyond two million pairs both sides are thinned evenly; the interval then is a little wider than it could be.

    Source: Hodges & Lehmann (1963); interval from the normal approximation of U, as R's wilcox.test(conf.int=TRUE).
    """
    import numpy as np
    from scipy.stats import norm

    c, b = (np.sort(np.asarray(values, dtype=float)) for values in (canary, baseline))
    step = max(1, math.ceil(math.sqrt(len(c) * len(b) / 2_000_000)))
    c, b = c[::step], b[::step]
    differences = np.sort((c[:, None] - b[None, :]).ravel())
    m, n = len(c), len(b)
    spread = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(m * n * (m + n + 1) / 12)
    cut = max(0, min(math.floor(m * n / 2 - spread), m * n - 1))
    return float(np.median(differences)), float(differences[cut]), float(differences[m * n - 1 - cut])


def fixed(config: CanaryConfig, gates: Sequence[Gate], baseline: Mapping[str, Any], canary: Mapping[str, Any]) -> CanaryReport:
    """The report of one look at both sides."""
    weights = sum(gate.weight for gate in gates if gate.critical) or 1.0
    findings = []
    for gate in gates:
        alpha = config.alpha * (gate.weight / weights if gate.critical else 1.0)
        b, c = (outcomes(gate, series_for(gate, side)) for side in (baseline, canary))
        several = claims(gate)
        found = [_finding(config, claim, alpha / len(several), b, c) for claim in several]
        findings.append(min(found, key=lambda one: (_RANK[one.decision], one.p_value if one.p_value is not None else 2.0)))
    decision, reason = Decision.PASS, f"{len(findings)} gates passed"
    for wanted in (Decision.HOLD, Decision.ROLLBACK):
        worst = next((finding for finding in findings if finding.decision == wanted), None)
        if worst is not None:
            decision, reason = wanted, worst.reason
    return CanaryReport.of(Verdict(decision, reason, tuple(findings)), method="fixed", alpha=config.alpha)


_RANK = {Decision.ROLLBACK: 0, Decision.HOLD: 1, Decision.PASS: 2}


def _finding(config: CanaryConfig, claim: Claim, alpha: float, b: Series | None, c: Series | None) -> MetricResult:
    wrong = _unfit(claim, b, c)
    values = [None if series is None or not series.n or wrong else _value(claim, series) for series in (b, c)]
    p = _p_value(claim, b, c, config.alternative) if values[1] is not None and (values[0] is not None or not claim.relative) else None
    decision, reason = (Decision.HOLD, wrong) if wrong else _decide(config, claim, alpha, (b, c), (values[0], values[1]), p)
    effect = _effect(values[0], values[1])
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
        p_value=p,
        evidence=None,
        evidence_max=None,
        threshold=None,
        n=n_b + n_c,
        batches=1,
        reason=reason,
        gate=f"{claim.gate.metric} {claim.bound} {claim.limit:g}",
        n_baseline=n_b,
        n_canary=n_c,
        _interval=lambda: _interval(claim, b, c, values[0], 1 - config.alpha),
    )


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
        return ordered[max(1, math.ceil((claim.gate.quantile or 0.5) * len(ordered) - 1e-9)) - 1]
    return math.fsum(values) / len(values)


def _effect(baseline: float | None, canary: float | None) -> float | None:
    if baseline is None or canary is None:
        return None
    if baseline == 0:
        return 0.0 if canary == 0 else math.inf
    return canary / baseline - 1


def _p_value(claim: Claim, b: Series | None, c: Series | None, alternative: str) -> float:
    """The p-value of "within the bound"; two-sided where any difference counts."""
    assert c is not None
    way = ("greater" if claim.up else "less") if alternative == "worse" else "two-sided"
    if c.rates:
        x, n = c.pooled.events, c.pooled.base
        if not claim.relative:
            return at_least(x, n, claim.limit) if claim.up else at_most(x, n, claim.limit)
        assert b is not None
        other = b.pooled
        whole = all(float(value).is_integer() for value in (x, n, other.events, other.base))
        if claim.limit == 0 and whole and c.pooled.trials is not None:
            return fisher(int(x), int(n), int(other.events), int(other.base), way)
        p = conditional_p(claim.null, claim.up, (x, n, other.events, other.base))
        return p if way != "two-sided" else min(1.0, 2 * p)
    values = c.flat
    if claim.kind == Kind.QUANTILE and not claim.relative:
        beyond, tail = sum(value > claim.limit for value in values), 1 - (claim.gate.quantile or 0.5)
        return at_least(beyond, len(values), tail) if claim.up else at_most(beyond, len(values), tail)
    if not claim.relative:
        from scipy.stats import ttest_1samp

        found: Any = ttest_1samp(values, claim.limit, alternative=way) if len(values) > 1 else None
        return 1.0 if found is None or math.isnan(found.pvalue) else float(found.pvalue)
    assert b is not None
    tolerated = [value * claim.null for value in b.flat] if claim.limit else b.flat
    p = mann_whitney(values, tolerated, way)[1] if claim.kind == Kind.QUANTILE else _welch_or_one(values, tolerated, way)
    return 1.0 if math.isnan(p) else p


def _welch_or_one(values: Sequence[float], others: Sequence[float], way: str) -> float:
    if len(values) < 2 or len(others) < 2 or (len(set(values)) == 1 and len(set(others)) == 1):
        return 1.0 if len(values) < 2 or len(others) < 2 or values[0] == others[0] else _certain(values[0] > others[0], way)
    return welch(values, others, way)


def _certain(higher: bool, way: str) -> float:
    """Two constants: no variance, no doubt."""
    return 0.0 if way == "two-sided" or (way == "greater") == higher else 1.0


def _interval(claim: Claim, b: Series | None, c: Series | None, baseline: float | None, confidence: float) -> tuple[float, float] | None:
    """Of the effect. Samples: the Hodges-Lehmann interval over the baseline (means: the lift's own); rates: Katz's for a ratio."""
    if b is None or c is None or not b.n or not c.n or not baseline:
        return None
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    if c.rates and b.rates:
        x_c, n_c, x_b, n_b = c.pooled.events, c.pooled.base, b.pooled.events, b.pooled.base
        if not x_c or not x_b:
            return None
        shares = 0.0 if c.pooled.trials is None else 1 / n_c + 1 / n_b  # counts per exposure have no complement
        spread = z * math.sqrt(max(0.0, 1 / x_c + 1 / x_b - shares))
        ratio = (x_c / n_c) / (x_b / n_b)
        return ratio * math.exp(-spread) - 1, ratio * math.exp(spread) - 1
    values, others = c.flat, b.flat
    if claim.kind == Kind.QUANTILE:
        _, low, high = hodges_lehmann(values, others, confidence)
        return low / baseline, high / baseline
    if len(values) < 2 or len(others) < 2:
        return None
    return lift_interval(values, others, confidence)


def lift_interval(canary: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """
    The interval of the relative lift of the mean, candidate over control minus 1: with both arms' noise, and Welch's degrees of freedom.

    Dividing the interval of the difference by the control's mean instead would take that mean for known, and be far too short
    where the control is noisy.

    Source: the delta method for a quotient of means; checked against GrowthBook's published cases to 1e-5.
    """
    from scipy.stats import t

    (n_c, c, v_c), (n_b, b, v_b) = ((len(side), fmean(side), variance(side) / len(side)) for side in (canary, baseline))
    if not v_c + v_b:
        return c / b - 1, c / b - 1
    freedom = (v_c + v_b) ** 2 / (v_c**2 / (n_c - 1) + v_b**2 / (n_b - 1))
    half = float(t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(v_c + v_b * (c / b) ** 2) / abs(b)
    return c / b - 1 - half, c / b - 1 + half


def _decide(  # noqa: PLR0917 - one row of the table
    config: CanaryConfig,
    claim: Claim,
    alpha: float,
    sides: tuple[Series | None, Series | None],
    values: tuple[float | None, float | None],
    p: float | None,
) -> tuple[Decision, str]:
    metric = claim.gate.metric
    for name, series, value in (("baseline", sides[0], values[0]), ("canary", sides[1], values[1])):
        if series is not None and series.spoiled:
            return Decision.HOLD, f"{metric}: {series.dropped} values of the {name} are not finite or negative, more than 1 %"
        if value is None and (name == "canary" or claim.relative):
            return Decision.HOLD, f"{metric}: no data in the {name}"
    assert p is not None
    assert values[1] is not None
    effect = _effect(values[0], values[1])
    size = "" if effect is None else f" ({effect:+.1%})"
    what = f"{metric} is {values[1]:.4g}" + ("" if values[0] is None else f" against {values[0]:.4g}{size}")
    if p < alpha and (config.alternative == "worse" or _beyond(claim, values)):
        if claim.gate.critical:
            return Decision.ROLLBACK, f"{what}: p = {p:.2g} where {alpha:.2g} decides"
        return Decision.HOLD, f"{what}: p = {p:.2g}; a warning, so nothing is rolled back"
    short = [name for name, s in (("baseline", sides[0]), ("canary", sides[1])) if s is not None and s.n < config.min_samples]
    if short and not any(rate.trials is None for s in sides if s is not None for rate in s.rates):
        return Decision.HOLD, f"{metric}: fewer than {config.min_samples} samples in the {' and the '.join(short)}"
    if claim.gate.policy != Policy.NO_ALARM and claim.gate.anomaly is None and _beyond(claim, values):
        return Decision.HOLD, f"{what}, beyond the bound, though one look can't tell it from chance (p = {p:.2g})"
    return Decision.PASS, f"{what}; p = {p:.2g}"


def _beyond(claim: Claim, values: tuple[float | None, float | None]) -> bool:
    baseline, canary = values
    assert canary is not None
    bar = claim.limit if not claim.relative else claim.null * (baseline or 0.0)
    return canary > bar + 1e-12 if claim.up else canary < bar - 1e-12
