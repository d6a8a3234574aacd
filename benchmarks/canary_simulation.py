"""
False rollbacks and power, side by side: our judge, its parts, and the rules people use.

    python -m benchmarks.canary_simulation [--reps 200] [--seed 20240607] [--only rates|latency]

Sixty-minute bakes, one batch a minute, Poisson traffic; the candidate has 1 % of the service, the baseline the other 99 %
or a separate 1 %. Rules look every minute from the fifth on (Kayenta every fifth minute, for its intervals are slow). In a
healthy row every entry should be at most 5 %; in a regressed row, as much as possible, and the median minute as early.

textbook  two-sided Mann-Whitney on per-minute values at 0.05, and a mean beyond the threshold
kayenta   its label High on per-minute values
z         one-sided two-proportion test at 0.05, looked at every minute
OBF       the same, at Lan-DeMets O'Brien-Fleming bounds for 60 looks
av, bet   the rate-ratio test; betting on batches; at 1/20, nothing divided
hybrid    a fifth of alpha on av, the rest on one exact look at minute 60
judge     progflags as shipped: betting (errors) or the tail mixture (latency), restarts, one gate of a rollout
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from scipy.stats import binom, mannwhitneyu, norm

from progflags.canary import Decision, Evidence, Gate, Window, judge
from progflags.canary._kayenta import classify
from progflags.canary._sequential import grid
from progflags.canary._sketch import Sample, position
from progflags.canary._totals import Totals

ALPHA, LOOKS, FIRST = 0.05, 60, 5


# -- traffic --------------------------------------------------------------------------------------------------------------


class Cell:
    """Counts of one scenario: arrays of (replicate, minute) for the events and trials of both arms."""

    def __init__(self, rng, reps, *, rate, rps, equal, factor=1.0, kind="iid"):
        per_minute = 60 * rps
        self.n_c = rng.poisson(per_minute * 0.01, (reps, LOOKS))
        self.n_b = rng.poisson(per_minute * (0.01 if equal else 0.99), (reps, LOOKS))
        level = np.full((reps, LOOKS), rate)
        if kind == "shock":
            walk = np.zeros(reps)
            for t in range(LOOKS):
                walk = 0.8 * walk + rng.normal(0, 0.42, reps)
                level[:, t] = rate * np.exp(walk)
        self.x_c = self._events(rng, self.n_c, np.minimum(level * factor, 1), kind)
        self.x_b = self._events(rng, self.n_b, level, kind)

    @staticmethod
    def _events(rng, n, p, kind):
        if kind != "cluster":
            return rng.binomial(n, p)
        bursts = rng.binomial(n, p / 5)
        return np.minimum(n, bursts + rng.negative_binomial(np.maximum(bursts, 1), 0.2) * (bursts > 0))


class Latency:
    """Histograms of one scenario: (replicate, minute, bucket), lognormal around 80 ms."""

    def __init__(self, rng, reps, *, rps, equal, slower=1.0, sigma=0.6):
        self.base, edges = position(0.004), 0.004 * 2 ** (np.arange(321) / 32)
        cdf = norm.cdf(np.log(edges / 0.08) / sigma)
        p = np.diff(cdf, prepend=0.0)
        p[-1] += 1 - p.sum()
        self.moved = 0 if slower == 1.0 else math.ceil(math.log2(slower) * 32)
        n_b, n_c = 60 * rps * (0.01 if equal else 0.99), 60 * rps * 0.01
        self.b = rng.multinomial(rng.poisson(n_b, (reps, LOOKS)), p)
        self.c = rng.multinomial(rng.poisson(n_c, (reps, LOOKS)), p)
        self.middles = edges * 2 ** (-1 / 64)

    def p99(self, side):
        counts = self.c if side == "c" else self.b
        running = counts.cumsum(axis=2)
        place = (running < np.ceil(0.99 * running[..., -1:])).sum(axis=2)
        shift = 2 ** (self.moved / 32) if side == "c" else 1.0
        return self.middles[np.minimum(place, len(self.middles) - 1)] * shift

    def counts(self, tolerated):
        """(x_c, n_c, x_b, n_b) beyond the control's p99 so far, stretched by what is tolerated for the candidate."""
        so_far = self.b.cumsum(axis=1)
        running = so_far.cumsum(axis=2)
        place = (running < np.ceil(0.99 * running[..., -1:])).sum(axis=2)
        before = np.concatenate([np.full((len(place), 1), self.b.shape[2]), place[:, :-1]], axis=1)
        above = lambda counts, at: np.take_along_axis(
            np.concatenate([counts[..., ::-1].cumsum(axis=2)[..., ::-1], np.zeros((*counts.shape[:2], 1), int)], axis=2),
            np.clip(at + 1, 0, counts.shape[2])[..., None],
            axis=2,
        )[..., 0]
        margin = math.ceil(math.log2(1 + tolerated) * 32 - 1e-9) if tolerated else 0
        return above(self.c, before + margin - self.moved), self.c.sum(axis=2), above(self.b, before), self.b.sum(axis=2)


