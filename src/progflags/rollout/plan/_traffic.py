"""Traffic: how many requests a second there are, and what they are like; the only thing a plan can't know by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from progflags.canary import Totals, scatter

__all__ = ["Traffic"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    `rps` requests a second on both arms together, which are like `control` (of whatever size); `people` new ones a second, at
    most: whom nobody told apart counts as one each. `worth`: by metric how many of its requests one independent one is worth.
    """

    rps: float
    control: Totals
    people: float = 0.0
    worth: Mapping[str, float] = field(default_factory=dict)

    def merge(self, other: Traffic) -> Traffic:
        """What two processes serve."""
        control = self.control.merge(other.control)
        return Traffic(self.rps + other.rps, control, self.people + other.people, scatter(control))

    @classmethod
    def over(cls, seconds: float, control: Totals, candidate: Totals) -> Traffic | None:
        """Of what both arms did in so many seconds; None where nothing happened."""
        requests = control.size + candidate.size
        if seconds <= 0 or not requests or not control.size:
            return None
        return cls(requests / seconds, control, ((control.units + candidate.units) or requests) / seconds, scatter(control))

    def to_json(self) -> dict[str, Any]:
        return {"rps": self.rps, "people": self.people, "control": self.control.to_json(), "worth": dict(self.worth)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Traffic:
        return cls(float(body["rps"]), Totals.from_json(body["control"]), float(body["people"]), dict(body.get("worth", {})))
