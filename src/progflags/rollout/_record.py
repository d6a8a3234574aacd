"""One rollout as it stands: the frozen record that every step replaces whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from progflags.canary import Evidence, Window
from progflags.rollout._drift import Drift
from progflags.rollout._plan import Plan
from progflags.rollout._state import SERVING, Act, State

__all__ = ["NO_SAMPLES", "Record"]

NO_SAMPLES: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Record:
    """
    A rollout of one flag. `stage` is -1 before the first, the number of stages from the watch on.

    `baked`: seconds that counted for the stage's bake. `waited`: seconds some controller was alive since its share was set
    (the deadline's clock). `samples`: calls per arm in this stage. `window`: the last merged cumulative window, so that the
    next batch is what came since. `number` and `head`: how many lines of history there are, and the hash of the last.
    `last` and `moved_by` say what the last step was and who took it; `resumes` where a pause returns to. `strikes` counts
    the rollbacks since the last rollout that was completed; `reach` is the highest share (ppm) this run has served. `drift`:
    how the control was before the watch, and what has changed since.
    """

    flag: str
    plan: Plan
    state: State = State.DRAFT
    stage: int = -1
    run: int = 0
    baked: float = 0.0
    waited: float = 0.0
    waived: bool = False
    samples: Mapping[str, int] = field(default_factory=lambda: NO_SAMPLES)
    approved: tuple[int, ...] = ()
    resumes: State | None = None
    strikes: int = 0
    reach: int = 0
    since: float = 0.0
    last: Act | None = None
    moved_by: str = ""
    started_by: str = ""
    reason: str = ""
    number: int = 0
    head: str = ""
    verdict: Mapping[str, Any] | None = None
    evidence: Evidence | None = None
    window: Window | None = None
    drift: Drift | None = None

    @property
    def phase(self) -> State:
        """Where it stands, looking through a pause."""
        return self.resumes or State.BAKING if self.state is State.PAUSED else self.state

    @property
    def share(self) -> int:
        """How much of the traffic gets the candidate, in ppm."""
        return self.plan.share(self.stage)

    @property
    def serving(self) -> bool:
        """Whether the candidate serves and evidence about it is gathered."""
        return self.state in SERVING and self.stage >= 0

    @property
    def bake_left(self) -> float:
        """Seconds the stage (or the watch) still has to bake."""
        return 0.0 if self.waived else max(0.0, self.plan.bake(self.stage) - self.baked)

    @property
    def cool_down(self) -> float:
        """Seconds to wait after the last rollback: the plan's, doubled by each rollback after the first, up to 64 times."""
        return self.plan.cool_down * 2.0 ** min(max(0, self.strikes - 1), 6)

    def cooling(self, now: float) -> float:
        """Seconds of the cool-down left at `now`, by the wall clock: a person's `retry` is all it holds back."""
        if self.state not in (State.ROLLED_BACK, State.COOLING_DOWN):
            return 0.0
        return max(0.0, self.cooled_at - now)

    @property
    def cooled_at(self) -> float:
        """When (wall) the cool-down ends. A retry asked for meanwhile does not prolong it, see `advance`."""
        return self.since + self.cool_down

    def sampled(self, control: int, candidate: int) -> bool:
        """Whether that many calls on the arms let the bake run: both arms, or the candidate alone where nobody else is."""
        return candidate > 0 and (control > 0 or self.share >= 1_000_000)

    @property
    def enough(self) -> bool:
        """Whether this stage has its minimum of samples on every arm there is."""
        least = self.plan.min_samples(self.stage)
        arms = ("candidate",) if self.share >= 1_000_000 else ("control", "candidate")
        return all(self.samples.get(arm, 0) >= least for arm in arms)

    def enter(self, stage: int) -> Record:
        """
        At the beginning of `stage`: clocks and counts at zero, the evidence handed on to its gates.

        Leaving for no stage (-1) keeps verdict, evidence and samples: they are what people will want to read.
        """
        if stage < 0:
            return replace(self, stage=-1, waived=False, window=None)
        gates = self.plan.gates(stage)
        if self.evidence is None:  # alpha is divided among the gates of the whole climb, not only those that come first
            later = [gate for other in range(stage + 1, self.plan.end + 1) for gate in self.plan.gates(other)]
            evidence = Evidence.start(gates, self.plan.alpha, later=later, looks=self.plan.end if self.plan.look else 0)
        else:
            evidence = self.evidence.stage(gates)
        drift = Drift.of(self.evidence.totals) if stage >= self.plan.end and self.evidence is not None else None
        return replace(
            self,
            drift=drift,
            stage=stage,
            baked=0.0,
            waited=0.0,
            waived=False,
            samples=NO_SAMPLES,
            window=None,
            evidence=evidence,
            verdict=None,
            reach=max(self.reach, self.plan.share(stage)),
        )

    @property
    def warming(self) -> bool:
        """Whether this share is too new to be compared. The watch has nobody new to warm up for."""
        return self.stage < self.plan.end and self.waited < self.plan.warm_up

    def look(self) -> Record:
        """With the exact look that the plan sets at the end of a bake, once it is there; looking again changes nothing."""
        if self.evidence is None or self.waived or self.warming or self.baked < self.plan.bake(self.stage):
            return self
        return replace(self, evidence=self.evidence.look())

    def add(self, window: Window, batch: Window, step: float) -> Record:
        """With one batch of evidence, which took `step` seconds. The bake grows only while the rollout is climbing, and warm."""
        control, candidate = batch.samples("control"), batch.samples("candidate")
        counts = self.state is not State.PAUSED and not self.warming and self.sampled(control, candidate)
        return replace(
            self,
            window=window,
            evidence=None if self.evidence is None else self.evidence.add(batch, warming=self.warming),
            baked=self.baked + (step if counts else 0.0),
            waited=self.waited + (step if self.state is not State.PAUSED else 0.0),
            samples={
                "control": self.samples.get("control", 0) + control,
                "candidate": self.samples.get("candidate", 0) + candidate,
            },
        )
