"""Findings: what the evidence says of each gate, its numbers and the sentence about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from progflags._trouble import swallow
from progflags.canary._gate import ANY, Gate
from progflags.canary._verdict import MetricResult, searched
from progflags.canary._words import Decision, Kind, Policy, Severity
from progflags.canary.judging._catching import smallest_caught
from progflags.canary.judging._estimates import Estimate, estimate
from progflags.canary.judging._intervals import interval
from progflags.canary.judging._policy import Now, Said, lenient
from progflags.canary.judging._sentences import difference, movement, odds
from progflags.canary.sequential import GOOD, PEER, SMALL, VERSUS, Claim, Evidence, Track, upper

__all__ = ["bounded", "findings", "ruled_out", "wealth", "whole"]

Found = TypeVar("Found")

_SUSPECT: Final = math.log(3.0)  # wealth at which a control is taken to break an absolute bound as well


def findings(evidence: Evidence, gate: Gate, now: Now) -> tuple[MetricResult, ...]:
    """What there is to say of a gate: one finding, or of one on anything one for each metric seen so far."""
    claims = evidence.claims_of(gate)
    if not claims:
        return (_nothing_seen(gate),)
    if gate.metric != ANY:
        # Of several quantiles the finding is the metric's, and its `level` and sentence say which of them decided.
        return (replace(_worst([_judged(evidence, claim, now) for claim in claims]), metric=gate.metric),)
    by_metric: dict[str, list[MetricResult]] = {}
    for claim in claims:
        by_metric.setdefault(claim.gate.metric, []).append(_judged(evidence, claim, now))
    return tuple(_worst(found) for found in by_metric.values())


_RANK = {Decision.ROLLBACK: 0, Decision.HOLD: 1, Decision.PASS: 2}


def _worst(found: list[MetricResult]) -> MetricResult:
    """The finding that decides: the gravest, and among equals the one nearest to its threshold."""
    return min(found, key=lambda one: (_RANK[one.decision], -(one.evidence_max or 0.0) / (one.threshold or 1.0)))


def _nothing_seen(gate: Gate) -> MetricResult:
    return _blank(gate, Kind.RATE, "no metric has been seen yet, so there is nothing to find an anomaly in", str(gate))


def _blank(gate: Gate, kind: Kind, reason: str, label: str) -> MetricResult:
    severity = Severity(gate.severity)
    return MetricResult(gate.metric, kind, False, Decision.HOLD, severity, None, None, None, None, None, None, None, 0, 0, reason, label)


def _judged(evidence: Evidence, claim: Claim, now: Now) -> MetricResult:
    """The finding about a claim; one that can't be made holds, and delays nobody else's rollback."""
    try:
        return _finding(evidence, claim, now)
    except Exception as error:
        swallow(f"canary metric {claim.gate.metric!r}", error)
        return _blank(claim.gate, claim.kind, _unjudged(claim, f"{type(error).__name__}: {error}"), claim.label)


def _unjudged(claim: Claim, why: str) -> str:
    return f"{claim.gate.metric} could not be judged: {why}"


def _unless_broken(claim: Claim, search: Callable[[], Found]) -> Callable[[], Found | None]:
    """A search that finds nothing instead of raising: what a verdict tells besides must not keep it from being told."""

    def searched() -> Found | None:
        try:
            return search()
        except Exception as error:
            swallow(f"canary metric {claim.gate.metric!r}", error)
            return None

    return searched


def _finding(evidence: Evidence, claim: Claim, now: Now) -> MetricResult:
    claim, track = claim.measured(evidence.totals.candidate), evidence.track(claim) or Track.start(1)
    seen = estimate(evidence, claim)
    bar = -math.log(evidence.alpha_of(claim))
    most, asked = _at_look(evidence, claim) or (track.best, bar)
    proven = _proven(evidence, claim)
    decision, reason, eta = _decide(evidence, claim, seen, track, bar, proven, now)
    return MetricResult(
        metric=claim.gate.metric,
        kind=claim.kind,
        passed=decision == Decision.PASS,
        decision=decision,
        severity=Severity(claim.gate.severity),
        baseline=seen.baseline,
        canary=seen.canary,
        effect=seen.effect,
        p_value=min(1.0, math.exp(-most)) if track.batches else None,
        evidence=wealth(track.now) if track.batches else None,
        evidence_max=wealth(most) if track.batches else None,
        threshold=wealth(asked),
        n=seen.n_baseline + seen.n_canary,
        batches=track.batches,
        reason=reason,
        gate=claim.label,
        n_baseline=seen.n_baseline,
        n_canary=seen.n_canary,
        proven=proven,
        eta=eta,
        design_effect=evidence.design_effect(claim),
        level=claim.gate.quantile,
        unit=claim.unit if claim.kind in {Kind.QUANTILE, Kind.MEAN} else "",
        _interval=_unless_broken(claim, lambda: interval(evidence, claim)),
        _detectable=_unless_broken(claim, lambda: _detectable(evidence, claim, seen)),
    )


def _proven(evidence: Evidence, claim: Claim) -> bool:
    """Whether the opposite of a regression was ever ruled out; of a tracked event's bound, whether it still is: events come after units."""
    good = evidence.track(claim, GOOD)
    if good is None:
        return False
    later = claim.kind == Kind.RATE and not claim.relative and claim.gate.metric != "error_rate"
    small, look = evidence.track(claim, SMALL), evidence.crossed(claim, GOOD)
    if look is not None and look[0] > look[1]:
        return True
    bar = -math.log(evidence.alpha) + (math.log(2) if small is not None else 0.0)  # either of two proofs will do: each has half of alpha
    return (good.now if later else good.best) >= bar or (small is not None and small.best >= bar)


