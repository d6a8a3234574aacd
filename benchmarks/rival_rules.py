"""
Rules that people use to decide about a canary, for many replicates at once: each gives the minute of its alarm, 0 for none.

All are held to the alpha of the judge in the direction that is a regression, and to the same margin. `gbstats` is the growth book's
engine: its formulas are written out here for arrays, and `disagreements` holds them against the package itself.
"""

from __future__ import annotations

import importlib
import math
import sys
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special._ufuncs import _hypergeom_cdf, _hypergeom_sf
from scipy.stats import binom, norm, t

from progflags.canary import CanaryAnalyzer, CanaryConfig, Decision, Gate

ALPHA = 0.05
KAYENTA = 50  # replicates of a cell: its intervals are slow
_TUNING = 5000  # of gbstats' sequential test: its default
_TWICE, _EVENTS = 2.0, 10  # the threshold rule

RIVALS = ("sequential", "gbstats", "gbstats once", "Fisher once", "Fisher each minute", "threshold", "Kayenta")


def rivals(counts, null, *, up, kayenta=0):
    """By name, the minutes of alarm. `counts`: x_c, n_c, x_b, n_b by (replicate, minute)."""
    whole = [part.cumsum(axis=1) for part in counts]
    exact = fisher(*whole, null, up) <= ALPHA
    sequential, once = gbstats(*whole, null, up)
    return {
        "sequential": first(z_score(*whole, null, up) > obf_bounds(whole[0].shape[1])),
        "gbstats": first(sequential),
        "gbstats once": last(once, whole[0].shape[1]),
        "Fisher once": last(exact, whole[0].shape[1]),
        "Fisher each minute": first(exact),
        "threshold": first(threshold(*whole, up)),
        "Kayenta": labelled(counts, up, kayenta),
    }


def first(fires):
    return np.where(fires.any(axis=1), fires.argmax(axis=1) + 1, 0)


def last(fires, minutes):
    """Decided once, at the end."""
    return np.where(fires[:, -1], minutes, 0)


def z_score(x_c, n_c, x_b, n_b, null, up=True):  # noqa: PLR0917 - a 2x2 table
    pooled = (x_c + x_b) / np.maximum(n_c * null + n_b, 1)
    gap = x_c / np.maximum(n_c, 1) - null * x_b / np.maximum(n_b, 1)
    spread = np.sqrt(np.maximum(pooled * null / np.maximum(n_c, 1) + null**2 * pooled / np.maximum(n_b, 1), 1e-18))
    return np.where(x_c + x_b > 0, gap / spread, 0.0) * (1 if up else -1)


@cache
def obf_bounds(looks):
    """One-sided Lan-DeMets O'Brien-Fleming bounds, by integrating the random walk on a grid."""
    spent = 2 * (1 - norm.cdf(norm.ppf(1 - ALPHA / 2) / np.sqrt(np.arange(1, looks + 1) / looks)))
    walk = np.linspace(-6, 6, 1201)
    width, step = walk[1] - walk[0], math.sqrt(1 / looks)
    kernel = norm.pdf(walk[:, None] - walk[None, :], scale=step) * width
    density, bounds, before = norm.pdf(walk, scale=step), [], 0.0
    for look in range(looks):
        if look:
            density = kernel @ density
        beyond = (density[::-1].cumsum() * width)[::-1]
        cut = min(np.searchsorted(-beyond, -(spent[look] - before)), len(walk) - 1)
        bounds.append(walk[cut] / math.sqrt((look + 1) / looks))
        density = np.where(walk >= walk[cut], 0.0, density)
        before = spent[look]
    return np.array(bounds)


def fisher(x_c, n_c, x_b, n_b, null, up=True):  # noqa: PLR0917 - likewise
    """One-sided p-values of Fisher's exact test; on a margin of the binomial test that is conditional on both arms' events."""
    k = x_c + x_b
    if null == 1:
        args = (k.astype(float), n_c.astype(float), (n_c + n_b).astype(float))
        return _hypergeom_sf(x_c - 1.0, *args) if up else _hypergeom_cdf(x_c.astype(float), *args)
    share = n_c * null / np.maximum(n_c * null + n_b, 1)
    return binom.sf(x_c - 1, k, share) if up else binom.cdf(x_c, k, share)


