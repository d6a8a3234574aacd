"""One rollout as it stands: the frozen record that every step replaces whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from progflags.canary import Evidence, Gate, Kind, Window, ruled_out, whole
from progflags.rollout.plan import Memory, Plan, Traffic, expected, fitting, remembers
from progflags.rollout.state._drift import Drift
from progflags.rollout.state._result import StageResult
from progflags.rollout.state._state import COOLING, SERVING, Act, State

__all__ = ["NO_SAMPLES", "Record"]

_SLOT: Final = 300.0
_SLOTS: Final = 12
_SETTLED: Final = 60.0  # seconds after which the traffic seen is worth more than what was counted before the start
_SHAPED: Final = 100  # calls of the control after which it shows what they are like

_CLIMBING: Final = frozenset({State.RAMPING, State.BAKING, State.JUDGING, State.HELD})

_RANKS: Final = ("control", "remembered", "bound", "nothing")

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
    `results`: what was found at each stage that is behind.
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

    def enter(self, stage: int) -> Record:
        """
        At the beginning of `stage`: clocks and counts at zero, the evidence handed on to its gates.

        Leaving for no stage (-1) keeps verdict, evidence and samples: they are what people will want to read.
        """
        results = self.judged
        if stage < 0:
            return replace(self, stage=-1, waived=False, window=None, results=results)
        traffic = self.known
        proven, met = self.proven, self.met + self._meeting
        plan = self.plan.fit(stage, fitting(self.plan, stage, traffic, proven, met)) if stage < self.plan.end else self.plan
        stays = self.stage >= 0 and plan.share(stage) == self.share  # the same share: nothing is served anew, so counting goes on
        gates, memory = _judged(plan, stage), self.memory
        if stage >= plan.end and memory is not None:
            worth = {} if self.evidence is None else _worth(self.evidence)
            memory = memory.begin(worth, plan.watch, plan.alpha)
            bounded = _bounded(gates)
            gates = (*gates, *memory.bounds(gate for gate in plan.compared if gate.metric not in bounded))
        if self.evidence is None:  # alpha is divided among the gates of the whole climb, not only those that come first
            later = [gate for other in range(stage + 1, plan.end + 1) for gate in _judged(plan, other)]
            evidence = Evidence.start(gates, plan.alpha, later=later, looks=plan.end if plan.look else 0)
        else:
            evidence = self.evidence.stage(gates)
        drift = Drift.of(self.evidence.totals) if stage >= self.plan.end and self.evidence is not None else None
        return replace(
            self,
            plan=plan,
            drift=drift,
            memory=memory,
            expects=expected(plan, stage, traffic, proven, met),
            met=self.met if stays else met,
            stage=stage,
            baked=0.0,
            waited=0.0,
            waived=False,
            samples=NO_SAMPLES,
            window=self.window if stays else None,
            evidence=evidence,
            verdict=None,
            reach=max(self.reach, plan.share(stage)),
            results=results,
        )

    @property
    def judged(self) -> tuple[StageResult, ...]:
        """What was found at every stage so far, and at the one it stands at."""
        if self.stage < 0:
            return self.results
        told = self.verdict
        if told is not None and self.evidence is not None:
            told = {**told, "findings": whole(self.evidence, told.get("findings", ()))}
        return (*self.results, StageResult.of((self.stage, self.share), self.baked, self.samples, told))

    def remembering(self, batch: Window, now: float, step: float) -> Record:
        """With what a batch says of the control, or in the watch of the candidate, against what is remembered."""
        if not self.plan.remember:
            return self
        memory = self.memory or Memory()
        if self.stage < self.plan.end:
            memory = memory.learn(self.plan.compared, batch.control, now) if not self.warming else memory
        elif not self.plan.holdback or self.share >= 1_000_000:
            memory = memory.look(self.plan.compared, batch.candidate, now, step)
        return replace(self, memory=memory)

    @property
    def watched(self) -> str:
        """Which absolute bounds the control has set for the watch, in words; empty before it, and where there are none."""
        if self.stage < self.plan.end or self.evidence is None or (self.state is not State.WATCHING and self.baked):
            return ""
        own = {str(gate) for gate in self.plan.gates(self.stage)}
        bounds = [str(gate) for gate in self.evidence.gates if str(gate) not in own]
        return f"bounds from the control as it was: {'; '.join(bounds)}" if bounds else ""

    @property
    def watched_by(self) -> dict[str, str]:
        """By metric what watches it after 100 %: control, remembered, bound, nothing; before that, what will if the climb teaches it."""
        plan, found = self.plan, dict[str, str]()
        watching = self.stage >= plan.end and self.evidence is not None
        now = self.evidence.gates if watching and self.evidence is not None else plan.gates(plan.end)
        bounded = _bounded(now)
        for gate in (*plan.gates(plan.end), *plan.all_gates):
            known = plan.remember and all(one in plan.compared for one in gate.each)
            known = known and (not watching or (self.memory is not None and all(map(self.memory.knows, gate.each))))
            if plan.watch <= 0:
                by = "nothing"
            elif plan.holdback and gate.relative and gate.kind != Kind.GAUGE and self.state is not State.COMPLETED:
                by = "control"
            else:
                by = "remembered" if known else "bound" if all(one.metric in bounded for one in gate.each) else "nothing"
            if _RANKS.index(by) < _RANKS.index(found.get(gate.metric, "nothing")) or gate.metric not in found:
                found[gate.metric] = by
        return found

    @property
    def eta(self) -> float | None:
        """Seconds until everybody has it, at the traffic there is; in the watch, until it ends. None: never, or nobody knows."""
        if self.state is State.WATCHING:
            return self.bake_left
        if self.state not in _CLIMBING or not self.expects:
            return None
        held = None if self.verdict is None else self.verdict.get("eta")
        here = max(self.expects[0] - self.baked, self.bake_left)
        if held is not None and self.bake_left <= 0:
            here = max(float(held), 0.0)  # the judge saw what there really is
        whole = here + sum(self.expects[1:])
        return whole if whole < math.inf else None

    def expecting(self) -> Record:
        """With how long this stage and the later ones will take, at the traffic there is by now."""
        if not 0 <= self.stage < self.plan.end:
            return self
        return replace(self, expects=expected(self.plan, self.stage, self.known, self.proven, self.met))

    @property
    def proven(self) -> frozenset[str]:
        """The bounds of which the opposite has been ruled out, for this stage and all that follow."""
        return frozenset() if self.evidence is None else ruled_out(self.evidence)

    @property
    def _meeting(self) -> int:
        """How many people the candidate has met at the present share; whom nobody told apart counts as one for each call."""
        return 0 if self.evidence is None or self.stage < 0 else self.evidence.totals.candidate.bases

    @property
    def known(self) -> Traffic | None:
        """The traffic as far as it is known: what this stage met over the last hour, else what was counted before the start."""
        seconds, calls = (sum(column) for column in zip(*self.recent, strict=True)) if self.recent else (0.0, 0)
        totals = None if self.evidence is None else self.evidence.totals
        if totals is None or seconds < _SETTLED or totals.control.size < _SHAPED:
            return self.traffic
        people = (totals.control.units + totals.candidate.units) / self.waited if self.waited > 0 else 0.0
        worth = {} if self.evidence is None else self.evidence.design_effects
        return Traffic(calls / seconds, totals.control, people or calls / seconds, worth)

    @property
    def warming(self) -> bool:
        """Whether this share is too new to be compared. The watch has nobody new to warm up for."""
        return self.stage < self.plan.end and self.waited < self.plan.warm_up

    @property
    def slice(self) -> float:
        """Seconds of a slice of time by which shocks to one arm are told: sixty to a bake, and none longer than a minute."""
        return min(60.0, self.plan.bake(self.stage) / 60) or 60.0

    def look(self) -> Record:
        """With the planned look that is due: at each twelfth of the stage's bake. Looking again changes nothing."""
        bake = self.plan.bake(self.stage)
        if self.evidence is None or self.waived or self.warming or bake <= 0 or self.baked <= 0:
            return self
        return replace(self, evidence=self.evidence.look(self.baked / bake))

    def add(self, window: Window, batch: Window, step: float) -> Record:
        """With one batch of evidence, which took `step` seconds. The bake grows only while the rollout is climbing, and warm."""
        control, candidate = batch.samples("control"), batch.samples("candidate")
        counts = self.state is not State.PAUSED and not self.warming and self.sampled(control, candidate)
        return replace(
            self,
            window=window,
            evidence=None if self.evidence is None else self.evidence.add(batch, warming=self.warming, seconds=step, slice=self.slice),
            baked=self.baked + (step if counts else 0.0),
            waited=self.waited + (step if self.state is not State.PAUSED else 0.0),
            samples={
                "control": self.samples.get("control", 0) + control,
                "candidate": self.samples.get("candidate", 0) + candidate,
            },
            recent=_slotted(self.recent, step, control + candidate),
        )


