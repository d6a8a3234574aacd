"""What a fleet heard of one shadow's comparisons, as sums that add up, and whether that is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from progflags.events import Compared

if TYPE_CHECKING:
    from progflags.darklaunch import DarkLaunchVerdict
    from progflags.darklaunch.compare import Mean

__all__ = ["Bars", "Heard"]


def _mean() -> Mean:
    from progflags.darklaunch.compare import Mean

    return Mean()


@dataclass(frozen=True, slots=True)
class Bars:
    """What a fleet's shadow has to reach; `min_score` None: answers are not scored, they match or don't."""

    max_mismatch: float = 0.001
    confidence: float = 0.95
    min_score: float | None = None
    margin: float = 0.0


@dataclass(slots=True)
class Heard:
    """Comparisons, as they add up: those against the candidate (`differ` of them differing alone), all, and their scores."""

    bad: int = 0
    n: int = 0
    differ: int = 0
    score: Mean = field(default_factory=_mean)

    def note(self, event: Compared) -> None:
        from progflags.darklaunch.record import BAD, Outcome

        self.bad, self.n = self.bad + (event.outcome in BAD), self.n + 1
        self.differ += event.outcome == Outcome.MISMATCH
        if event.score is not None:
            self.score.add(event.score)

    def merge(self, other: Heard) -> None:
        self.bad, self.n, self.differ = self.bad + other.bad, self.n + other.n, self.differ + other.differ
        self.score.merge(other.score)

    def to_json(self) -> dict[str, Any]:
        return {"v": 1, "bad": self.bad, "n": self.n, "differ": self.differ, "score": self.score.to_json()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """One of a worker of an earlier version has no scores."""
        score = _mean().from_json(row["score"]) if "score" in row else _mean()
        return cls(int(row["bad"]), int(row["n"]), int(row.get("differ", 0)), score)

    def verdict(self, bars: Bars) -> DarkLaunchVerdict:
        from progflags.darklaunch.record import judge, judge_score

        bad = self.bad if bars.min_score is None else self.bad - self.differ
        failing = judge(bad, self.n, max_mismatch=bars.max_mismatch, confidence=bars.confidence)
        if bars.min_score is None:
            return failing
        return judge_score(failing, self.score, min_score=bars.min_score, margin=bars.margin, confidence=bars.confidence)