# -- rules: each gives the minute of its alarm per replicate, 0 for none -----------------------------------------------------


def first(fires):
    """The first look at which a rule fires, from the fifth minute on."""
    fires = fires.copy()
    fires[:, : FIRST - 1] = False
    return np.where(fires.any(axis=1), fires.argmax(axis=1) + 1, 0)


def mixture(steps):
    """Running evidence of a grid of bets: log-mean-exp over the last axis of cumulated steps."""
    logs = steps.cumsum(axis=1)
    peak = logs.max(axis=2)
    return peak + np.log(np.exp(logs - peak[..., None]).mean(axis=2))


def av(x_c, n_c, x_b, n_b, tolerated):
    null = 1 + tolerated
    r = null * (1 + np.array(grid(24, 49.0)))
    k, scale = (x_c + x_b)[..., None], np.maximum(n_c * null + n_b, 1e-9)[..., None]
    step = x_c[..., None] * np.log(r / null) - k * np.log(np.maximum(n_c[..., None] * r + n_b[..., None], 1e-9) / scale)
    return mixture(np.where(((n_c > 0) & (n_b > 0))[..., None], step, 0.0))


def bet(x_c, n_c, x_b, n_b, tolerated):
    null, rho = 1 + tolerated, 1 + np.array(grid(24, 19.0))
    theta = (n_c * null / np.maximum(n_c * null + n_b, 1e-9))[..., None]
    k = (x_c + x_b)[..., None]
    stake = np.minimum(k * (rho - 1) / (theta * rho + 1 - theta), 0.9 / np.maximum(theta, 1e-9))
    step = np.log1p(stake * (x_c[..., None] / np.maximum(k, 1) - theta))
    return mixture(np.where((k > 0) & (theta > 0) & (theta < 1), step, 0.0))


def z_score(x_c, n_c, x_b, n_b, tolerated):
    xc, nc, xb, nb = (v.cumsum(axis=1) for v in (x_c, n_c, x_b, n_b))
    pooled = (xc + xb) / np.maximum(nc * (1 + tolerated) + nb, 1)
    gap = xc / np.maximum(nc, 1) - (1 + tolerated) * xb / np.maximum(nb, 1)
    spread = np.sqrt(np.maximum(pooled * (1 + tolerated) / np.maximum(nc, 1) + (1 + tolerated) ** 2 * pooled / np.maximum(nb, 1), 1e-18))
    return np.where(xc + xb > 0, gap / spread, 0.0)


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


def textbook(values_c, values_b, threshold):
    fires = np.zeros(values_c.shape, bool)
    for t in range(FIRST, LOOKS + 1):
        c, b = values_c[:, :t], values_b[:, :t]
        p = mannwhitneyu(c, b, axis=1, method="asymptotic").pvalue
        fires[:, t - 1] = (np.nan_to_num(p, nan=1.0) < 0.05) & (c.mean(axis=1) > (1 + threshold) * b.mean(axis=1))
    return first(fires)


def kayenta(values_c, values_b, cap):
    fires = np.zeros((min(cap, len(values_c)), LOOKS), bool)
    for row in range(len(fires)):
        for t in range(FIRST, LOOKS + 1, 5):
            fires[row, t - 1] = classify(list(values_c[row, :t]), list(values_b[row, :t]), direction="increase").label == "High"
    return first(fires)


def hybrid(counts, tolerated):
    watched = first(av(*counts, tolerated) >= math.log(5 / ALPHA))
    x_c, n_c, x_b, n_b = (v.sum(axis=1) for v in counts)
    theta = n_c * (1 + tolerated) / np.maximum(n_c * (1 + tolerated) + n_b, 1)
    look = binom.sf(x_c - 1, x_c + x_b, theta) <= 0.8 * ALPHA
    return np.where((watched == 0) & look, LOOKS, watched)


def ours(gate, windows, reps):
    alarms = []
    for row in range(reps):
        evidence, alarm = Evidence.start([gate], ALPHA), 0
        for t in range(LOOKS):
            evidence = evidence.add(windows(row, t))
            if t + 1 >= FIRST and judge(evidence, baked=0, bake=1).decision == Decision.ROLLBACK:
                alarm = t + 1
                break
        alarms.append(alarm)
    return np.array(alarms)


# -- tables -------------------------------------------------------------------------------------------------------------------

HEAD = ("textbook", "kayenta", "z", "OBF", "av", "bet", "hybrid", "judge")


