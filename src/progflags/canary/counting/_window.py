"""A window: what both arms did at one revision of a flag, as an immutable value that merges exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from progflags._printed import quoted
from progflags.canary.counting._totals import NOTHING, Moments, Totals

__all__ = ["CANDIDATE", "CONTROL", "Window"]

CONTROL: Final = "control"
CANDIDATE: Final = "candidate"


@dataclass(frozen=True, slots=True)
class Window:
    """
    Both arms' totals since counting began at `revision` of `flag`, and the readings of gauges meanwhile: none of a silent one.

    Cumulative: a batch is `later.minus(earlier)`. `workers` names the processes that are in it, so that a subtraction can
    tell a vanished worker from negative traffic. `merge` is exact, commutative and associative.
    """

    flag: str = ""
    revision: int = 0
    arms: Mapping[str, Totals] = field(default_factory=dict)
    gauges: Mapping[str, Moments] = field(default_factory=dict)
    workers: tuple[str, ...] = ()

    @property
    def control(self) -> Totals:
        return self.arms.get(CONTROL, NOTHING)

    @property
    def candidate(self) -> Totals:
        return self.arms.get(CANDIDATE, NOTHING)

    @property
    def empty(self) -> bool:
        """Whether nothing at all was observed."""
        return not any(gauge.n for gauge in self.gauges.values()) and all(totals == NOTHING for totals in self.arms.values())

    def samples(self, arm: str) -> int:
        """How many observations `arm` has."""
        return self.arms.get(arm, NOTHING).size

    def merge(self, other: Window) -> Window:
        """
        Both windows as one.

        Raises:
            ValueError: they count different flags or revisions, which no sum can mean.
        """
        if (self.flag, self.revision) != (other.flag, other.revision):
            raise ValueError(f"windows of {self.flag}@{self.revision} and {other.flag}@{other.revision} don't add up")
        return Window(
            self.flag,
            self.revision,
            {arm: self.arms.get(arm, NOTHING).merge(other.arms.get(arm, NOTHING)) for arm in {**self.arms, **other.arms}},
            {name: self.gauges.get(name, _NO).merge(other.gauges.get(name, _NO)) for name in {**self.gauges, **other.gauges}},
            tuple(sorted({*self.workers, *other.workers})),
        )

    def minus(self, earlier: Window) -> Window:
        """
        What was observed after `earlier`: a batch.

        Where a worker has vanished or a counter went back (a restart, an expired row), there is no telling, and the batch
        is empty: lost evidence is neither good nor bad news. An `earlier` of another revision is no part of this one.
        """
        if (self.flag, self.revision) != (earlier.flag, earlier.revision) or not (earlier.arms or earlier.gauges):
            return self
        arms = {arm: self.arms.get(arm, NOTHING).minus(earlier.arms.get(arm, NOTHING)) for arm in {**self.arms, **earlier.arms}}
        gauges = {name: self.gauges.get(name, _NO).minus(earlier.gauges.get(name, _NO)) for name in {**self.gauges, **earlier.gauges}}
        whole = set(earlier.workers) <= set(self.workers)
        if not (whole and all(t.sound for t in arms.values()) and all(g.sound for g in gauges.values())):
            return Window(self.flag, self.revision, workers=self.workers)
        return Window(self.flag, self.revision, arms, gauges, self.workers)

    def of(self, worker: str) -> Window:
        """The same window, said to come from `worker`."""
        return replace(self, workers=(worker,))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON of a few KiB, whatever the traffic."""
        body: dict[str, Any] = {
            "v": 1,
            "flag": self.flag,
            "revision": self.revision,
            "arms": {arm: totals.to_json() for arm, totals in self.arms.items()},
        }
        if self.gauges:
            body["gauges"] = {name: moments.to_json() for name, moments in self.gauges.items()}
        if self.workers:
            body["workers"] = list(self.workers)
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Window:
        """
        The window that `to_json` wrote.

        Raises:
            ValueError: another version wrote it.
        """
        if body.get("v") != 1:
            raise ValueError(f"a window of version {quoted(body.get('v'))} can't be read here: this is version 1")
        return cls(
            str(body["flag"]),
            int(body["revision"]),
            {arm: Totals.from_json(totals) for arm, totals in body.get("arms", {}).items()},
            {name: Moments.from_json(moments) for name, moments in body.get("gauges", {}).items()},
            tuple(body.get("workers", ())),
        )


_NO: Final = Moments()
