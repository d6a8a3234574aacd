"""
One look, with the tests of the literature: Fisher, Welch, the exact binomial, and for a quantile the exceedances of the control's.

Honest for one look only: repeated at every tick they roll back four to five times as many healthy candidates as alpha
says, which is why "sequential" is the default. Margins are built into the tests (the baseline is stretched by what is
tolerated), alpha is divided over the critical gates by weight.

Source: Fisher (1935); Mathisen (1943); Welch (1947); Mann & Whitney (1947); Hodges & Lehmann (1963); as scipy has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist, fmean, variance
from typing import Any

from progflags.canary._config import CanaryConfig
from progflags.canary._gate import Gate
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision, Kind, Policy, Severity
from progflags.canary.judging import change, moved, odds, quantity
from progflags.canary.report import CanaryReport
from progflags.canary.samples import Series, dropped_of, outcomes, series_for
from progflags.canary.sequential import Claim, at_least, at_most, claims, conditional_p

__all__ = ["exceedance", "fisher", "fixed", "hodges_lehmann", "lift_interval", "mann_whitney", "welch"]


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
    """
    The p-value of Welch's unequal-variance t-test; NaN where nothing varies or differs.

    Source: Welch (1947); checked against scipy's, which is not called because it loses digits, and warns, where values hardly vary.
    """
    (n_c, c, v_c), (n_b, b, v_b) = ((len(side), fmean(side), variance(side) / len(side)) for side in (canary, baseline))
    return _t_test(c - b, v_c + v_b, _freedom((n_c, v_c), (n_b, v_b)), alternative)


def _freedom(canary: tuple[int, float], baseline: tuple[int, float]) -> float:
    """Welch's degrees of freedom, of each side's size and the variance of its mean; by its part, whose square can't vanish."""
    (n_c, v_c), (n_b, v_b) = canary, baseline
    part = v_c / (v_c + v_b) if v_c + v_b else 0.5
    return 1 / (part**2 / (n_c - 1) + (1 - part) ** 2 / (n_b - 1))


def _t_test(difference: float, variance: float, freedom: float, alternative: str) -> float:
    from scipy.stats import t

    if not variance:
        return _certain(difference > 0, alternative) if difference else math.nan
    z = difference / math.sqrt(variance)
    tail = {"greater": t.sf(z, freedom), "less": t.cdf(z, freedom), "two-sided": 2 * t.sf(abs(z), freedom)}
    return float(tail[alternative])