def told(alarms, power):
    share = f"{100 * (alarms > 0).mean():.1f}"
    if not power:
        return share
    seen = np.where(alarms > 0, alarms, 10**6)
    median = int(np.sort(seen)[(len(seen) - 1) // 2])
    return f"{share} ({median if median < 10**6 else '>60'})"


def rates_row(rng, reps, bounds, *, tolerated, **scenario):
    cell = Cell(rng, reps, **scenario)
    counts = (cell.x_c, cell.n_c, cell.x_b, cell.n_b)
    values = [np.where(n > 0, x / np.maximum(n, 1), 0.0) for x, n in ((cell.x_c, cell.n_c), (cell.x_b, cell.n_b))]
    z = z_score(*counts, tolerated)
    gate = Gate("error_rate", max_increase=tolerated, policy="no_alarm")

    def window(row, t):
        c, b = (int(cell.n_c[row, t]), int(cell.x_c[row, t])), (int(cell.n_b[row, t]), int(cell.x_b[row, t]))
        return Window("f", 1, {"control": Totals(b[0], b[0], b[1]), "candidate": Totals(c[0], c[0], c[1])})

    return (
        textbook(*values, 0.10),
        kayenta(*values, 40),
        first(z > norm.ppf(1 - ALPHA)),
        first(z > bounds),
        first(av(*counts, tolerated) >= math.log(1 / ALPHA)),
        first(bet(*counts, tolerated) >= math.log(1 / ALPHA)),
        hybrid(counts, tolerated),
        ours(gate, window, reps),
    )


def latency_row(rng, reps, bounds, *, tolerated, **scenario):
    cell = Latency(rng, reps, **scenario)
    counts = cell.counts(tolerated)
    values = cell.p99("c"), cell.p99("b")
    z = z_score(*counts, 0.0)
    gate = Gate("p99_latency", max_increase=tolerated, policy="no_alarm")

    def arm(counts, moved):
        n = int(counts.sum())
        return Totals(n, n, 0, 0, 0, {}, {"latency": Sample(n, 0, 0, cell.base + moved, tuple(counts.tolist()))})

    def window(row, t):
        return Window("f", 1, {"control": arm(cell.b[row, t], 0), "candidate": arm(cell.c[row, t], cell.moved)})

    return (
        textbook(*values, 0.05),
        kayenta(*values, 40),
        first(z > norm.ppf(1 - ALPHA)),
        first(z > bounds),
        first(av(*counts, 0.0) >= math.log(1 / ALPHA)),
        first(bet(*counts, 0.0) >= math.log(1 / ALPHA)),
        hybrid(counts, 0.0),
        ours(gate, window, reps),
    )


def show(title, rows, power):
    print(f"\n{title}\n")
    print("| scenario | " + " | ".join(HEAD) + " |")
    print("|---|" + "---|" * len(HEAD))
    for name, alarms in rows:
        print(f"| {name} | " + " | ".join(told(one, power) for one in alarms) + " |", flush=True)


def splits(text):
    return [(f"{text} 1:99", False), (f"{text} 1:1", True)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reps", type=int, default=200)
    options.add_argument("--seed", type=int, default=20240607)
    options.add_argument("--only", choices=("rates", "latency"))
    asked = options.parse_args()
    rng, bounds, start = np.random.default_rng(asked.seed), obf_bounds(), time.perf_counter()
    reps = asked.reps
    print(f"{reps} replicates (Kayenta 40), alpha {ALPHA}, three standard errors of 5 %: {300 * math.sqrt(0.0475 / reps):.1f} points")

    if asked.only != "latency":

        def healthy():
            for rate, rps in ((0.001, 100), (0.001, 1000), (0.01, 100)):
                for name, equal in splits(f"{rate:.1%} at {rps} rps"):
                    yield name, rates_row(rng, reps, bounds, tolerated=0.0, rate=rate, rps=rps, equal=equal)
            for kind, says in (("shock", "shared shocks"), ("cluster", "bursts of five")):
                for name, equal in splits(f"1 % at 100 rps, {says},"):
                    yield name, rates_row(rng, reps, bounds, tolerated=0.0, rate=0.01, rps=100, equal=equal, kind=kind)
            for name, equal in splits("1 % at 100 rps, exactly on the margin of 10 %,"):
                yield name, rates_row(rng, reps, bounds, tolerated=0.1, rate=0.01, rps=100, equal=equal, factor=1.1)

        def regressed():
            for rate, rps, factor in ((0.001, 1000, 2), (0.001, 100, 10), (0.01, 100, 2)):
                for name, equal in splits(f"{rate:.1%} ×{factor} at {rps} rps"):
                    yield name, rates_row(rng, reps, bounds, tolerated=0.1, rate=rate, rps=rps, equal=equal, factor=factor)

        show("False rollbacks in percent: error rate, healthy", healthy(), power=False)
        show("Power in percent (median minute): error rate, 10 % tolerated", regressed(), power=True)
    if asked.only != "rates":

        def steady():
            for rps in (10, 100):
                for name, equal in splits(f"lognormal at {rps} rps"):
                    yield name, latency_row(rng, reps, bounds, tolerated=0.0, rps=rps, equal=equal)

        def slower():
            for factor in (1.2, 1.5):
                for name, equal in splits(f"lognormal ×{factor} at 100 rps"):
                    yield name, latency_row(rng, reps, bounds, tolerated=0.05, rps=100, equal=equal, slower=factor)

        show("False rollbacks in percent: p99, healthy", steady(), power=False)
        show("Power in percent (median minute): p99, 5 % tolerated", slower(), power=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