def ruled_out(evidence: Evidence) -> frozenset[str]:
    """The claims, as findings call them, of which the opposite was ruled out: stages to come need not wait for it."""
    return frozenset(claim.label for claim in evidence.claims if claim.relative and _proven(evidence, claim))


def _detectable(evidence: Evidence, claim: Claim, seen: Estimate) -> float | None:
    return smallest_caught(evidence, claim) if seen.n_canary and claim.kind != Kind.GAUGE else None


def whole(evidence: Evidence, findings: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """
    Findings that were told in brief, from the evidence they were judged by, as they would have been told then: bit for bit.

    One that is whole already, or is about a claim this evidence does not know, is left as it is.
    """
    known = {claim.label: claim for claim in evidence.claims}
    return tuple(
        finding
        if "interval" in finding or (claim := known.get(finding.get("gate", ""))) is None
        else {**finding, **searched(interval(evidence, claim), _detectable(evidence, claim, estimate(evidence, claim)))}
        for finding in findings
    )


def bounded(evidence: Evidence, findings: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Those of `findings` that this evidence can bound, each with its `interval`: half of what `whole` searches for."""
    known = {claim.label: claim for claim in evidence.claims}
    ends = [
        finding.get("interval") or _ends(evidence, claim) if (claim := known.get(finding.get("gate", ""))) is not None else None
        for finding in findings
    ]
    return tuple({**finding, "interval": found} for finding, found in zip(findings, ends, strict=True) if found is not None)


def _ends(evidence: Evidence, claim: Claim) -> list[float | None] | None:
    found: list[float | None] | None = searched(_unless_broken(claim, lambda: interval(evidence, claim))(), None)["interval"]
    return found


def wealth(log: float) -> float:
    """Evidence as a number that JSON has."""
    return math.exp(min(log, 700.0))


def _decide(  # noqa: PLR0917 - one row of the table
    evidence: Evidence, claim: Claim, seen: Estimate, track: Track, bar: float, proven: bool, now: Now
) -> Said:
    """One claim's decision, its reason, and the seconds a HOLD may take."""
    broken = evidence.broken.get(claim.name)
    if broken is not None:
        return Decision.HOLD, _unjudged(claim, broken), None
    alarm = _at_look(evidence, claim)
    if alarm is None and track.best >= bar and not (track.now < bar and _shared(evidence, claim, seen, bar)):
        alarm = track.best, bar
    little = _too_little(claim, seen)
    if alarm is not None and not little:
        return _alarmed(evidence, claim, seen, *alarm)
    missing = _missing(claim, seen)
    if missing:
        return Decision.HOLD, missing, None
    silent = evidence.silent(claim)
    if silent and (track.now >= bar or (evidence.blind(claim) and claim.gate.policy != Policy.NO_ALARM)):
        return Decision.HOLD, f"{movement(claim, seen)}; {silent}", None
    if seen.refused:
        return Decision.HOLD, seen.refused, None
    said = lenient(evidence, claim, seen, proven, now)
    # An alarm about what is too little to matter is none: it makes no gate pass that would not have passed without it.
    if alarm is None or said[0] is not Decision.PASS:
        return said
    return Decision.PASS, f"{movement(claim, seen)}: {little}", None


def _too_little(claim: Claim, seen: Estimate) -> str:
    """Why both arms are too near to each other for a difference to matter, empty where they are not."""
    least = claim.gate.min_absolute
    if not claim.relative or not least or seen.baseline is None or seen.canary is None or abs(seen.canary - seen.baseline) >= least:
        return ""
    return f"they are less than {difference(claim, least)} apart, too little to matter"


def _at_look(evidence: Evidence, claim: Claim) -> tuple[float, float] | None:
    """The evidence of the planned look that decided against a claim and what it had to reach, as logarithms; None: none did."""
    look = evidence.crossed(claim)
    if look is None or look[0] <= look[1]:
        return None
    seen, asked = (-math.log(max(upper(z), 1e-300)) for z in look)
    return seen, asked


def _missing(claim: Claim, seen: Estimate) -> str:
    sides = [side for side, value in (("control", seen.baseline), ("candidate", seen.canary)) if value is None]
    if claim.kind == Kind.GAUGE and claim.gate.anomaly is not None:
        return "" if seen.canary is not None else f"{claim.gate.metric} has no reading lately: look after its source"
    if claim.kind == Kind.GAUGE and claim.relative:
        return f"{claim.gate.metric} is read for the whole process, not per arm: bound it with max or min"
    if claim.kind == Kind.GAUGE:
        return "" if seen.canary is not None else f"{claim.gate.metric} has no reading: name its source, or remove the gate"
    lacking = [side for side in sides if side == "candidate" or claim.relative]
    return f"{claim.gate.metric}: no data on the {' and the '.join(lacking)}'s side" if lacking else ""


def _alarmed(evidence: Evidence, claim: Claim, seen: Estimate, best: float, bar: float) -> Said:
    what = movement(claim, seen)
    proof = f"{odds(wealth(best))} by chance; {odds(wealth(bar))} decides"
    if _shared(evidence, claim, seen, bar):
        return Decision.HOLD, f"{what}, but the control breaks the same bound: something both share is at fault", None
    if not claim.gate.critical:
        return Decision.HOLD, f"{what}: {proof}; a warning, so nothing is rolled back", None
    return Decision.ROLLBACK, f"{what}: {proof}", None


def _shared(evidence: Evidence, claim: Claim, seen: Estimate, bar: float) -> bool:
    """
    Whether the control is or was beyond the same absolute bound, and the candidate never shown to be worse than it.

    The most the control's wealth ever was, as for the candidate: an incident of both that is over is held against neither.
    """
    if claim.relative:
        return False
    peer, versus = evidence.track(claim, PEER), evidence.track(claim, VERSUS)
    if peer is None or versus is None or seen.baseline is None or versus.best >= bar:
        return False
    beyond = seen.baseline > claim.limit if claim.up else seen.baseline < claim.limit
    return beyond or peer.best >= _SUSPECT