def gbstats(x_c, n_c, x_b, n_b, null, up=True):  # noqa: PLR0917 - likewise
    """Whether the bound of the relative difference (sequential, fixed) lies beyond the margin; half of a two-sided 2 alpha."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = x_b / n_b, x_c / n_c
        var_a, var_b = a * (1 - a), b * (1 - b)
        variance = var_b / (a**2 * n_c) + var_a * b**2 / (a**4 * n_b)
        n, alpha = n_c + n_b, 2 * ALPHA
        rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _TUNING
        wide = np.sqrt(variance * n * 2 * (n * rho2 + 1) * np.log(np.sqrt(n * rho2 + 1) / alpha) / (n**2 * rho2))
        dof = (var_b / n_c + var_a / n_b) ** 2 / ((var_b / n_c) ** 2 / (n_c - 1) + (var_a / n_b) ** 2 / (n_b - 1))
        once = t.ppf(1 - alpha / 2, dof[:, -1:]) * np.sqrt(variance[:, -1:])
        beyond = (b / a - 1 - (null - 1)) * (1 if up else -1)
        able = (var_a > 0) & (var_b > 0)
        return able & (beyond > wide), able[:, -1:] & (beyond[:, -1:] > once)


def disagreements(x_c, n_c, x_b, n_b, null, up=True):  # noqa: PLR0917 - likewise
    """(decisions, those the package itself makes otherwise) for one replicate's cumulative counts; None: it is not installed."""
    theirs = package()
    if theirs is None:
        return None
    tests, statistics = theirs
    ours, other = [part[0] for part in gbstats(*(row[None] for row in (x_c, n_c, x_b, n_b)), null, up)], 0
    for minute, row in enumerate(zip(*(part.tolist() for part in (x_c, n_c, x_b, n_b)), strict=True)):
        a, b = statistics.ProportionStatistic(n=row[3], sum=row[2]), statistics.ProportionStatistic(n=row[1], sum=row[0])
        if row[1] and row[3]:
            found = tests.SequentialTwoSidedTTest(a, b, tests.SequentialConfig(alpha=2 * ALPHA)).compute_result()
            other += _beyond(found, null, up) != ours[0][minute]
    found = tests.TwoSidedTTest(a, b, tests.FrequentistConfig(alpha=2 * ALPHA)).compute_result()
    return len(x_c) + 1, int(other + (_beyond(found, null, up) != ours[1][-1]))


def _beyond(found, null, up):
    if found.error_message:
        return False
    return bool(found.ci[0] > null - 1) if up else bool(found.ci[1] < null - 1)


@cache
def package():
    """gbstats, from beside the environment (it asks for older numbers crunchers than ours); None where it isn't."""
    beside = str(Path(sys.prefix) / "gbstats")
    if beside not in sys.path:
        sys.path.append(beside)
    try:
        return importlib.import_module("gbstats.frequentist.tests"), importlib.import_module("gbstats.models.statistics")
    except ImportError:
        return None


def threshold(x_c, n_c, x_b, n_b, up=True):
    """Twice the control's rate (or half of it), and ten events that say so."""
    c, b = (x_c, n_c, x_b, n_b), (x_b, n_b, x_c, n_c)
    x, n, others, of = c if up else b
    expected = x if up else x * n_c / np.maximum(n_b, 1)
    return (expected >= _EVENTS) & (x / np.maximum(n, 1) > _TWICE * others / np.maximum(of, 1))


def labelled(counts, up, reps):
    """Kayenta's score of what a table of metrics shows per minute, once, at the end."""
    rates = [np.where(n > 0, x / np.maximum(n, 1), 0.0)[:reps] for x, n in (counts[2:], counts[:2])]
    gate = Gate("rate", kind="mean", **({"max_increase": 0.0} if up else {"max_decrease": 0.0}))
    judge = CanaryAnalyzer(CanaryConfig([gate], method="kayenta"))
    found = (judge.analyze({"rate": b.tolist()}, {"rate": c.tolist()}).decision for b, c in zip(*rates, strict=True))
    return np.array([counts[0].shape[1] * (one == Decision.ROLLBACK) for one in found], int)
