"""A rollout at the beginning of one of its stages."""

from __future__ import annotations

from dataclasses import replace

from progflags.canary import Evidence
from progflags.rollout.plan import expected, fitting
from progflags.rollout.state._drift import Drift
from progflags.rollout.state._pace import known, meeting, proven
from progflags.rollout.state._record import NO_SAMPLES, Record
from progflags.rollout.state._watched import bounded, judged

__all__ = ["enter"]


def enter(record: Record, stage: int) -> Record:
    """
    At the beginning of `stage`: clocks and counts at zero, the evidence handed on to its gates.

    Leaving for no stage (-1) keeps verdict, evidence and samples: they are what people will want to read.
    """
    results = record.judged
    if stage < 0:
        return replace(record, stage=-1, waived=False, window=None, results=results)
    traffic = known(record)
    shown, met = proven(record), record.met + meeting(record)
    plan = record.plan.fit(stage, fitting(record.plan, stage, traffic, shown, met)) if stage < record.plan.end else record.plan
    stays = record.stage >= 0 and plan.share(stage) == record.share  # the same share: nothing is served anew, so counting goes on
    gates, memory = judged(plan, stage), record.memory
    if stage >= plan.end and memory is not None:
        worth = {} if record.evidence is None else _worth(record.evidence)
        memory = memory.begin(worth, plan.watch, plan.alpha)
        bound = bounded(gates)
        gates = (*gates, *memory.bounds(gate for gate in plan.compared if gate.metric not in bound))
    if record.evidence is None:  # alpha is divided among the gates of the whole climb, not only those that come first
        later = [gate for other in range(stage + 1, plan.end + 1) for gate in judged(plan, other)]
        evidence = Evidence.start(gates, plan.alpha, later=later, looks=plan.end if plan.look else 0)
    else:
        evidence = record.evidence.stage(gates)
    drift = Drift.of(record.evidence.totals) if stage >= record.plan.end and record.evidence is not None else None
    return replace(
        record,
        plan=plan,
        drift=drift,
        memory=memory,
        expects=expected(plan, stage, traffic, shown, met),
        met=record.met if stays else met,
        stage=stage,
        baked=0.0,
        waited=0.0,
        waived=False,
        samples=NO_SAMPLES,
        window=record.window if stays else None,
        evidence=evidence,
        verdict=None,
        reach=max(record.reach, plan.share(stage)),
        results=results,
    )


def _worth(evidence: Evidence) -> dict[str, float]:
    """By metric how many of its calls are worth one independent one, by the last comparison there was."""
    found: dict[str, float] = {}
    for claim in evidence.claims:
        worth = evidence.worth.get(claim.name)
        if worth is not None:
            found[claim.gate.metric] = max(found.get(claim.gate.metric, 1.0), worth.strict)
    return found
