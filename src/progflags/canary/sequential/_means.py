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
from dataclasses import dataclass, replace
from typing import Any, Final

from progflags.canary.counting import UNIT, Moments, Totals, Window
from progflags.canary.sequential._claims import Claim, moments_of
from progflags.canary.sequential._comparison import Groups
from progflags.canary.sequential._design_effect import added, residuals, short, variance

__all__ = ["NOWHERE", "Means", "clipped", "cuped", "not_zero", "radius", "slope_of", "tuning", "two_sided_radius"]

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
Scores = tuple[float, ...]
_NOTHING: Final[_Sums] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Means:
    """
    Both arms' means over the revisions so far: `closed` ones summed up, the `open` one as last seen, units and values per arm.

    `scores` are the residuals by group of users behind the two, candidate's and control's, weighted as the means are: what is seen
    of a group of users in several revisions is one group's doing. `groups`: those that had traffic, per arm.
    """

    closed: _Sums = _NOTHING
    open: _Sums = _NOTHING
    before: tuple[int, int, int, int] = (0, 0, 0, 0)
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    batches: int = 0
    scores: tuple[Scores, Scores] = ((), ())
    fresh: tuple[Scores, Scores] = ((), ())
    groups: tuple[int, int] = (0, 0)

    def see(self, claim: Claim, totals: Window, groups: Groups) -> Means:
        """With the present revision's totals in place of what was last seen of it."""
        c, b = moments_of(claim.gate, totals.candidate), moments_of(claim.gate, totals.control)
        counts = (c.n, _values(claim, totals.candidate), b.n, _values(claim, totals.control))
        sums, fresh = _sums(c, b, groups, claim.relative)
        met = (max(self.groups[0], _met(groups[1])), max(self.groups[1], _met(groups[3])))
        return replace(self, open=sums, counts=counts, batches=self.batches + 1, fresh=fresh, groups=met)

    def close(self) -> Means:
        """With the present revision behind it."""
        before = tuple(a + b for a, b in zip(self.before, self.counts, strict=True))
        scores = (added(self.scores[0], self.fresh[0]), added(self.scores[1], self.fresh[1]))
        return Means(_plus(self.closed, self.open), _NOTHING, before, (0, 0, 0, 0), self.batches, scores, ((), ()), self.groups)  # type: ignore[arg-type]

    @property
    def control(self) -> float | None:
        """The control's mean; None where there is none."""
        w, _, b, *_ = _plus(self.closed, self.open)
        return b / w if w else None

    def ready(self, *, relative: bool) -> bool:
        """Whether the asymptotics may be believed."""
        units_c, values_c, units_b, values_b = (a + b for a, b in zip(self.before, self.counts, strict=True))
        candidate = units_c >= _UNITS and values_c >= _VALUES
        return candidate and (not relative or (units_b >= _UNITS and values_b >= _VALUES))

    def effects(self, *, independent: bool = False) -> tuple[float, float]:
        """The design effects of an increase, and of a decrease or a proof; as of counts, see `Strata.effect`."""
        if independent:
            return 1.0, 1.0
        *_, v_c, v_b, _ = _plus(self.closed, self.open)
        j_c, j_b = (variance(added(a, b), met) for a, b, met in zip(self.scores, self.fresh, self.groups, strict=True))
        c, b = j_c / v_c if v_c else 1.0, j_b / v_b if v_b else 1.0
        effect = max(1.0, (j_c + j_b) / (v_c + v_b) if v_c + v_b else 1.0, c)
        return effect, max(effect, b)

    def estimate(self, bar: float, *, relative: bool) -> tuple[float, float, float]:
        """(difference from what `bar` allows, its variance, observations). `bar`: a factor on the control's mean, or a bound."""
        w, c, b, v_c, v_b, n = _plus(self.closed, self.open)
        if not w:
            return 0.0, 0.0, 0.0
        factor = bar if relative else 0.0
        return (c - factor * b) / w - (0.0 if relative else bar), (v_c + factor * factor * v_b) / (w * w), n

    def z(self, bar: float, up: bool, effect: float) -> float | None:
        """How many standard errors the comparison is beyond the bar; None when it can't speak."""
        difference, variance, n = self.estimate(bar, relative=True)
        if not self.ready(relative=True) or not n or variance <= 0:
            return None
        return (difference if up else -difference) / math.sqrt(variance * effect)

    def evidence(self, bar: float, up: bool, relative: bool, alpha: float, effect: float = 1.0) -> float:
        """Log of one over the smallest level at which the sequence says "beyond the bar"; NOWHERE when it can't speak."""
        if not self.ready(relative=relative):
            return NOWHERE
        difference, variance, n = self.estimate(bar, relative=relative)
        difference = difference if up else -difference
        if difference <= 0 or not n:
            return NOWHERE
        if variance <= 0:
            return 700.0
        q = n / effect * tuning(alpha)
        z = min(difference * difference * q / (2 * variance * effect * (q + 1)), 700.0)
        return max(NOWHERE, math.log(2 * math.expm1(z)) - 0.5 * math.log(q + 1)) if z > 0 else NOWHERE

    def to_json(self) -> list[Any]:
        plain = [list(self.closed), list(self.open), list(self.before), list(self.counts), self.batches]
        return [*plain, [list(part) for part in self.scores], [list(part) for part in self.fresh], list(self.groups)]

    @classmethod
    def from_json(cls, body: Sequence[Any]) -> Means:
        closed, now, before, counts, batches, scores, fresh, groups = body
        return cls(
            tuple(closed),
            tuple(now),
            tuple(before),
            tuple(counts),
            int(batches),
            (tuple(scores[0]), tuple(scores[1])),
            (tuple(fresh[0]), tuple(fresh[1])),
            (int(groups[0]), int(groups[1])),
        )


