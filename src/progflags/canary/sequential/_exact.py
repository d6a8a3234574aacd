"""Exact one-look tests that need no scipy: the tail of a binomial."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["at_least", "at_most", "beta", "conditional_p", "exactly"]

_TINY: Final = 1e-300


def at_least(x: float, n: float, p: float) -> float:
    """
    P(Bin(n, p) >= x), by the regularised incomplete beta function.

    Source: continued fraction of the incomplete beta (Numerical Recipes 6.4, modified Lentz); checked against scipy to 1e-10.
    """
    if x <= 0:
        return 1.0
    return 0.0 if x > n else beta(x, n - x + 1, p)


def at_most(x: float, n: float, p: float) -> float:
    """P(Bin(n, p) <= x)."""
    return 1.0 if x >= n else 1.0 - at_least(x + 1, n, p) if x >= 0 else 0.0


def conditional_p(null: float, up: bool, counts: tuple[float, float, float, float]) -> float:
    """
    The exact p-value of "the candidate's rate is at most (at least) `null` times the control's", for one look.

    Given all K events, the candidate's are Binomial(K, theta0) when events are rare; conservative when they are not.

    Source: Przyborowski & Wilenski (1940), conditional test of two Poisson rates.
    """
    x_c, n_c, x_b, n_b = counts
    if not n_c or not n_b:
        return 1.0
    k, theta = x_c + x_b, n_c * null / (n_c * null + n_b)
    return at_least(x_c, k, theta) if up else at_most(x_c, k, theta)


def exactly(y: float, k: float, q: float) -> float:
    """P(Bin(k, q) = y), between whole numbers too: what I_q(y, k - y + 1) has more than I_q(y + 1, k - y)."""
    return math.exp(math.lgamma(k + 1) - math.lgamma(y + 1) - math.lgamma(k - y + 1) + y * math.log(q) + (k - y) * math.log1p(-q))


def beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return min(1.0, front * _fraction(a, b, x) / a)
    return max(0.0, 1 - front * _fraction(b, a, 1 - x) / b)


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or _TINY)
    total, at = d, a
    for m in range(1, 10_000):
        at += 2.0
        even = m * (b - m) * x / ((at - 1) * at)
        d, c = 1 / (1 + even * d or _TINY), 1 + even / c or _TINY
        total *= c * d
        odd = -(a + m) * (a + b + m) * x / (at * (at + 1))
        d, c = 1 / (1 + odd * d or _TINY), 1 + odd / c or _TINY
        step = c * d
        total *= step
        if -1e-14 < step - 1 < 1e-14:
            break
    return total
