"""
Looks that were planned: twelve, at the twelfths of the bake. What continuous watching costs in power, they buy back.

Each look compares z, from the mid-p of the conditional binomial, with a bound of its own. Together the bounds are crossed by a healthy
candidate with probability alpha; by look k they have spent alpha (k/12)² of it.

Source: Lan & DeMets (1983) spending functions; Armitage, McPherson & Rowe (1969) for the recursion; Lancaster (1961) for mid-p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Final

from progflags.canary.sequential._exact import beta, exactly
from progflags.canary.sequential._open import Split

__all__ = ["LOOKS", "bounds", "mid_p", "standard", "upper", "z_of"]

LOOKS: Final = 12
_POINTS: Final = 161  # of Simpson's rule
_TAIL: Final = 7.0  # standard deviations below zero at which the density is taken for nothing
_LARGE: Final = 1e6  # events from which the normal distribution is as good
_NORMAL: Final = NormalDist()
_MOST: Final = 37.0  # no p is smaller than this z has


def mid_p(splits: Sequence[Split]) -> float:
    """
    P(at least as many events on the suspected side), half of those exactly as many; events may be fractions.

    Strata are added up at their mean share: the sum of binomials scatters no more than one binomial at the mean.
    """
    y = sum(split[0] for split in splits)
    k = y + sum(split[1] for split in splits)
    if k <= 0:
        return 0.5
    q = sum((split[0] + split[1]) * split[2] / (1 + split[2]) for split in splits) / k
    if not 0 < q < 1:
        return 0.5
    if k * q * (1 - q) > _LARGE:
        return upper((y - k * q) / math.sqrt(k * q * (1 - q)))
    if y <= 0 or y >= k:
        return (1.0 + beta(1.0, k, q)) / 2 if y <= 0 else beta(y, k - y + 1, q) / 2
    return beta(y, k - y + 1, q) - exactly(y, k, q) / 2


def z_of(p: float) -> float:
    """The standard normal deviate that is exceeded with probability `p`."""
    return _MOST if p < 1e-300 else -_MOST if p >= 1 else -_NORMAL.inv_cdf(p)


def standard(splits: Sequence[Split]) -> float:
    """Z of the splits."""
    return z_of(mid_p(splits))


def upper(z: float) -> float:
    """P(a standard normal deviate is above z)."""
    return 0.5 * math.erfc(z / math.sqrt(2))


@lru_cache(maxsize=256)
def bounds(alpha: float, looks: int = LOOKS) -> tuple[float, ...]:
    """
    The bound of z for each look, of which a healthy candidate crosses one with probability `alpha`.

    Takes a tenth of a second for a new `alpha`, which a process pays once.
    """
    found: list[float] = []
    density: list[tuple[float, float]] = [(0.0, 1.0)]  # (where the process may be, weight times density), not yet crossed
    gap = 1 / looks
    for k in range(1, looks + 1):
        spend = alpha * (2 * k - 1) / looks**2
        bar = _crossing(density, gap, spend)
        found.append(bar / math.sqrt(k * gap))
        if k < looks:
            density = _onward(density, gap, bar, -_TAIL * math.sqrt(k * gap))
    return tuple(found)


def _crossing(density: Sequence[tuple[float, float]], gap: float, spend: float) -> float:
    """Where the bar must stand to be crossed in the next step with probability `spend`."""
    scale = 1 / math.sqrt(2 * gap)

    def crossed(bar: float) -> float:
        return 0.5 * sum([weight * math.erfc((bar - place) * scale) for place, weight in density])

    low, high = -_TAIL, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if crossed(middle) > spend else (low, middle)
    return (low + high) / 2


def _onward(density: Sequence[tuple[float, float]], gap: float, bar: float, lowest: float) -> list[tuple[float, float]]:
    """The density below the bar after one more step, at Simpson's points."""
    step = (bar - lowest) / (_POINTS - 1)
    front, half = 1 / math.sqrt(2 * math.pi * gap), 1 / (2 * gap)
    found = []
    for i in range(_POINTS):
        here = lowest + step * i
        weight = step / 3 * (1 if i in {0, _POINTS - 1} else 4 if i % 2 else 2)
        found.append((here, weight * front * sum([w * math.exp(-half * (here - place) ** 2) for place, w in density])))
    return found
