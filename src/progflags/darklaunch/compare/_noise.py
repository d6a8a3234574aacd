"""
Which paths differ anyway? The control is run twice now and then (A/A), and what differs between the two is noise.

A timestamp or a random id differs in every comparison and says nothing about the candidate. Rules for such paths are
*proposed*, with the numbers that speak for them; nobody's mismatches are silenced without somebody saying so (or having
asked for `learn="apply"`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from progflags._printed import printable
from progflags.darklaunch.compare._allow import shape
from progflags.darklaunch.compare._comparison import Difference
from progflags.darklaunch.compare._rules import Rule, ignore, opaque, tolerance, unordered, within

__all__ = ["Noise", "Proposal", "wilson"]

_PATHS: Final = 200
_LEAST: Final = 5  # noisy pairs of one path before a rule is proposed for it
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    A rule for a path that differs without any candidate: in `noisy` of `pairs` A/A comparisons; against it, in `hits` of as many.

        for proposal in price.dark_launch.proposals():          # needs aa_rate=
            print(proposal.path, proposal.rule, proposal.noisy, proposal.pairs)
            price.dark_launch.approve(proposal.path)
    """

    rule: Rule
    path: str
    noisy: int
    hits: int
    pairs: int

    def __str__(self) -> str:
        rule, path = printable(self.rule, 400), printable(self.path, 400)
        return f"{rule}: control against itself differs at {path} in {self.noisy} of {self.pairs}, the candidate in {self.hits}"


class Noise:
    """Counts of both kinds of difference over the same calls. Bounded, locked."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        self._lock = threading.RLock()
        self.pairs = 0
        self._noisy: Counter[str] = Counter()
        self._hits: Counter[str] = Counter()
        self._sorts: dict[str, Counter[str]] = {}
        self._spread: dict[str, float] = {}

    def note(self, candidate: Iterable[Difference], repeat: Iterable[Difference]) -> None:
        """One call that was compared both ways."""
        seen = {difference.path: difference for difference in repeat}
        with self._lock:
            self.pairs += 1
            for path in {difference.path for difference in candidate}:
                if path in self._hits or len(self._hits) < _PATHS:
                    self._hits[path] += 1
            for path, difference in seen.items():
                if path in self._noisy or len(self._noisy) < _PATHS:
                    self._noisy[path] += 1
                    sort, spread = _sort(difference)
                    self._sorts.setdefault(path, Counter())[sort] += 1
                    self._spread[path] = max(self._spread.get(path, 0.0), spread)

    def proposals(self) -> list[Proposal]:
        """A rule per noisy path, the noisiest first. Only for paths with enough pairs to speak of."""
        with self._lock:
            return [
                Proposal(self._rule(path), path, count, self._hits[path], self.pairs)
                for path, count in self._noisy.most_common()
                if count >= _LEAST and "{*}" not in path
            ]

    def signal(self, path: str) -> bool:
        """Whether the candidate differs at `path` more often than the control from itself, beyond chance."""
        with self._lock:
            return wilson(self._hits[path], self.pairs)[0] > wilson(self._noisy[path], self.pairs)[1]

    def _rule(self, path: str) -> Rule:
        sort, spread = self._sorts[path].most_common(1)[0][0], self._spread[path]
        if sort == "number":
            return tolerance(path, abs=2 * spread)
        if sort == "time":
            return within(path, 2 * spread)
        return {"opaque": opaque, "order": unordered}.get(sort, ignore)(path)


def _sort(difference: Difference) -> tuple[str, float]:
    """What sort of noise this is, and how far the two values lie apart."""
    _, kind, a, b = difference
    if kind == "order":
        return "order", 0.0
    if kind != "value":
        return "other", 0.0
    number = (int, float, Decimal)
    if isinstance(a, number) and isinstance(b, number) and not isinstance(a, bool):
        spread = abs(float(a) - float(b))
        return ("number", spread) if 0 < spread < float("inf") else ("other", 0.0)
    left, right = _moment(a), _moment(b)
    if left is not None and right is not None and (left.tzinfo is None) == (right.tzinfo is None):
        return "time", max(abs((left - right) / timedelta(seconds=1)), 0.001)
    if isinstance(a, str) and isinstance(b, str) and shape(a)[0] in {"uuid", "ulid", "hex"} and shape(a) == shape(b):
        return "opaque", 0.0
    return "other", 0.0


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and 10 <= len(value) <= 40:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return None
    return None


def wilson(hits: int, n: int, z: float = _Z) -> tuple[float, float]:
    """
    An interval for a share, 0…1, that is right for few hits too.

    Source: Wilson (1927); checked against Brown, Cai & DasGupta (2001), table 1.
    """
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
