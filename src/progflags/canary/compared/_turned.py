"""One look at a claim: the p-value of its test, and the interval that is the same test turned round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from progflags.canary._words import Kind
from progflags.canary.compared._tests import exceedance, fisher, freedom, hodges_lehmann, mann_whitney, rank, t_test, tail
from progflags.canary.judging import inverted, stretched
from progflags.canary.samples import Series
from progflags.canary.sequential import Claim, conditional_p

__all__ = ["interval", "p_value"]

Ends = tuple[float, float]

_SAME = 1e-12  # of a mean: two constants that far apart are one, rounded


def p_value(claim: Claim, b: Series | None, c: Series, way: str) -> float:
    """The p-value of "within the bound"; `way`: "greater", "less", or "two-sided" where any difference counts."""
    if not claim.relative:
        return _own_p(claim, c, claim.limit, way)
    assert b is not None
    if c.rates:
        return _ratio_p(claim, b, c, way)
    if claim.kind == Kind.QUANTILE and claim.gate.quantile is None:
        return mann_whitney(c.flat, [value * claim.null for value in b.flat], way)[1]
    if claim.kind == Kind.QUANTILE:
        return exceedance(c.flat, b.flat, claim.gate.quantile or 0.5, claim.null, way)
    return _Means.of(c, b).p(claim.limit if claim.up else -claim.limit, way)


def _own_p(claim: Claim, c: Series, limit: float, way: str) -> float:
    """Of an absolute bound."""
    if c.rates:
        return tail(c.pooled.events, c.pooled.base, limit, up=claim.up, exposed=c.pooled.trials is None)
    if claim.kind == Kind.QUANTILE:
        return tail(sum(value > limit for value in c.flat), len(c.flat), 1 - (claim.gate.quantile or 0.5), up=claim.up)
    return _Means.of(c, None).p(limit, way)


def _ratio_p(claim: Claim, b: Series, c: Series, way: str) -> float:
    counts = (c.pooled.events, c.pooled.base, b.pooled.events, b.pooled.base)
    if claim.limit == 0 and all(float(value).is_integer() for value in counts) and c.pooled.trials is not None:
        return fisher(int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3]), way)
    p = conditional_p(claim.null, claim.up, counts)
    return p if way != "two-sided" else min(1.0, 2 * p)


@dataclass(frozen=True, slots=True)
class _Means:
    """Of either side how many values, their mean and that mean's variance; without a control a bound is a mean, else an effect."""

    canary: tuple[int, float, float]
    control: tuple[int, float, float] | None

    @classmethod
    def of(cls, c: Series, b: Series | None) -> _Means:
        return cls(_moments(c.flat), None if b is None else _moments(b.flat))

    def p(self, bar: float, way: str) -> float:
        """Of "no more than `bar`"; beside a control: than that effect. 1 where nothing is known of the noise, or nothing differs."""
        n_c, c, v_c = self.canary
        if n_c < 2 or (self.control is not None and self.control[0] < 2):
            return 1.0
        allowed, noise, free = bar, v_c, float(n_c - 1)
        if self.control is not None:
            n_b, b, v_b = self.control
            allowed, v_b = b + bar * abs(b), v_b * (1 + math.copysign(bar, bar * b)) ** 2
            noise, free = v_c + v_b, freedom((n_c, v_c), (n_b, v_b))
        difference = c - allowed
        p = t_test(0.0 if abs(difference) <= _SAME * abs(allowed) else difference, noise, free, way)
        return 1.0 if math.isnan(p) else p


def _moments(values: Sequence[float]) -> tuple[int, float, float]:
    n = len(values)
    return n, fmean(values) if n else 0.0, variance(values) / n if n > 1 else 0.0


# -- turned round -----------------------------------------------------------------------------------------------------------------