def hodges_lehmann(canary: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """
    (shift, lower, upper): the median of all pairwise differences and its rank-based interval.

    Beyond two million pairs both sides are thinned evenly; the interval then is a little wider than it could be.

    Source: Hodges & Lehmann (1963); interval from the normal approximation of U, as R's wilcox.test(conf.int=TRUE).
    """
    import numpy as np

    c, b = (np.sort(np.asarray(values, dtype=float)) for values in (canary, baseline))
    step = max(1, math.ceil(math.sqrt(len(c) * len(b) / 2_000_000)))
    c, b = c[::step], b[::step]
    differences = np.sort((c[:, None] - b[None, :]).ravel())
    m, n = len(c), len(b)
    spread = _z(confidence) * math.sqrt(m * n * (m + n + 1) / 12)
    cut = max(0, min(math.floor(m * n / 2 - spread), m * n - 1))
    return float(np.median(differences)), float(differences[cut]), float(differences[m * n - 1 - cut])


def _z(confidence: float) -> float:
    """So many standard deviations either way hold that share of a normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


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


def _finding(config: CanaryConfig, claim: Claim, alpha: float, b: Series | None, c: Series | None) -> MetricResult:
    wrong = _unfit(claim, b, c)
    values = [None if series is None or not series.n or wrong else _value(claim, series) for series in (b, c)]
    p = _p_value(claim, b, c, config.alternative) if values[1] is not None and (values[0] is not None or not claim.relative) else None
    decision, reason = (Decision.HOLD, wrong) if wrong else _decide(config, claim, alpha, (b, c), (values[0], values[1]), p)
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
        level=claim.gate.quantile,
        unit=claim.unit if claim.kind in {Kind.QUANTILE, Kind.MEAN} else "",
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
        return ordered[_rank(claim.gate.quantile or 0.5, len(ordered)) - 1]
    return math.fsum(values) / len(values)


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
        if len(values) < 2:
            return 1.0
        p = _t_test(fmean(values) - claim.limit, variance(values) / len(values), len(values) - 1, way)
        return 1.0 if math.isnan(p) else p
    assert b is not None
    if claim.kind == Kind.QUANTILE and claim.gate.quantile is None:
        return mann_whitney(values, [value * claim.null for value in b.flat], way)[1]
    if claim.kind == Kind.QUANTILE:
        return exceedance(values, b.flat, claim.gate.quantile or 0.5, claim.null, way)
    null = claim.null_at(math.fsum(b.flat))
    tolerated = [value * null for value in b.flat] if claim.limit else b.flat
    p = _welch_or_one(values, tolerated, way)
    return 1.0 if math.isnan(p) else p


def exceedance(
    canary: Sequence[float], baseline: Sequence[float], quantile: float, stretch: float = 1.0, alternative: str = "greater"
) -> float:
    """
    The p-value of "the canary's quantile is no more than `stretch` times the baseline's", exact; "less": no less than it.

    The baseline's quantile is its k-th value in order. How many of the canary are beyond it, stretched, is held against the n - k of
    the baseline that are by rank: by Fisher's test, for that count is hypergeometric where both are alike. Ties count for the canary.

    Source: Mathisen, Annals of Mathematical Statistics 14(2), 1943; Gastwirth, Journal of the American Statistical Association 63, 1968.
    """
    k = _rank(quantile, len(baseline))
    bar = sorted(baseline)[k - 1] * stretch
    above, below = sum(value > bar for value in canary), sum(value < bar for value in canary)
    more = fisher(above, len(canary), len(baseline) - k, len(baseline), "greater")
    fewer = fisher(below, len(canary), k - 1, len(baseline), "greater")
    return min(1.0, 2 * min(more, fewer)) if alternative == "two-sided" else more if alternative == "greater" else fewer


def quantile_interval(canary: Sequence[float], baseline: Sequence[float], quantile: float, confidence: float) -> tuple[float, float] | None:
    """Of the candidate's quantile over the baseline's, minus 1: the stretches that `exceedance` does not refute, half of alpha each way."""
    k, n, m = _rank(quantile, len(baseline)), len(canary), len(baseline)
    bar, ordered, alpha = sorted(baseline)[k - 1], sorted(canary), (1 - confidence) / 2
    if not bar:
        return None

    def fewest(usual: int) -> int | None:
        """The fewest of the canary beyond the bar that are too many."""
        if fisher(n, n, usual, m, "greater") >= alpha:
            return None
        low, high = 0, n
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fisher(middle, n, usual, m, "greater") < alpha else (middle, high)
        return high

    above, below = fewest(m - k), fewest(k - 1)
    return (0.0 if above is None else ordered[n - above] / bar) - 1, (math.inf if below is None else ordered[below - 1] / bar) - 1


def _rank(quantile: float, n: int) -> int:
    return max(1, math.ceil(quantile * n - 1e-9))


def _welch_or_one(values: Sequence[float], others: Sequence[float], way: str) -> float:
    if len(values) < 2 or len(others) < 2 or (len(set(values)) == 1 and len(set(others)) == 1):
        return 1.0 if len(values) < 2 or len(others) < 2 or values[0] == others[0] else _certain(values[0] > others[0], way)
    return welch(values, others, way)


def _certain(higher: bool, way: str) -> float:
    """Two constants: no variance, no doubt."""
    return 0.0 if way == "two-sided" or (way == "greater") == higher else 1.0


def _interval(claim: Claim, b: Series | None, c: Series | None, baseline: float | None, confidence: float) -> tuple[float, float] | None:
    """Of the effect. Quantiles: by inversion of their test; means: the lift's own; rates: Katz's for a ratio."""
    if b is None or c is None or not b.n or not c.n or not baseline:
        return None
    z = _z(confidence)
    if c.rates and b.rates:
        x_c, n_c, x_b, n_b = c.pooled.events, c.pooled.base, b.pooled.events, b.pooled.base
        if not x_c or not x_b:
            return None
        shares = 0.0 if c.pooled.trials is None else 1 / n_c + 1 / n_b  # counts per exposure have no complement
        spread = z * math.sqrt(max(0.0, 1 / x_c + 1 / x_b - shares))
        ratio = (x_c / n_c) / (x_b / n_b)
        return ratio * math.exp(-spread) - 1, ratio * math.exp(spread) - 1
    values, others = c.flat, b.flat
    if claim.kind == Kind.QUANTILE and claim.gate.quantile is None:
        _, low, high = hodges_lehmann(values, others, confidence)
        return low / baseline, high / baseline
    if claim.kind == Kind.QUANTILE:
        return quantile_interval(values, others, claim.gate.quantile or 0.5, confidence)
    if len(values) < 2 or len(others) < 2:
        return None
    low, high = lift_interval(values, others, confidence)
    return (low, high) if baseline > 0 else (-high, -low)  # of two means below 0 the quotient falls as the mean rises


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
    freedom = _freedom((n_c, v_c), (n_b, v_b))
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
    effect = change(values[0], values[1])
    size = f" ({how})" if (how := moved(effect, values[0])) else ""
    canary, baseline = (quantity(claim.kind, value, claim.unit) for value in (values[1], values[0]))
    named = metric if claim.kind != Kind.QUANTILE or claim.gate.quantile else f"the median of {metric}"
    what = f"{named} is {canary}" + ("" if values[0] is None else f" against {baseline}{size}")
    chance = f"{odds(1 / max(p, 1e-300))} by chance"
    if p < alpha and (config.alternative == "worse" or _beyond(claim, values)):
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


def _beyond(claim: Claim, values: tuple[float | None, float | None]) -> bool:
    baseline, canary = values
    assert canary is not None
    bar = claim.limit if not claim.relative else claim.null_at(baseline or 0.0) * (baseline or 0.0)
    return canary > bar + 1e-12 if claim.up else canary < bar - 1e-12
