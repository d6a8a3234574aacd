"""How the evidence went, look by look: what a plot over time is drawn from once the looks are gone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Course", "worth_bounding"]

_POINTS: Final = 80  # more than a plot shows apart; beyond them every second one is left out
_BOUNDS: Final = 40
_GATES: Final = 8
_LOW, _HIGH = -1.0, 2.0
_APART: Final = 1.3  # an interval shrinks with the root of what was seen: there is nothing to see of it between n looks and 1.3 n

Point = tuple[float, tuple[float | None, ...]]  # wall time, and for each gate how far it was
Ends = tuple[float | None, float | None, float | None]  # lower end, what was seen, upper end; None: no number
Bounded = tuple[float, tuple[Ends | None, ...]]  # wall time, and for each gate


@dataclass(frozen=True, slots=True)
class Course:
    """
    For each of `gates`, as findings call them, how far the evidence against it was on its way at each of `points`: 0 where what is
    seen is as likely by chance as not, 1 where it decides. None: it was not judged then. The last look is always among them.

    `bounds`: what was seen, with its always-valid interval, at some of the looks (see `worth_bounding`): of the effect, of an absolute
    gate of the candidate's own value.
    """

    gates: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    bounds: tuple[Bounded, ...] = ()

    def add(self, at: float, findings: Iterable[Mapping[str, Any]], bounded: Iterable[Mapping[str, Any]] = ()) -> Course:
        """With a look at wall time `at`; `bounded` are those of its findings that have an `interval`."""
        seen = {str(finding["gate"]): way for finding in findings if (way := _way(finding)) is not None}
        if not seen:
            return self
        gates = (*self.gates, *(gate for gate in seen if gate not in self.gates))[:_GATES]
        points = self.points if len(self.points) < _POINTS else self.points[::2]
        ends = {str(finding["gate"]): _ends(finding) for finding in bounded}
        bounds = self.bounds if len(self.bounds) < _BOUNDS else self.bounds[::2]
        if row := tuple(ends.get(gate) for gate in gates) if ends else ():
            bounds = (*bounds, (at, row))
        return Course(gates, (*points, (at, tuple(seen.get(gate) for gate in gates))), bounds)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        bounds = [[at, *(None if ends is None else list(ends) for ends in row)] for at, row in self.bounds]
        return {"gates": list(self.gates), "points": [[at, *ways] for at, ways in self.points], "bounds": bounds}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Course:
        points = ((float(at), tuple(map(_number, ways))) for at, *ways in body["points"])
        bounds = ((float(at), tuple(map(_read, row))) for at, *row in body.get("bounds", ()))  # older ones have none
        return cls(tuple(map(str, body["gates"])), tuple(points), tuple(bounds))


def worth_bounding(findings: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """
    Those whose interval is to be searched for at this look, which takes longer than judging: ever fewer of them as batches come in,
    and each that has it already. `before`: the findings of the last look.
    """
    batches = {finding.get("gate"): int(finding.get("batches") or 0) for finding in before}
    return [finding for finding in findings if "interval" in finding or _due(batches.get(finding.get("gate"), 0), finding)]


def _due(before: int, finding: Mapping[str, Any]) -> bool:
    now = int(finding.get("batches") or 0)
    if now <= before:  # nothing came in, or a stage begins
        return 0 < now < before
    return before == 0 or math.floor(math.log(now, _APART)) > math.floor(math.log(before, _APART))


def _ends(finding: Mapping[str, Any]) -> Ends:
    """Of a gate that bounds the candidate's own value that, of the others the effect."""
    absolute = str(finding["gate"]).split(" ")[-2:-1] in (["max"], ["min"])
    low, high = finding["interval"]
    return _short(low), _short(finding["canary" if absolute else "effect"]), _short(high)


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")


def _read(ends: Sequence[Any] | None) -> Ends | None:
    if ends is None:
        return None
    low, seen, high = map(_number, ends)
    return low, seen, high


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _way(finding: Mapping[str, Any]) -> float | None:
    """How far: by the logarithms of both odds. Where it decided, what decided, which may have been a planned look."""
    decided = finding["decision"] == "ROLLBACK"
    odds, asked = finding.get("evidence_max" if decided else "evidence"), finding.get("threshold")
    if odds is None or asked is None or asked <= 1:
        return None
    return round(min(max(math.log(max(odds, 1e-300)) / math.log(asked), _LOW), _HIGH), 3)
