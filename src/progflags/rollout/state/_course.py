"""How the evidence went, look by look: what a plot over time is drawn from once the looks are gone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Course"]

_POINTS: Final = 80  # more than a plot shows apart; beyond them every second one is left out
_GATES: Final = 8
_LOW, _HIGH = -1.0, 2.0

Point = tuple[float, tuple[float | None, ...]]  # wall time, and for each gate how far it was


@dataclass(frozen=True, slots=True)
class Course:
    """
    For each of `gates`, as findings call them, how far the evidence against it was on its way at each of `points`: 0 where what is
    seen is as likely by chance as not, 1 where it decides. None: it was not judged then. The last look is always among them.
    """

    gates: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()

    def add(self, at: float, findings: Iterable[Mapping[str, Any]]) -> Course:
        """With a look at wall time `at`."""
        seen = {str(finding["gate"]): way for finding in findings if (way := _way(finding)) is not None}
        if not seen:
            return self
        gates = (*self.gates, *(gate for gate in seen if gate not in self.gates))[:_GATES]
        points = self.points if len(self.points) < _POINTS else self.points[::2]
        return Course(gates, (*points, (at, tuple(seen.get(gate) for gate in gates))))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"gates": list(self.gates), "points": [[at, *ways] for at, ways in self.points]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Course:
        points = ((float(at), tuple(None if way is None else float(way) for way in ways)) for at, *ways in body["points"])
        return cls(tuple(map(str, body["gates"])), tuple(points))


def _way(finding: Mapping[str, Any]) -> float | None:
    """How far: by the logarithms of both odds. Where it decided, what decided, which may have been a planned look."""
    decided = finding["decision"] == "ROLLBACK"
    odds, asked = finding.get("evidence_max" if decided else "evidence"), finding.get("threshold")
    if odds is None or asked is None or asked <= 1:
        return None
    return round(min(max(math.log(max(odds, 1e-300)) / math.log(asked), _LOW), _HIGH), 3)
