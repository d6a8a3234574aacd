"""
How many independent requests a request is worth: the design effect, by the jackknife over groups of users.

Source: MacKinnon & White (1985), the jackknife estimator HC3, with groups as clusters; Kish (1965) for the design effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import mul
from typing import Any, Final

__all__ = ["NO_SHOCKS", "NO_STRATA", "Counts", "Shocks", "Strata", "Stratum", "added", "residuals", "short", "variance"]

Column = tuple[float, ...]
Counts = tuple[float, float, float, float]  # x_c, n_c, x_b, n_b: events and trials of candidate and control

_LEVERAGE: Final = 0.05  # a group that is nearly all of an arm would otherwise be divided by nothing
_FEWEST: Final = 5  # slices before they say anything about shocks
_WIDER: Final = 1.1  # the slices' design effect is an estimate, too
_STRATA: Final = 24  # kept apart; beyond it the two of the most equal split are pooled


def residuals(trials: Sequence[float], events: Sequence[float]) -> tuple[float, ...]:
    """By how many events each group is away from its arm's rate, as if the group had not been there to set it."""
    return _residuals(tuple(trials), tuple(events))


@lru_cache(maxsize=64)  # two gates on one metric, and the proof beside the alarm, ask for the same
def _residuals(trials: tuple[float, ...], events: tuple[float, ...]) -> tuple[float, ...]:
    n, x = sum(trials), sum(events)
    if not n:
        return (0.0,) * len(trials)
    rate = x / n
    return tuple([(e - rate * t) / (1 - t / n if t < 0.95 * n else _LEVERAGE) if t else 0.0 for t, e in zip(trials, events, strict=True)])


@dataclass(frozen=True, slots=True)
class Shocks:
    """
    The candidate's events `x` and both arms' `m`, by slices of time: how many slices, and their sums of m, x², x·m and m².

    Enough to ask afterwards how much more the candidate's part of a slice scatters than chance would have it: a pod that restarts or
    a cold cache hits one arm as a whole, which no group of users shows.
    """

    slices: int = 0
    m: float = 0.0
    xx: float = 0.0
    xm: float = 0.0
    mm: float = 0.0

    def add(self, x: float, m: float) -> Shocks:
        return Shocks(self.slices + 1, self.m + m, self.xx + x * x, self.xm + x * m, self.mm + m * m)

    def scatter(self, part: float) -> float:
        """Sum of (x - part·m)²."""
        return self.xx - 2 * part * self.xm + part * part * self.mm


NO_SHOCKS: Final = Shocks()


@dataclass(frozen=True, slots=True)
class Stratum:
    """Counts under one split of the traffic, and the shocks while it lasted."""

    counts: Counts
    shocks: Shocks = NO_SHOCKS

    @property
    def part(self) -> float:
        """The candidate's part of the events."""
        x_c, _, x_b, _ = self.counts
        return x_c / (x_c + x_b) if x_c + x_b else 0.0

    def pooled(self, other: Stratum) -> Stratum:
        one, two = self.shocks, other.shocks
        shocks = Shocks(one.slices + two.slices, one.m + two.m, one.xx + two.xx, one.xm + two.xm, one.mm + two.mm)
        return Stratum(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)), shocks)  # type: ignore[arg-type]

    def to_json(self) -> list[float]:
        return [*self.counts, self.shocks.slices, self.shocks.m, self.shocks.xx, self.shocks.xm, self.shocks.mm]

    @classmethod
    def from_json(cls, row: Sequence[float]) -> Stratum:
        return cls((row[0], row[1], row[2], row[3]), Shocks(int(row[4]), *row[5:]))


