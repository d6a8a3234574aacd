"""What was found at a stage that is behind: what a report shows of it once its evidence went on to other gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["StageResult"]


@dataclass(frozen=True, slots=True)
class StageResult:
    """
    The last verdict on a stage (the watch is the one after the last) at one share, in ppm; a stage that was moved to another
    share has one for each. `decision` is empty where nothing was judged.
    """

    stage: int
    share: int
    baked: float
    samples: Mapping[str, int] = field(default_factory=dict)
    decision: str = ""
    reason: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, place: tuple[int, int], baked: float, samples: Mapping[str, int], told: Mapping[str, Any] | None) -> StageResult:
        """At `place` (stage, share), by a verdict as a record keeps it."""
        if told is None:
            return cls(*place, baked, samples)
        return cls(*place, baked, samples, str(told["decision"]), str(told["reason"]), tuple(told.get("findings", ())))

    def to_dict(self) -> dict[str, Any]:
        """For people: the share as a percentage."""
        return {
            "stage": self.stage,
            "percent": self.share / 10_000,
            "baked": self.baked,
            "samples": dict(self.samples),
            "decision": self.decision,
            "reason": self.reason,
            "findings": [dict(finding) for finding in self.findings],
        }

    def to_json(self) -> dict[str, Any]:
        """For the store."""
        return {**self.to_dict(), "share": self.share}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> StageResult:
        samples = {str(arm): int(n) for arm, n in body["samples"].items()}
        return cls.of((int(body["stage"]), int(body["share"])), float(body["baked"]), samples, body)
