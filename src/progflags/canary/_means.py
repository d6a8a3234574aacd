"""
Means under continuous looking: an asymptotic confidence sequence for the difference, with a margin.

Asymptotic, so it stays silent until both arms have a hundred units and fifty values that are not zero. Revisions of the
flag (other shares, other hours) are strata: differences are taken within each and then averaged, so a shift of traffic
between them can't look like an effect.

Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 2024 (arXiv:2103.06476), one-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from progflags.canary._claims import Claim, moments_of
from progflags.canary._sketch import UNIT
from progflags.canary._totals import Moments, Totals
from progflags.canary._window import Window

__all__ = ["NOWHERE", "Strata", "clipped", "cuped", "radius", "slope_of", "tuning", "two_sided_radius"]

N_OPT: Final = 5000.0  # observations at which the sequence is tightest
NOWHERE: Final = -20.0  # log-evidence of "nothing points that way"
_UNITS: Final = 100
_VALUES: Final = 50


def tuning(alpha: float, n_opt: float = N_OPT) -> float:
    """rho² of the mixture that is tightest at `n_opt` observations, for a one-sided level `alpha`."""
    inner = -2 * math.log(2 * alpha) if alpha < 0.5 else 1.0
    return (inner + math.log1p(inner)) / n_opt


def radius(variance: float, n: float, alpha: float, rho2: float) -> float:
    """How far a one-sided bound lies from the estimate: `variance` is the estimate's own, `n` the observations behind it."""
    q = n * rho2
    return math.sqrt(variance * 2 * (q + 1) / q * math.log1p(math.sqrt(q + 1) / (2 * alpha)))


def two_sided_radius(variance: float, n: float, alpha: float, rho2: float) -> float:
    """
    Likewise for a two-sided interval.

    Source: GrowthBook's documented formula, Robbins' normal mixture; checked against its published test vectors to 1e-5.
    """
    q = n * rho2
    return math.sqrt(variance * 2 * (q + 1) / q * math.log(math.sqrt(q + 1) / alpha))


# (sum of weights, of weighted candidate means, of weighted control means, of squared weights times each mean's variance, observations)
_Sums = tuple[float, float, float, float, float, float]
_NOTHING: Final[_Sums] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Strata:
    """Both arms' means over the revisions so far: `closed` ones summed up, the `open` one as last seen, units and values per arm."""

    closed: _Sums = _NOTHING
    open: _Sums = _NOTHING
    before: tuple[int, int, int, int] = (0, 0, 0, 0)
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    batches: int = 0

    def see(self, claim: Claim, totals: Window) -> Strata:
        """With the present revision's totals in place of what was last seen of it."""
        c, b = moments_of(claim.gate, totals.candidate), moments_of(claim.gate, totals.control)
        counts = (c.n, _values(claim, totals.candidate), b.n, _values(claim, totals.control))
        return Strata(self.closed, _sums(c, b, claim.relative), self.before, counts, self.batches + 1)

    def close(self) -> Strata:
        """With the present revision behind it."""
        before = tuple(a + b for a, b in zip(self.before, self.counts, strict=True))
        return Strata(_plus(self.closed, self.open), _NOTHING, before, (0, 0, 0, 0), self.batches)  # type: ignore[arg-type]

    def ready(self, *, relative: bool) -> bool:
        """Whether the asymptotics may be believed."""
        units_c, values_c, units_b, values_b = (a + b for a, b in zip(self.before, self.counts, strict=True))
        candidate = units_c >= _UNITS and values_c >= _VALUES
        return candidate and (not relative or (units_b >= _UNITS and values_b >= _VALUES))

    def estimate(self, bar: float, *, relative: bool) -> tuple[float, float, float]:
        """(difference from what `bar` allows, its variance, observations). `bar`: a factor on the control's mean, or a bound."""
        w, c, b, v_c, v_b, n = _plus(self.closed, self.open)
        if not w:
            return 0.0, 0.0, 0.0
        factor = bar if relative else 0.0
        return (c - factor * b) / w - (0.0 if relative else bar), (v_c + factor * factor * v_b) / (w * w), n

    def evidence(self, bar: float, up: bool, relative: bool, alpha: float) -> float:
        """Log of one over the smallest level at which the sequence says "beyond the bar"; NOWHERE when it can't speak."""
        if not self.ready(relative=relative):
            return NOWHERE
        difference, variance, n = self.estimate(bar, relative=relative)
        difference = difference if up else -difference
        if difference <= 0 or not n:
            return NOWHERE
        if variance <= 0:
            return 700.0
        q = n * tuning(alpha)
        z = min(difference * difference * q / (2 * variance * (q + 1)), 700.0)
        return max(NOWHERE, math.log(2 * math.expm1(z)) - 0.5 * math.log(q + 1)) if z > 0 else NOWHERE

    def to_json(self) -> list[Any]:
        return [list(self.closed), list(self.open), list(self.before), list(self.counts), self.batches]

    @classmethod
    def from_json(cls, body: Sequence[Any]) -> Strata:
        return cls(tuple(body[0]), tuple(body[1]), tuple(body[2]), tuple(body[3]), int(body[4]))


