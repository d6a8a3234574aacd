"""One rollout as it stands: the frozen record that every step replaces whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from progflags.canary import Evidence, Window, whole
from progflags.flags import Edit
from progflags.rollout.plan import Memory, Plan, Traffic
from progflags.rollout.state._course import Course
from progflags.rollout.state._drift import Drift
from progflags.rollout.state._result import StageResult
from progflags.rollout.state._state import COOLING, SERVING, Act, State

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
    how the control was before the watch, and what has changed since. `traffic` is what was counted before the start, `recent` (seconds,
    calls) what has been since, over the last hour; `expects`: seconds that this stage and each later one will take, infinity: for
    ever; empty where nobody knows the traffic. `memory`: the control as it was during the climb, and what the watch makes of it.
    `met`: how many people the candidate met at the shares before the present one, those of several counted for each.
    `since` is when it came to its state by the wall clock of who wrote that, `began` by the store's time: None where it has none.
    `looker`: the process that looks at it (see `Lookers`), empty where nobody does yet.
    `results`: what was found at each stage that is behind. `course`: how the evidence went, look by look.
    `edit`: what is delivered is another definition of the flag; None: a variant of the one that its file has.
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
    began: float | None = None
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
    traffic: Traffic | None = None
    recent: tuple[tuple[float, int], ...] = ()
    expects: tuple[float, ...] = ()
    memory: Memory | None = None
    results: tuple[StageResult, ...] = ()
    met: int = 0
    looker: str = ""
    course: Course = field(default_factory=Course)
    edit: Edit | None = None

    @property
    def phase(self) -> State:
        """Where it stands, looking through a pause."""
        return self.resumes or State.BAKING if self.state is State.PAUSED else self.state

    @property
    def share(self) -> int:
        """How much of the traffic gets the candidate, in ppm."""
        return self.plan.final if self.state is State.COMPLETED else self.plan.share(self.stage)

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

    def cooling(self, age: float) -> float:
        """Seconds of the cool-down left, `age` seconds after the rollback. A retry asked for meanwhile does not prolong it: `advance`."""
        return max(0.0, self.cool_down - age) if self.state in COOLING else 0.0

    def sampled(self, control: int, candidate: int) -> bool:
        """Whether that many calls on the arms let the bake run: both arms, or the candidate alone where nobody else is."""
        return candidate > 0 and (control > 0 or self.share >= 1_000_000 or self.stage >= self.plan.end)

    @property
    def enough(self) -> bool:
        """Whether this stage has its minimum of samples on every arm there is."""
        least = self.plan.min_samples(self.stage)
        arms = ("candidate",) if self.share >= 1_000_000 else ("control", "candidate")
        return all(self.samples.get(arm, 0) >= least for arm in arms)

    @property
    def judged(self) -> tuple[StageResult, ...]:
        """What was found at every stage so far, and at the one it stands at."""
        if self.stage < 0:
            return self.results
        told = self.verdict
        if told is not None and self.evidence is not None:
            told = {**told, "findings": whole(self.evidence, told.get("findings", ()))}
        return (*self.results, StageResult.of((self.stage, self.share), self.baked, self.samples, told))

    @property
    def warming(self) -> bool:
        """Whether this share is too new to be compared. The watch has nobody new to warm up for."""
        return self.stage < self.plan.end and self.waited < self.plan.warm_up

    @property
    def slice(self) -> float:
        """Seconds of a slice of time by which shocks to one arm are told: sixty to a bake, and none longer than a minute."""
        return min(60.0, self.plan.bake(self.stage) / 60) or 60.0
