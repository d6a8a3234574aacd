"""The report of one run: its evidence judged once more, where it stands, and every step that led there."""

from __future__ import annotations

from collections.abc import Sequence

from progflags.canary import CanaryReport, judge
from progflags.rollout._forecast import watched
from progflags.rollout._status import RolloutStatus, Transition
from progflags.rollout.state import Record, State

__all__ = ["report"]


def report(record: Record, status: RolloutStatus, steps: Sequence[Transition]) -> CanaryReport:
    """The report of `record`, which has evidence."""
    evidence = record.evidence
    assert evidence is not None
    verdict = judge(
        evidence,
        baked=record.baked,
        bake=0.0 if record.waived else record.plan.bake(record.stage),
        min_samples=record.plan.min_samples(record.stage),
        share=record.share / 1_000_000 if 0 < record.share < 1_000_000 else None,
    )
    told = {name: value for name, value in status.to_dict().items() if name not in {"findings", "history"}}
    extra = {
        "title": f"{record.flag}: {status.standing} at {status.percent:g} %",
        "stopped": status.stopped,
        "status": told,
        "course": record.course.to_dict(),
        "stages": [result.to_dict() for result in record.judged],
        "steps": [step.to_dict() for step in steps],
    }
    extra |= {name: value for name, value in (("said", record.reason), ("watch", watch(status))) if value}
    return CanaryReport.of(verdict, method="sequential", alpha=record.plan.alpha, evidence=evidence, extra=extra)


def watch(status: RolloutStatus) -> str:
    """What is looked at once everybody has it, and what is not; empty before."""
    if status.state not in (State.WATCHING, State.COMPLETED):
        return ""
    return f"{'is' if status.state is State.WATCHING else 'was'} watched after 100 %: {watched(status.watched_by)}"