@dataclass(frozen=True)
class Strata:
    """
    Two arms' counts, stratum by stratum, and their groups' residuals added up over all of them.

    A share that changes makes another stratum: rates are compared within each, and what is seen of a group of users in several is
    one group's doing. `groups` are those that had traffic, per arm.
    """

    rows: tuple[Stratum, ...] = ()
    candidate: tuple[float, ...] = ()
    control: tuple[float, ...] = ()
    groups: tuple[int, int] = (0, 0)

    def close(self, row: Stratum, groups: tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]) -> Strata:
        """With one more stratum behind it. `groups`: events and trials by group, of candidate and control."""
        x_c, n_c, x_b, n_b = groups
        if not sum(n_c) and not sum(n_b):
            return self
        rows = (*self.rows, row)
        return Strata(
            rows if len(rows) <= _STRATA else _fewer(rows),
            added(self.candidate, residuals(n_c, x_c)),
            added(self.control, residuals(n_b, x_b)),
            (max(self.groups[0], _met(n_c)), max(self.groups[1], _met(n_b))),
        )

    def rounded(self) -> Strata:
        """With residuals to five figures, which is what an estimate is worth: they are stored."""
        return replace(self, candidate=tuple(map(short, self.candidate)), control=tuple(map(short, self.control)))

    @property
    def events(self) -> tuple[float, float]:
        """(the candidate's, the control's)."""
        return sum(row.counts[0] for row in self.rows), sum(row.counts[2] for row in self.rows)

    @cached_property
    def effects(self) -> tuple[float, float, float]:
        """Design effects of the candidate's events, the control's, and of all together; 1 where nothing is known."""
        v_c, v_b = variance(self.candidate, self.groups[0]), variance(self.control, self.groups[1])
        x_c, x_b = self.events
        return v_c / x_c if x_c else 1.0, v_b / x_b if x_b else 1.0, (v_c + v_b) / (x_c + x_b) if x_c + x_b else 1.0

    @cached_property
    def shaken(self) -> float:
        """The design effect of slices of time; 1 where there were too few."""
        slices = sum(row.shocks.slices for row in self.rows)
        fair = sum(row.shocks.m * row.part * (1 - row.part) for row in self.rows)
        if slices < _FEWEST or fair <= 0:
            return 1.0
        scatter = sum(row.shocks.scatter(row.part) for row in self.rows)
        return _WIDER * slices / (slices - 1) * scatter / fair

    def effect(self, *, strict: bool) -> float:
        """
        The one design effect that both arms' counts are divided by, never below 1.

        The most of what all events together, the candidate's and (where the test is `strict`: of falls and of proofs) the control's
        show. Dividing each arm by its own is wrong: a control without events would count as it is, and 7.5 % of healthy candidates
        whose errors come in bursts would fall back.
        """
        c, b, pool = self.effects
        return max(1.0, pool, c, b if strict else 1.0, self.shaken)

    def to_json(self) -> list[Any]:
        return [[row.to_json() for row in self.rows], list(self.candidate), list(self.control), list(self.groups)]

    @classmethod
    def from_json(cls, body: Sequence[Any]) -> Strata:
        rows, candidate, control, groups = body
        return cls(tuple(map(Stratum.from_json, rows)), tuple(candidate), tuple(control), (groups[0], groups[1]))


NO_STRATA: Final = Strata()


def added(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    """Two strata's residuals, group by group."""
    return tuple([a + b for a, b in zip(one, other, strict=True)]) if one and other else one or other


def short(value: float) -> float:
    """To five figures."""
    return float(f"{value:.5g}")


def _met(trials: Sequence[float]) -> int:
    return len(trials) - trials.count(0)


def variance(deviations: Sequence[float], groups: int) -> float:
    """The jackknife's variance of a sum, from the residuals of so many groups."""
    return (groups - 1) / groups * sum(map(mul, deviations, deviations)) if groups > 1 else 0.0


def _fewer(rows: tuple[Stratum, ...]) -> tuple[Stratum, ...]:
    """With the two neighbours pooled whose split of the traffic differs least."""

    def split(row: Stratum) -> float:
        return math.log((row.counts[1] + 0.5) / (row.counts[3] + 0.5))

    at = min(range(len(rows) - 1), key=lambda i: abs(split(rows[i]) - split(rows[i + 1])))
    return (*rows[:at], rows[at].pooled(rows[at + 1]), *rows[at + 2 :])