def _values(claim: Claim, totals: Totals) -> int:
    sample = totals.samples.get(claim.gate.sample)
    if sample is not None:
        return sample.n - (sample.counts[0] if sample.counts and not sample.base else 0)
    moments = totals.events.get(claim.gate.metric) or totals.events.get(claim.gate.sample)
    return 0 if moments is None else moments.n


def _sums(c: Moments, b: Moments, relative: bool) -> _Sums:
    if c.n < 2 or (relative and b.n < 2):
        return _NOTHING
    w = c.n * b.n / (c.n + b.n) if relative else float(c.n)
    v_c, v_b = _variance(c), _variance(b) if relative else 0.0
    if v_c < 0 or v_b < 0:  # sums without their squares, from a producer that has none: nothing is known of the noise
        return _NOTHING
    control = (w * b.mean, w * w * v_b / b.n) if relative else (0.0, 0.0)
    return (w, w * c.mean, control[0], w * w * v_c / c.n, control[1], float(c.n + b.n if relative else c.n))


def _variance(moments: Moments) -> float:
    """The sample variance, exact until the last division."""
    return (moments.n * moments.squares - moments.total * moments.total) / (moments.n * (moments.n - 1)) / UNIT / UNIT


def _plus(one: _Sums, other: _Sums) -> _Sums:
    return tuple(a + b for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def clipped(values: Sequence[float], cap: float) -> list[float]:
    """
    Values winsorised at `cap`: what is above it counts as it.

    The cap must be fixed before the comparison (say, the control's 99.9th percentile of the week before), and be the same
    for both arms. One order of ten thousand euros then no longer decides a rollout.
    """
    return [min(value, cap) for value in values]


def cuped(values: Sequence[float], covariate: Sequence[float], *, slope: float, centre: float) -> list[float]:
    """
    Values with what a pre-period covariate explains taken out: Y - slope (X - centre).

    `slope` and `centre` come from the pre-period and are the same for both arms, so the expectation of the difference stays
    and its variance falls by the squared correlation.

    Source: Deng, Xu, Kohavi & Walker, WSDM 2013.

    Raises:
        ValueError: the two are not of one length.
    """
    return [y - slope * (x - centre) for y, x in zip(values, covariate, strict=True)]


def slope_of(values: Sequence[float], covariate: Sequence[float]) -> tuple[float, float]:
    """(slope, centre) of the regression of pre-period `values` on `covariate`, for `cuped`; slope 0 where nothing varies."""
    ys, xs = list(values), list(covariate)
    centre, middle = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - centre) ** 2 for x in xs)
    return (math.fsum((x - centre) * (y - middle) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0), centre
