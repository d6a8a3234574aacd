"""Durations in a few hundred counters: quantiles within 2 %, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Durations", "Latency"]

_GAMMA: Final = 1.04  # neighbouring buckets' ratio; the middle of one is within 2 % of everything in it
_LOG: Final = math.log(_GAMMA)
_LEAST: Final = 1e-7  # below a tenth of a microsecond a clock reading is noise


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one side took, in seconds: number of observations and quantiles (None without any), exact within 2 %."""

    n: int
    p50: float | None
    p95: float | None
    p99: float | None


class Durations:
    """
    A histogram with logarithmic buckets. Not locked: its owner is.

    Source: Masson, Rim & Lee (2019), DDSketch; 24 decades fit in about 600 buckets, so it is never collapsed.
    """

    __slots__ = ("_buckets", "n")

    def __init__(self) -> None:
        self.n = 0
        self._buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        index = math.ceil(math.log(max(seconds, _LEAST)) / _LOG)
        self._buckets[index] = self._buckets.get(index, 0) + 1
        self.n += 1

    def merge(self, other: Durations) -> None:
        """Add another's observations."""
        for index, count in other._buckets.items():
            self._buckets[index] = self._buckets.get(index, 0) + count
        self.n += other.n

    def to_json(self) -> dict[str, int]:
        """The buckets' counts: what another process needs to merge them."""
        return {str(index): count for index, count in self._buckets.copy().items()}

    @classmethod
    def from_json(cls, data: Mapping[str, int]) -> Self:
        """
        What `to_json` gave.

        Raises:
            ValueError, TypeError, AttributeError: it is something else.
        """
        made = cls()
        made._buckets = {int(index): int(count) for index, count in data.items()}
        made.n = sum(made._buckets.values())
        return made

    def quantile(self, q: float) -> float | None:
        """The q-quantile in seconds; None while empty."""
        rank = q * (self.n - 1)
        seen = 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen > rank:
                return 2.0 * _GAMMA**index / (1.0 + _GAMMA)
        return None

    def read(self) -> Latency:
        return Latency(self.n, self.quantile(0.50), self.quantile(0.95), self.quantile(0.99))
