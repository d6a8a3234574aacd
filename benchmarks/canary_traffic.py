"""Traffic for the simulation: sixty batches per replicate, as counts of events or as histograms of latencies."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm

from progflags.canary._sketch import position

LOOKS = 60

#: Parts of the service's traffic by name of the split: (candidate, control).
SPLITS = {"1:99": (0.01, 0.99), "1:1": (0.01, 0.01), "10:90": (0.1, 0.9), "50:50": (0.5, 0.5)}


def walk(rng, reps, phi, spread):
    """A stationary AR(1) per replicate: shape (reps, LOOKS), standard deviation `spread`."""
    out, now = np.empty((reps, LOOKS)), rng.normal(0, spread, reps)
    for t in range(LOOKS):
        out[:, t] = now
        now = phi * now + rng.normal(0, spread * math.sqrt(1 - phi * phi), reps)
    return out


class Rates:
    """
    Events and trials of both arms: arrays of (replicate, batch), Poisson arrivals, `minutes` of traffic a batch.

    `kind`: "iid"; "shock", both arms' rate wanders together (0.7 standard deviations of its logarithm); "cluster", events in
    geometric bursts of five on average; "idio", each arm's rate wanders by itself (0.3). From batch `onset` on the candidate
    is `factor` times as bad.
    """

    def __init__(self, rng, reps, *, rate, rps, split, factor=1.0, kind="iid", minutes=1.0, onset=0):
        per_batch, parts = 60 * rps * minutes, SPLITS[split]
        self.n_c, self.n_b = (rng.poisson(per_batch * part, (reps, LOOKS)) for part in parts)
        level_c = level_b = np.full((reps, LOOKS), rate)
        if kind == "shock":
            level_c = level_b = rate * np.exp(walk(rng, reps, 0.8, 0.7))
        elif kind == "idio":
            level_c, level_b = (rate * np.exp(walk(rng, reps, 0.8, 0.3)) for _ in parts)
        worse = np.where(np.arange(LOOKS) >= onset, factor, 1.0)
        self.x_c = _events(rng, self.n_c, np.minimum(level_c * worse, 1), kind)
        self.x_b = _events(rng, self.n_b, np.minimum(level_b, 1), kind)

    @property
    def counts(self):
        return self.x_c, self.n_c, self.x_b, self.n_b


def _events(rng, n, p, kind):
    if kind != "cluster":
        return rng.binomial(n, p)
    bursts = rng.binomial(n, p / 5)
    return np.minimum(n, bursts + rng.negative_binomial(np.maximum(bursts, 1), 0.2) * (bursts > 0))


class Single:
    """One event a batch: exposures between events, and whose event it was. Arrays of (replicate, event), healthy at ratio `factor`."""

    def __init__(self, rng, reps, *, rate, events, split, factor=1.0):
        c, b = SPLITS[split]
        part = c / (c + b)
        p_c, p_b = rate * factor, rate
        mixed = part * p_c + (1 - part) * p_b
        between = rng.geometric(mixed, (reps, events)) - 1
        self.x_c = (rng.random((reps, events)) < part * p_c / mixed).astype(int)
        self.x_b = 1 - self.x_c
        calm = rng.binomial(between, part * (1 - p_c) / (1 - mixed))
        self.n_c, self.n_b = calm + self.x_c, between - calm + self.x_b

    counts = Rates.counts


_BUCKETS = 384
_EDGES = 0.004 * 2 ** (np.arange(_BUCKETS) / 32)


def _lognormal(x, stretch):
    return norm.cdf(np.log(x / (0.08 * stretch)) / 0.6)


def _heavy(x, stretch):
    """Lomax of shape 1.5: infinite variance."""
    return 1 - (1 + x / (0.08 * stretch)) ** -1.5


def _bimodal(x, stretch):
    """98 % around 40 ms and 2 % around 400 ms, each lognormal with 0.2; only the slow ones get slower."""
    return 0.98 * norm.cdf(np.log(x / 0.04) / 0.2) + 0.02 * norm.cdf(np.log(x / (0.4 * stretch)) / 0.2)


_SHAPES = {"lognormal": _lognormal, "heavy": _heavy, "bimodal": _bimodal}


class Latency:
    """
    Histograms of both arms, arrays of (replicate, batch, bucket) from position `base` on. The candidate is `slower` times as slow.

    `kind`: "iid"; "common", both arms wander together (10 %); "idio", each by itself (5 %).
    """

    base = position(0.004)

    def __init__(self, rng, reps, *, shape, rps, split, slower=1.0, kind="iid"):
        self.n_c, self.n_b = (rng.poisson(60 * rps * part, (reps, LOOKS)) for part in SPLITS[split])
        drift_c = drift_b = np.zeros((1, 1))
        if kind == "common":
            drift_c = drift_b = walk(rng, reps, 0.8, 0.10)
        elif kind == "idio":
            drift_c, drift_b = walk(rng, reps, 0.7, 0.05), walk(rng, reps, 0.7, 0.05)
        self.c = rng.multinomial(self.n_c, _chances(shape, slower * np.exp(drift_c)))
        self.b = rng.multinomial(self.n_b, _chances(shape, np.exp(drift_b)))

    def p99(self, counts):
        """Per batch, as a table of metrics would show it."""
        running = counts.cumsum(axis=2)
        place = (running < np.ceil(0.99 * running[..., -1:])).sum(axis=2)
        return _EDGES[np.minimum(place, _BUCKETS - 1)] * 2 ** (-1 / 64)

    def counts(self, tolerated):
        """(x_c, n_c, x_b, n_b) beyond the control's p99 so far, stretched by what is tolerated for the candidate."""
        so_far = self.b.cumsum(axis=1).cumsum(axis=2)
        place = (so_far < np.ceil(0.99 * so_far[..., -1:])).sum(axis=2)
        before = np.concatenate([np.full((len(place), 1), _BUCKETS), place[:, :-1]], axis=1)
        margin = math.ceil(math.log2(1 + tolerated) * 32 - 1e-9) if tolerated else 0
        return _above(self.c, before + margin), self.n_c, _above(self.b, before), self.n_b


def _chances(shape, stretch):
    """Probability of each bucket, for a stretch per (replicate, batch)."""
    below = _SHAPES[shape](_EDGES, stretch[..., None])
    p = np.diff(below, prepend=0.0, axis=-1)
    p[..., -1] += 1 - p.sum(axis=-1)
    return np.clip(p, 0.0, 1.0)


def _above(counts, at):
    whole = np.concatenate([counts[..., ::-1].cumsum(axis=2)[..., ::-1], np.zeros((*counts.shape[:2], 1), int)], axis=2)
    return np.take_along_axis(whole, np.clip(at + 1, 0, _BUCKETS)[..., None], axis=2)[..., 0]