def _bounded(gates: Iterable[Gate]) -> set[str]:
    """The metrics that have an absolute bound."""
    return {one.metric for gate in gates if gate.max is not None or gate.min is not None for one in gate.each}


def _judged(plan: Plan, stage: int) -> tuple[Gate, ...]:
    """The gates that evidence of both arms speaks about: in a watch without a control what compares is for the memory."""
    gates = plan.gates(stage)
    return gates if stage < plan.end or plan.holdback or not plan.remember else tuple(gate for gate in gates if not remembers(gate))


def _worth(evidence: Evidence) -> dict[str, float]:
    """By metric how many of its calls are worth one independent one, by the last comparison there was."""
    found: dict[str, float] = {}
    for claim in evidence.claims:
        worth = evidence.worth.get(claim.name)
        if worth is not None:
            found[claim.gate.metric] = max(found.get(claim.gate.metric, 1.0), worth.strict)
    return found


def _slotted(recent: tuple[tuple[float, int], ...], step: float, calls: int) -> tuple[tuple[float, int], ...]:
    """The last hour in slots of five minutes, the newest last."""
    if recent and recent[-1][0] < _SLOT:
        (seconds, before), recent = recent[-1], recent[:-1]
        step, calls = seconds + step, before + calls
    return (*recent, (step, calls))[-_SLOTS:]