def not_zero(sample: str) -> str:
    """Under which rate it stands how many of a sample's values are not zero, where its moments count all of them."""
    return f"{sample} is not zero"


def _values(claim: Claim, totals: Totals) -> int:
    sample = totals.samples.get(claim.gate.sample)
    if sample is not None:
        return sample.n - (sample.counts[0] if sample.counts and not sample.base else 0)
    counted = totals.rates.get(not_zero(claim.gate.sample))
    if counted is not None:
        return int(counted[0])
    moments = totals.events.get(claim.gate.metric) or totals.events.get(claim.gate.sample)
    return 0 if moments is None else moments.n


def _sums(c: Moments, b: Moments, groups: Groups, relative: bool) -> tuple[_Sums, tuple[Scores, Scores]]:
    """The revision's part of the sums, and its scores by group."""
    total_c, n_c, total_b, n_b = map(sum, groups)
    if n_c < 2 or c.n < 2 or (relative and (n_b < 2 or b.n < 2)):
        return _NOTHING, ((), ())
    w = n_c * n_b / (n_c + n_b) if relative else float(n_c)
    v_c, v_b = _variance(c), _variance(b) if relative else 0.0
    if v_c < 0 or v_b < 0:  # sums without their squares, from a producer that has none: nothing is known of the noise
        return _NOTHING, ((), ())
    if relative:
        # Few values of a heavy tail look alike until the first large one comes, in either arm: neither is taken for less noisy than both.
        pooled = (c.n * v_c + b.n * v_b) / (c.n + b.n)
        v_c, v_b = max(v_c, pooled), max(v_b, pooled)
    control = (w * total_b / n_b / UNIT, w * w * v_b / n_b) if relative else (0.0, 0.0)
    fresh = (_scores(groups[1], groups[0], w), _scores(groups[3], groups[2], w) if relative else ())
    return (w, w * total_c / n_c / UNIT, control[0], w * w * v_c / n_c, control[1], float(n_c + n_b if relative else n_c)), fresh


def _scores(trials: Sequence[float], totals: Sequence[float], w: float) -> Scores:
    scale = w / sum(trials) / UNIT
    return tuple([short(scale * residual) for residual in residuals(trials, totals)])


def _met(trials: Sequence[float]) -> int:
    return len(trials) - trials.count(0)


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

        clipped([12.0, 49.9, 10_000.0], cap=500.0)              # [12.0, 49.9, 500.0]
    """
    return [min(value, cap) for value in values]


def cuped(values: Sequence[float], covariate: Sequence[float], *, slope: float, centre: float) -> list[float]:
    """
    Values with what a pre-period covariate explains taken out: Y - slope (X - centre).

    `slope` and `centre` come from the pre-period and are the same for both arms, so the expectation of the difference stays
    and its variance falls by the squared correlation.

    Source: Deng, Xu, Kohavi & Walker, WSDM 2013.

        slope, centre = slope_of([10.0, 30.0, 20.0], [1.0, 3.0, 2.0])   # last week: spent, visits
        cuped([14.0, 34.0], [1.0, 3.0], slope=slope, centre=centre)     # [24.0, 24.0]

    Raises:
        ValueError: the two are not of one length.
    """
    return [y - slope * (x - centre) for y, x in zip(values, covariate, strict=True)]


def slope_of(values: Sequence[float], covariate: Sequence[float]) -> tuple[float, float]:
    """
    (slope, centre) of the regression of pre-period `values` on `covariate`, for `cuped`; slope 0 where nothing varies.

        slope_of([10.0, 30.0, 20.0], [1.0, 3.0, 2.0])           # (10.0, 2.0)
    """
    ys, xs = list(values), list(covariate)
    centre, middle = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - centre) ** 2 for x in xs)
    return (math.fsum((x - centre) * (y - middle) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0), centre
