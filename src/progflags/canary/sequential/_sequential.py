"""
Evidence that may be looked at whenever one likes: mixture e-processes on counts.

Each function takes the log-wealths of a grid of bets and one batch, and returns the new log-wealths. A bet's wealth is a
supermartingale under the null: on average it can't grow while the candidate is healthy, whatever the control does and
however often somebody looks. So the mixture exceeds 1/alpha with probability at most alpha, ever (Ville's inequality).

`up` asks whether something is too high, else whether it is too low. A batch in which one arm saw nothing changes nothing.

Source: Ville (1939); Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49(2), 2021; Ramdas, Grünwald, Vovk & Shafer,
Statistical Science 2023; Lindon & Malek, NeurIPS 2022 (counts); Waudby-Smith & Ramdas, JRSS-B 2024 (betting).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from math import exp, log, log1p
from typing import Final

__all__ = [
    "LEVEL",
    "MAJORITY",
    "RATIO",
    "Logs",
    "discoveries",
    "fresh",
    "fresh_levels",
    "grid",
    "level",
    "level_test",
    "log_mean",
    "majority",
    "per_exposure",
    "ratio",
]

Logs = tuple[float, ...]

RATIO: Final = 24  # points of the ratio and the betting grid
LEVEL: Final = 16  # points of the absolute grid
_REFUTED: Final = 745.0  # log-wealth after something the null calls impossible: exp of it is still a float


@lru_cache(maxsize=256)
def grid(points: int, largest: float) -> Logs:
    """Log-spaced excesses from 0.02 to `largest`: log-uniform, for a uniform prior sees nothing of rare events."""
    step = math.log(largest / 0.02) / (points - 1)
    return tuple(0.02 * math.exp(step * j) for j in range(points))


def fresh(points: int) -> Logs:
    """Log-wealths before the first bet."""
    return (0.0,) * points


def log_mean(logs: Logs) -> float:
    """Log of the mean of exp: the mixture's log-wealth. Never overflows."""
    peak = max(logs)
    if -700.0 < peak < 700.0:  # no need to take it out: exp of it is a float, and what underflows beside it is nothing
        return log(sum(map(exp, logs)) / len(logs))
    return peak + log(sum([exp(wealth - peak) for wealth in logs]) / len(logs))


@lru_cache(maxsize=256)
def _ratios(null: float, up: bool) -> tuple[tuple[float, float], ...]:
    """(excess of the alternative ratio over the null's, log of their quotient) for the ratio test."""
    return tuple((r - null, math.log(r / null)) for g in grid(RATIO, 49.0) for r in (null * (1 + g) if up else null / (1 + g),))


def ratio(logs: Logs, null: float, up: bool, x_c: float, n_c: float, x_b: float, n_b: float) -> Logs:  # noqa: PLR0917 - a 2x2 table
    """
    Add one batch to the test of "the candidate's rate is at most (at least) `null` times the control's".

    `x` events in `n` trials or exposures per arm (`c` candidate, `b` control). Exact for independent events with any,
    even adversarially changing, control rate, any split of traffic and any schedule that does not look at outcomes.

    For ratio r:  log e = x_c ln(r/r0) - K ln[(n_c r + n_b) / (n_c r0 + n_b)],  K = x_c + x_b.

    Source: the batch form of the conditional binomial test of Lindon & Malek (2022), one-sided with a margin; checked
    against an independent implementation to 1e-5.
    """
    k = x_c + x_b
    if not k or not n_c or not n_b:
        return logs
    # The quotient is 1 + part * (r - r0): a third of the time of two sums, a division and a logarithm, and nothing is lost to rounding
    # where the candidate has a tiny part of the traffic.
    part = n_c / (n_c * null + n_b)
    return tuple([wealth + x_c * gain - k * log1p(part * excess) for wealth, (excess, gain) in zip(logs, _ratios(null, up), strict=True)])


@lru_cache(maxsize=256)
def _levels(null: float, up: bool) -> tuple[tuple[float, float], ...]:
    """(log likelihood ratio of an event, of no event) per alternative; one that is no probability keeps its stake in cash."""
    found = []
    for g in grid(LEVEL, 19.0):
        p = null * (1 + g) if up else null / (1 + g)
        found.append((math.log(p / null), math.log1p(-p) - math.log1p(-null)) if 0 < p < 1 else (0.0, 0.0))
    return tuple(found)


def level(logs: Logs, null: float, up: bool, x: float, n: float) -> Logs:
    """
    Add one batch to the test of "the probability is at most (at least) `null`": an absolute gate, one way or the other.

    `up` true: wealth grows when events are too many (a breach); false: when they are too few (compliance). A bound of 0
    is refuted by the first event; a bound of 1 can't be exceeded.

    e = (p'/p0)^x ((1-p')/(1-p0))^(n-x). Events may come after their trials: only the sums matter.

    Source: Wald (1945) likelihood ratios, mixed; checked against an independent implementation to 1e-6.
    """
    if not n and not x:
        return logs
    if null <= 0 or null >= 1:
        impossible = (x > 0) if up and null <= 0 else (x < n if not up and null >= 1 else False)
        return (_REFUTED,) * len(logs) if impossible else logs
    rest = n - x
    return tuple([wealth + x * event + rest * other for wealth, (event, other) in zip(logs, _levels(null, up), strict=True)])


@lru_cache(maxsize=256)
def _paces(null: float, up: bool) -> tuple[tuple[float, float], ...]:
    """(log of an alternative over the null, how much more it is per unit of exposure)."""
    return tuple((math.log(p / null), p - null) for g in grid(LEVEL, 19.0) for p in (null * (1 + g) if up else null / (1 + g),))


def per_exposure(logs: Logs, null: float, up: bool, x: float, n: float) -> Logs:
    """
    As `level`, of counts per time or gigabyte: at most (at least) `null` events per unit of an exposure of `n`.

    e = (p'/p0)^x exp(-(p' - p0) n).

    Source: as `level`, with the Poisson distribution's likelihood; of shares it is valid too, and a little weaker.
    """
    if null <= 0:
        return (_REFUTED,) * len(logs) if up and x > 0 else logs
    return tuple([wealth + x * event - n * more for wealth, (event, more) in zip(logs, _paces(null, up), strict=True)])


def fresh_levels() -> Logs:
    """`level` before its first bet."""
    return fresh(LEVEL)


level_test = level


def discoveries(wealths: Sequence[float], rate: float) -> tuple[int, ...]:
    """
    Which of several e-values stand out, at most `rate` of them by chance, however they depend on one another.

    Source: the e-BH procedure, Wang & Ramdas, JRSS-B 84(3), 2022.
    """
    order = sorted(range(len(wealths)), key=lambda i: -wealths[i])
    many = max((k for k, i in enumerate(order, 1) if k * wealths[i] * rate >= len(wealths)), default=0)
    return tuple(sorted(order[:many]))


_MAJORITIES: Final = (0.6, 0.75, 0.9, 0.99)
MAJORITY: Final = len(_MAJORITIES)


def majority(logs: Logs, beyond: bool) -> Logs:
    """
    Add one reading to the test of "a reading is beyond its bound at most every other time".

    For gauges, which are readings and not samples of anything: six in a row beyond the bound refute it at 1 in 20.

    Source: `level` at 1/2, with alternatives that a run of readings can reach.
    """
    return tuple([wealth + log(2 * (p if beyond else 1 - p)) for wealth, p in zip(logs, _MAJORITIES, strict=True)])
