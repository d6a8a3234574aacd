"""
The tests of the literature, each for one look: Fisher, Mann and Whitney, Welch, the exceedances of a quantile.

Source: Fisher (1935); Mathisen (1943); Welch (1947); Mann & Whitney (1947); Hodges & Lehmann (1963); as scipy has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance
from typing import Any

from progflags.canary.sequential import at_least, at_most

__all__ = ["exceedance", "fisher", "freedom", "hodges_lehmann", "mann_whitney", "rank", "t_test", "tail", "welch"]


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
    return t_test(c - b, v_c + v_b, freedom((n_c, v_c), (n_b, v_b)), alternative)


def freedom(canary: tuple[int, float], baseline: tuple[int, float]) -> float:
    """Welch's degrees of freedom, of each side's size and the variance of its mean; by its part, whose square can't vanish."""
    (n_c, v_c), (n_b, v_b) = canary, baseline
    part = v_c / (v_c + v_b) if v_c + v_b else 0.5
    return 1 / (part**2 / (n_c - 1) + (1 - part) ** 2 / (n_b - 1))


def t_test(difference: float, variance: float, freedom: float, alternative: str) -> float:
    """The p-value of a difference with that variance, by Student's distribution; NaN where nothing varies or differs."""
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
    spread = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(m * n * (m + n + 1) / 12)
    cut = max(0, min(math.floor(m * n / 2 - spread), m * n - 1))
    return float(np.median(differences)), float(differences[cut]), float(differences[m * n - 1 - cut])


def exceedance(
    canary: Sequence[float], baseline: Sequence[float], quantile: float, stretch: float = 1.0, alternative: str = "greater"
) -> float:
    """
    The p-value of "the canary's quantile is no more than `stretch` times the baseline's", exact; "less": no less than it.

    The baseline's quantile is its k-th value in order. How many of the canary are beyond it, stretched, is held against the n - k of
    the baseline that are by rank: by Fisher's test, for that count is hypergeometric where both are alike. Ties count for the canary.

    Source: Mathisen, Annals of Mathematical Statistics 14(2), 1943; Gastwirth, Journal of the American Statistical Association 63, 1968.
    """
    k = rank(quantile, len(baseline))
    bar = sorted(baseline)[k - 1] * stretch
    above, below = sum(value > bar for value in canary), sum(value < bar for value in canary)
    more = fisher(above, len(canary), len(baseline) - k, len(baseline), "greater")
    fewer = fisher(below, len(canary), k - 1, len(baseline), "greater")
    return min(1.0, 2 * min(more, fewer)) if alternative == "two-sided" else more if alternative == "greater" else fewer


def rank(quantile: float, n: int) -> int:
    """Which value in order is the quantile of `n`."""
    return max(1, math.ceil(quantile * n - 1e-9))


def tail(x: float, n: float, limit: float, *, up: bool, exposed: bool = False) -> float:
    """
    The exact p-value of "at most (`up`), or at least, `limit` events a trial", of `x` in `n`; `exposed`: a unit of exposure.

    Source: the tails of the binomial, and of Poisson's distribution.
    """
    if not exposed:
        return at_least(x, n, limit) if up else at_most(x, n, limit)
    from scipy.special import gammainc, gammaincc

    if up:
        return float(gammainc(x, n * limit)) if x > 0 else 1.0
    return float(gammaincc(x + 1, n * limit))


def _certain(higher: bool, way: str) -> float:
    """Two constants: no variance, no doubt."""
    return 0.0 if way == "two-sided" or (way == "greater") == higher else 1.0