def interval(claim: Claim, b: Series | None, c: Series | None, levels: Ends) -> Ends | None:
    """
    What the claim's test does not refute, each end at its level: of the effect, of an absolute bound the candidate's own value.

    None where there is nothing to hold against one another.
    """
    if c is None or not c.n or (claim.relative and (b is None or not b.n)):
        return None
    if not claim.relative:
        return _own(claim, c, levels)
    assert b is not None
    if c.rates:
        counts = (c.pooled.events, c.pooled.base, b.pooled.events, b.pooled.base)
        return inverted(lambda effect, up, level: conditional_p(1 + effect, up, counts) < level, levels, _factors, (-1.0, math.inf))
    if claim.kind == Kind.QUANTILE and claim.gate.quantile is None:
        return _stretches(c.flat, b.flat, levels)
    if claim.kind == Kind.QUANTILE:
        return quantile_interval(c.flat, b.flat, claim.gate.quantile or 0.5, levels)
    means = _Means.of(c, b)
    return inverted(_refuted(means.p), levels, stretched, (-math.inf, math.inf)) if min(c.n, b.n) > 1 else None


def _own(claim: Claim, c: Series, levels: Ends) -> Ends | None:
    if claim.kind == Kind.QUANTILE:
        return _quantile(sorted(c.flat), 1 - (claim.gate.quantile or 0.5), levels)
    if not c.rates:
        means = _Means.of(c, None)
        return inverted(_refuted(means.p), levels, stretched, (-math.inf, math.inf)) if c.n > 1 else None
    x, n, exposed = c.pooled.events, c.pooled.base, c.pooled.trials is None

    def refuted(limit: float, up: bool, level: float) -> bool:
        return tail(x, n, limit, up=up, exposed=exposed) < level

    return inverted(refuted, levels, _paces if exposed else _shares, (0.0, math.inf if exposed else 1.0))


def _refuted(p: Callable[[float, str], float]) -> Callable[[float, bool, float], bool]:
    return lambda bar, up, level: p(bar, "greater" if up else "less") < level


def _factors(t: float) -> float:
    return math.expm1(9.21 * t)  # a ten-thousandth to ten thousand times as much


def _shares(t: float) -> float:
    return 1 / (1 + math.exp(-23 * t))


def _paces(t: float) -> float:
    return math.exp(23 * t)


def _stretches(canary: Sequence[float], baseline: Sequence[float], levels: Ends) -> Ends:
    """By how much the canary's values are stretched, minus 1: the shift of their logarithms, for Mann and Whitney's test goes by ranks."""
    c, b = ([math.log(max(value, 1e-9)) for value in values] for values in (canary, baseline))
    (_, low, _), (_, _, high) = (hodges_lehmann(c, b, 1 - 2 * level) for level in levels)
    return math.expm1(low), math.expm1(high)


def quantile_interval(canary: Sequence[float], baseline: Sequence[float], quantile: float, levels: Ends) -> Ends | None:
    """Of the canary's quantile over the baseline's, minus 1: the stretches that `exceedance` does not refute."""
    k, n, m = rank(quantile, len(baseline)), len(canary), len(baseline)
    bar, ordered = sorted(baseline)[k - 1], sorted(canary)
    if not bar:
        return None
    above = _fewest(n, lambda x: fisher(x, n, m - k, m, "greater") < levels[0])
    below = _fewest(n, lambda x: fisher(x, n, k - 1, m, "greater") < levels[1])
    return (0.0 if above is None else ordered[n - above] / bar) - 1, (math.inf if below is None else ordered[below - 1] / bar) - 1


def _quantile(ordered: Sequence[float], part: float, levels: Ends) -> Ends:
    """Of a quantile beyond which that part lies: by how many of the values are beyond."""
    n = len(ordered)
    above = _fewest(n, lambda x: tail(x, n, part, up=True) < levels[0])
    below = _fewest(n, lambda x: tail(n - x, n, part, up=False) < levels[1])
    return 0.0 if above is None else ordered[n - above], math.inf if below is None else ordered[below - 1]


def _fewest(n: int, too_many: Callable[[int], bool]) -> int | None:
    """The fewest of `n` that are too many; None where not even all are."""
    if not too_many(n):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if too_many(middle) else (middle, high)
    return high
