"""Always-valid bounds for quantiles, read off histograms at their edges, where they are exact."""

from __future__ import annotations

import math
from typing import Final

from progflags.canary.counting import EDGES, Sample
from progflags.canary.sequential._sequential import LEVEL, fresh, level, log_mean

__all__ = ["quantile_bounds", "ratio_interval"]


def quantile_bounds(sample: Sample, quantile: float, levels: tuple[float, float], effect: float = 1.0) -> tuple[float, float]:
    """
    Bounds of the quantile behind a sample that hold at every look, each with probability 1 - its level.

    `effect`: how many requests one independent one is worth.

    The lower bound is the highest edge that "at most 1 - q is above it" is refuted at, the upper one the lowest edge that
    "at least 1 - q is above it" is; 0 and infinity where nothing is refuted.

    Source: quantile confidence sequences by binomial inversion, Howard & Ramdas, Bernoulli 28(3), 2022.
    """
    if not sample.n:
        return 0.0, math.inf
    tail = 1 - quantile
    first, last = max(sample.base - 1, 0), min(sample.base + len(sample.counts), len(EDGES)) - 1

    def refuted(place: int, *, up: bool) -> bool:
        wealth = log_mean(level(fresh(LEVEL), tail, up, sample.above(place) / effect, sample.n / effect))
        return wealth >= -math.log(levels[0 if up else 1])

    low, high = first - 1, sample.place_of(quantile)
    while high - low > 1:  # places up to `low` are refuted as too low
        middle = (low + high) // 2
        low, high = (middle, high) if refuted(middle, up=True) else (low, middle)
    lower = EDGES[low] if low >= first else 0.0
    low, high = min(sample.place_of(quantile), last + 1) - 1, last + 1
    while high - low > 1:  # places from `high` on are refuted as too high
        middle = (low + high) // 2
        low, high = (low, middle) if refuted(middle, up=False) else (middle, high)
    return lower, EDGES[high] if high <= last else math.inf


def ratio_interval(
    candidate: Sample, control: Sample, quantile: float, levels: tuple[float, float], effect: float = 1.0
) -> tuple[float, float] | None:
    """
    Bounds of the quotient of two samples' quantiles, each at 1 - its level at every look; None when an arm is empty.

    In whole buckets, rounded outwards. `effect`: how many requests one independent one is worth. Assumes the requests of an arm are
    alike, so it is for reports: what rolls back is the exceedance test, which does not.

    Source: two-sample quantile e-process, Howard & Ramdas, Bernoulli 28(3), 2022; one-sided each way, on histogram edges.
    """
    if not candidate.n or not control.n:
        return None
    pairs = ((candidate, control), (control, candidate))
    low, high = (_stretch(*pair, quantile, alpha, effect) for pair, alpha in zip(pairs, levels, strict=True))
    return (0.0 if low is None else 2 ** (low / 32)), (math.inf if high is None else 2 ** (-high / 32))


_REACH: Final = 320  # buckets: a factor of a thousand
_CASH: Final = 0.25  # of each arm's stake is never bet, or the product would collapse wherever one arm is sure of itself


def _stretch(c: Sample, b: Sample, quantile: float, alpha: float, effect: float) -> int | None:
    """The most buckets m for which "c's quantile is at most b's, m buckets up" is refuted; None: not even a thousandth."""
    few: dict[int, float] = {}
    many: dict[int, float] = {}
    tail, bar = 1 - quantile, -math.log(alpha)

    def evidence(sample: Sample, place: int, up: bool, known: dict[int, float]) -> float:
        if place not in known:
            above = sample.n if place < 0 else sample.above(min(place, len(EDGES) - 1))
            wealth = log_mean(level(fresh(LEVEL), tail, up, above / effect, sample.n / effect))
            known[place] = math.log(_CASH + (1 - _CASH) * math.exp(min(wealth, 700.0)))
        return known[place]

    top, end = (min(s.base + len(s.counts), len(EDGES) - 1) for s in (b, c))

    # Where b alone says enough, whatever c says: such places decide nothing, and are most of them.
    last = max(b.base - 2, -1)
    first, beyond = last - 1, top + 1
    while beyond - first > 1:
        middle = (first + beyond) // 2
        first, beyond = (first, middle) if evidence(b, middle, False, few) + math.log(_CASH) >= bar else (middle, beyond)

    def least(m: int) -> float:
        """Evidence against every place b's quantile can be in: the weakest decides."""
        floor = math.log(_CASH) + 1e-6
        weakest = evidence(b, top, False, few) + evidence(c, end, True, many)  # b's quantile beyond all that was seen of either
        for place in range(first, last - 1, -1):
            too_few = evidence(b, place, False, few)  # b's quantile above this edge: then not so few are above it
            weakest = min(weakest, too_few + evidence(c, place + 1 + m, True, many))
            if too_few <= floor or weakest < bar:
                break
        return weakest

    low, high = -_REACH, _REACH
    if least(low) < bar:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if least(middle) >= bar else (low, middle)
    return low
