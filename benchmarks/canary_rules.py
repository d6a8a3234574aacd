"""Rules that decide about a canary: each gives, per replicate, the look at which it raised the alarm, 0 for none."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom, mannwhitneyu, norm

from benchmarks.canary_traffic import LOOKS
from progflags.canary import Decision, Evidence, judge
from progflags.canary._kayenta import classify
from progflags.canary._sequential import grid

ALPHA, FIRST = 0.05, 5


def first(fires, since=FIRST):
    """The first look at which a rule fires, from look `since` on."""
    fires = fires.copy()
    fires[:, : since - 1] = False
    return np.where(fires.any(axis=1), fires.argmax(axis=1) + 1, 0)


def mixture(steps):
    """Running evidence of a grid of bets: log-mean-exp over the last axis of cumulated steps."""
    logs = steps.cumsum(axis=1)
    peak = logs.max(axis=2)
    return peak + np.log(np.exp(logs - peak[..., None]).mean(axis=2))


def av(x_c, n_c, x_b, n_b, null, up=True):  # noqa: PLR0917 - a 2x2 table
    excess = 1 + np.array(grid(24, 49.0))
    r = null * excess if up else null / excess
    k, scale = (x_c + x_b)[..., None], np.maximum(n_c * null + n_b, 1e-9)[..., None]
    step = x_c[..., None] * np.log(r / null) - k * np.log(np.maximum(n_c[..., None] * r + n_b[..., None], 1e-9) / scale)
    return mixture(np.where(((n_c > 0) & (n_b > 0))[..., None], step, 0.0))


def bet(x_c, n_c, x_b, n_b, null):
    rho = 1 + np.array(grid(24, 19.0))
    theta = (n_c * null / np.maximum(n_c * null + n_b, 1e-9))[..., None]
    k = (x_c + x_b)[..., None]
    stake = np.minimum(k * (rho - 1) / (theta * rho + 1 - theta), 0.9 / np.maximum(theta, 1e-9))
    step = np.log1p(stake * (x_c[..., None] / np.maximum(k, 1) - theta))
    return mixture(np.where((k > 0) & (theta > 0) & (theta < 1), step, 0.0))


def hybrid(counts, null, up=True):
    """A fifth of alpha on `av` all the time, the rest on one exact look at the last batch."""
    watched = first(av(*counts, null, up) >= math.log(5 / ALPHA))
    x_c, n_c, x_b, n_b = (v.sum(axis=1) for v in counts)
    theta = n_c * null / np.maximum(n_c * null + n_b, 1)
    tail = binom.sf(x_c - 1, x_c + x_b, theta) if up else binom.cdf(x_c, x_c + x_b, theta)
    return np.where((watched == 0) & (tail <= 0.8 * ALPHA), LOOKS, watched)


def z_score(x_c, n_c, x_b, n_b, null, up=True):  # noqa: PLR0917 - as av
    xc, nc, xb, nb = (v.cumsum(axis=1) for v in (x_c, n_c, x_b, n_b))
    pooled = (xc + xb) / np.maximum(nc * null + nb, 1)
    gap = xc / np.maximum(nc, 1) - null * xb / np.maximum(nb, 1)
    spread = np.sqrt(np.maximum(pooled * null / np.maximum(nc, 1) + null**2 * pooled / np.maximum(nb, 1), 1e-18))
    return np.where(xc + xb > 0, gap / spread, 0.0) * (1 if up else -1)


def obf_bounds(looks=LOOKS):
    """One-sided Lan-DeMets O'Brien-Fleming bounds, by integrating the random walk on a grid."""
    spent = 2 * (1 - norm.cdf(norm.ppf(1 - ALPHA / 2) / np.sqrt(np.arange(1, looks + 1) / looks)))
    walk = np.linspace(-6, 6, 1201)
    width, step = walk[1] - walk[0], math.sqrt(1 / looks)
    kernel = norm.pdf(walk[:, None] - walk[None, :], scale=step) * width
    density, bounds, before = norm.pdf(walk, scale=step), [], 0.0
    for t in range(looks):
        if t:
            density = kernel @ density
        beyond = (density[::-1].cumsum() * width)[::-1]
        cut = np.searchsorted(-beyond, -(spent[t] - before))
        bounds.append(walk[min(cut, len(walk) - 1)] / math.sqrt((t + 1) / looks))
        density = np.where(walk >= walk[min(cut, len(walk) - 1)], 0.0, density)
        before = spent[t]
    return np.array(bounds)


def textbook(values_c, values_b, threshold, up=True):
    """Two-sided Mann-Whitney on per-batch values at 0.05, and a mean beyond the threshold."""
    fires = np.zeros(values_c.shape, bool)
    for t in range(FIRST, LOOKS + 1):
        c, b = values_c[:, :t], values_b[:, :t]
        p = mannwhitneyu(c, b, axis=1, method="asymptotic").pvalue
        mean_c, mean_b = c.mean(axis=1), b.mean(axis=1)
        beyond = mean_c > (1 + threshold) * mean_b if up else mean_c < (1 - threshold) * mean_b
        fires[:, t - 1] = (np.nan_to_num(p, nan=1.0) < 0.05) & beyond
    return first(fires)


def kayenta(values_c, values_b, cap, up=True):
    """Its label High (Low) on per-batch values, every fifth look of at most `cap` replicates: its intervals are slow."""
    bad, direction = ("High", "increase") if up else ("Low", "decrease")
    fires = np.zeros((min(cap, len(values_c)), LOOKS), bool)
    for row in range(len(fires)):
        for t in range(FIRST, LOOKS + 1, 5):
            fires[row, t - 1] = classify(list(values_c[row, :t]), list(values_b[row, :t]), direction=direction).label == bad
    return first(fires)


def judged(gates, batches, reps, *, modes=None, looks=0, since=FIRST):
    """
    progflags itself: `batches(row)` yields a replicate's windows, each is added, and looked at from look `since` on.

    A rollback needs a track beyond its bar, so the judge is asked when one is, and once at the end: it must agree each time.
    """
    alarms = []
    for row in range(reps):
        evidence, alarm = Evidence.start(gates, ALPHA, modes=modes, looks=looks), 0
        bars = {claim.name: -math.log(evidence.alpha_of(claim)) for claim in evidence.claims}
        for t, batch in enumerate(batches(row), 1):
            evidence = evidence.add(batch)
            if t >= since and any(
                evidence.tracks[f"{name}/bad"].best >= bar for name, bar in bars.items() if f"{name}/bad" in evidence.tracks
            ):
                assert judge(evidence, baked=0, bake=1).decision == Decision.ROLLBACK
                alarm = t
                break
        if not alarm:
            alarm = t if judge(evidence.look(), baked=0, bake=1).decision == Decision.ROLLBACK else 0
            assert looks or not alarm
        alarms.append(alarm)
    return np.array(alarms)
