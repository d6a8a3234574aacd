"""
The judge's comparison of two arms for many replicates at once: what `Evidence` does minute by minute, in arrays.

`tests/canary/sequential/test_users.py` holds it against `Evidence` itself, number by number. `effect` "one" leaves the design
effect out, which is what the promise rests on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc
from scipy.stats import norm

from progflags.canary.sequential._open import _STEPS, _WEIGHTS
from progflags.canary.sequential._planned import bounds
from progflags.canary.sequential._track import FIRST

ALPHA = 0.05
SHIPPED = 0.95 * ALPHA  # of a rollout's alpha a twentieth is kept for metrics that nobody announced
SPREAD = 2.0  # groups that events are worth, before anybody may be rolled back for them
_L, _W = np.array(_STEPS), np.array(_WEIGHTS) / np.sum(_WEIGHTS)


def found(x_c, n_c, x_b, n_b, null=1.0, *, up=True, proof=False, alpha=ALPHA, effect="groups", steps=12):
    """
    The minute at which each replicate raises the alarm, 0 for none. Arrays are (replicate, minute, group), per minute.

    Four fifths of alpha on planned looks, the rest on the open evidence; `steps` 0: all of it open. `proof`: of the opposite.
    """
    return alarm(seen(x_c, n_c, x_b, n_b, null, up=up, proof=proof, effect=effect), alpha, steps)


@dataclass(frozen=True)
class Seen:
    """By (replicate, minute): the open evidence, what a planned look would weigh, and where the judge is silent."""

    logs: np.ndarray
    split: tuple[np.ndarray, np.ndarray, np.ndarray]
    silent: np.ndarray


def seen(x_c, n_c, x_b, n_b, null=1.0, *, up=True, proof=False, effect="groups"):
    """What there is to decide on."""
    both = ((n_c.sum(axis=2) > 0) & (n_b.sum(axis=2) > 0))[
        :, :, None
    ]  # what one arm does in a minute without the other compares with nothing
    x_c, n_c, x_b, n_b = (part * both for part in (x_c, n_c, x_b, n_b))
    cells = [part.cumsum(axis=1) for part in (x_c, n_c, x_b, n_b)]
    worth, silent = _worth(cells, (x_c, x_b), strict=proof or not up, falls=not up or proof)
    if effect == "one":
        worth, silent = np.ones_like(worth), np.zeros_like(silent)
    split = _split([part.sum(axis=2) for part in cells], null, worth, up=up != proof)
    logs = _open(*split)
    if not proof:  # the stake of restarts to come waits
        logs = np.logaddexp(np.log(FIRST) + logs, np.log(1 - FIRST))
    return Seen(logs, split, np.zeros_like(silent) if proof else silent)


def alarm(seen, alpha, steps=12):
    """The minute of the first alarm that is allowed."""
    planned = 0.8 if steps else 0.0
    fires = seen.logs >= -np.log(alpha * (1 - planned))
    if steps:
        at = np.arange(1, steps + 1) * fires.shape[1] // steps - 1
        fires[:, at] |= _z(*(part[:, at] for part in seen.split)) > np.array(bounds(float(f"{alpha * planned:.6g}"), steps))
    fires &= ~seen.silent
    return np.where(fires.any(axis=1), fires.argmax(axis=1) + 1, 0)


def _worth(cells, events, *, strict, falls):
    x_c, n_c, x_b, n_b = cells
    v_c, v_b = _variance(x_c, n_c), _variance(x_b, n_b)
    e_c, e_b = x_c.sum(axis=2), x_b.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        c, b = np.where(e_c > 0, v_c / e_c, 1.0), np.where(e_b > 0, v_b / e_b, 1.0)
        pool = np.where(e_c + e_b > 0, (v_c + v_b) / (e_c + e_b), 1.0)
        whole = n_c.sum(axis=2)
        equal = whole**2 / (n_c.astype(float) ** 2).sum(axis=2)
        spread = np.where(e_c > 0, e_c.astype(float) ** 2 / (x_c.astype(float) ** 2).sum(axis=2), 0.0)
    parts = [np.ones_like(c), c, pool, _shaken(*events), *([b] if strict else [])]
    few = ((x_c > 0).sum(axis=2) < 3) | (spread < SPREAD)
    silent = ~(equal >= 3) if falls else ~(equal >= 3) | few
    return np.max(parts, axis=0), silent


def _variance(x, n):
    whole, events = n.sum(axis=2, keepdims=True), x.sum(axis=2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        e = (x - n * events / whole) / np.maximum(1 - n / whole, 0.05)
    e = np.where(n > 0, e, 0.0)
    met = np.maximum((n > 0).sum(axis=2), 1)
    return (met - 1) / met * (e**2).sum(axis=2)


def _shaken(x_c, x_b):
    """The design effect of minutes."""
    x, m = x_c.sum(axis=2).astype(float), (x_c + x_b).sum(axis=2).astype(float)
    slices = (m > 0).cumsum(axis=1)
    xx, xm, mm, s, k = (part.cumsum(axis=1) for part in (x * x, x * m, m * m, x, m))
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(k > 0, s / k, 0.0)
        fair = k * q * (1 - q)
        d = 1.1 * slices / (slices - 1) * (xx - 2 * q * xm + q * q * mm) / fair
    return np.where((slices >= 5) & (fair > 0), d, 1.0)


def _split(sums, null, worth, *, up):
    x_c, n_c, x_b, n_b = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = null * n_c / n_b
        return (x_c / worth, x_b / worth, kappa) if up else (x_b / worth, x_c / worth, 1 / kappa)


def _open(y, other, kappa):
    k = (y + other)[..., None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = y[..., None] * _L + k * (np.log1p(kappa)[..., None] - np.log1p(kappa[..., None] * np.exp(_L)))
    logs = np.where(np.isfinite(logs), logs, 0.0)
    peak = logs.max(axis=2)
    return peak + np.log((np.exp(logs - peak[..., None]) * _W).sum(axis=2))


def _z(y, other, kappa):
    k, q = y + other, kappa / (1 + kappa)
    with np.errstate(invalid="ignore"):
        least = np.where(y > 0, betainc(np.maximum(y, 1e-9), other + 1, q), 1.0)
        more = np.where(other > 0, betainc(y + 1, np.maximum(other, 1e-9), q), 0.0)
    p = np.where((k > 0) & (q > 0) & (q < 1), (least + more) / 2, 0.5)
    return np.minimum(norm.isf(np.maximum(p, 1e-300)), 37.0)
