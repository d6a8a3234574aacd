"""
What a run of numbers proves of their mean, at every moment of the run at once; runs of several processes add up.

Thirty numbers show what range they have. Within 0…1: the predictable plug-in empirical-Bernstein confidence sequence, which is
exact for any distribution. As soon as one lies outside, only large numbers help: the asymptotic confidence sequence. Both hold
however often one looks.

They hold over several processes as well. Each stakes by what it has seen itself, so the product of all their bets is a bet too,
and its logarithm is the sum of theirs: what is kept are sums.

Source: Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting", theorem 2; Waudby-Smith,
Arbour, Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence sequences", theorem 2.2;
Chan, Golub & LeVeque (1979) for the variance of two samples together. Checked by simulation in tests/darklaunch/compare/test_score.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

__all__ = ["Mean"]

_ALPHA: Final = 0.05  # the stakes are chosen for it; the intervals hold for any
_MOST: Final = 0.5  # the largest stake: larger ones lose more on one bad score than they win
_FEW: Final = 30  # scores below which nothing is said
_TUNED: Final = 500  # scores at which the asymptotic interval is narrowest
_SUMS: Final = ("n", "square", "staked", "stakes", "spent", "ahead")


@dataclass(slots=True)
class Mean:
    """Running sums of `n` numbers. Not locked: its owner is."""

    n: int = 0
    mean: float = 0.0
    square: float = 0.0  # of deviations from the mean
    bounded: bool = True  # all of them lie in 0…1
    # The sequence within 0…1: Σ λ x, Σ λ, Σ v ψ(λ), and the sum behind the running variance.
    staked: float = 0.0
    stakes: float = 0.0
    spent: float = 0.0
    ahead: float = 0.25

    def add(self, number: float) -> None:
        """One more."""
        self.bounded = self.bounded and 0.0 <= number <= 1.0
        if self.bounded:
            self._stake(number)
        self.n += 1
        away = number - self.mean
        self.mean += away / self.n
        self.square += away * (number - self.mean)

    def _stake(self, number: float) -> None:
        t = self.n + 1
        centre = (0.5 + self.mean * self.n) / t  # of what came before: a stake may not know its own number
        variance = self.ahead / t
        stake = min(_MOST, math.sqrt(2 * math.log(2 / _ALPHA) / (variance * t * math.log1p(t)))) if variance > 0 else _MOST
        self.staked += stake * number
        self.stakes += stake
        self.spent += (number - centre) ** 2 * (-math.log1p(-stake) - stake)
        after = (0.5 + self.mean * self.n + number) / (t + 1)
        self.ahead += (number - after) ** 2

    def merge(self, other: Mean) -> None:
        """Add what another has seen."""
        whole = self.n + other.n
        if not other.n:
            return
        away = other.mean - self.mean
        square = away * away * self.n * other.n / whole
        self.mean += away * other.n / whole
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.square += square
        self.bounded = self.bounded and other.bounded

    def interval(self, confidence: float) -> tuple[float, float]:
        """Where the mean lies, in the numbers' own unit: (−∞, ∞) while nothing can be said, not even what range they have."""
        alpha = 1 - confidence
        if self.n < _FEW:
            return -math.inf, math.inf
        if self.bounded:
            middle = self.staked / self.stakes
            half = (math.log(2 / alpha) + self.spent) / self.stakes
            return max(0.0, middle - half), min(1.0, middle + half)
        rho = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / _TUNED
        spread = self.n * rho + 1
        half = math.sqrt(self.square / self.n) * math.sqrt(2 * spread / (self.n**2 * rho) * math.log(math.sqrt(spread) / alpha))
        return self.mean - half, self.mean + half

    def to_json(self) -> dict[str, float]:
        """The sums: what another process needs to merge them."""
        return {"mean": self.mean, "bounded": self.bounded, **{name: getattr(self, name) for name in _SUMS}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        What `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        sums = {name: float(data[name]) for name in (*_SUMS, "mean")}
        if sums["n"] < 0 or not all(map(math.isfinite, sums.values())):
            raise ValueError("no sums of finite numbers")
        return cls(**{**sums, "n": int(sums["n"])}, bounded=bool(data["bounded"]))  # type: ignore[arg-type]  # n is the only whole one
