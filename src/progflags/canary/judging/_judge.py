"""
The judge: evidence in, verdict out. Pure: it reads no clock and keeps nothing.

    too much dropped                                           HOLD       what is left may be any part: it proves nothing
    any critical gate broken                                   ROLLBACK   at once, whatever else is missing
    assignment broken                                          HOLD       the data can't be trusted
    no fresh data, bake or samples not complete                HOLD       with the time it still takes
    some gate not satisfied under its policy                   HOLD       with what would change it
    otherwise                                                  PASS

No data is never good news, and a warning never rolls back. Because a gate is broken by the *most* wealth its test ever
had, a verdict can't flap: what once was ROLLBACK stays ROLLBACK. Only an absolute bound that the control comes to break as
well holds from then on, unless the candidate is worse than the control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision
from progflags.canary.judging._findings import findings, wealth
from progflags.canary.judging._integrity import FALSE_WARNINGS, advice, integrity
from progflags.canary.judging._policy import Now
from progflags.canary.judging._sentences import duration, many
from progflags.canary.sequential import Evidence, discoveries

__all__ = ["judge"]


def judge(
    evidence: Evidence,
    *,
    baked: float,
    bake: float,
    min_samples: int = 100,
    fresh: bool = True,
    share: float | None = None,
    asking: bool = True,
) -> Verdict:
    """
    What the evidence says about this stage now.

    `baked` of `bake` seconds have passed; `min_samples` are asked of each arm that is compared; `fresh`: whether the last
    batch brought data; `share`: the part of units planned for the candidate, for the sample-ratio check (None: unchecked).
    Bake, samples and freshness delay a PASS and never a ROLLBACK. `asking`: whether this look is one of those at which it is
    asked if an estimate lies inside its bound (see `asked` of `_policy`); who asks at every look gets a PASS from the luckiest.
    """
    now = Now(baked, bake, asking)
    found = tuple(finding for gate in evidence.gates for finding in findings(evidence, gate, now))
    checks = integrity(evidence, share)
    if checks.get("rejected_failed"):
        found = tuple(_unproven(finding, _too_much_dropped(checks)) for finding in found)
    decision, reason, eta = _conclude(evidence, found, checks, baked, bake, min_samples, fresh)
    notes = (*advice(evidence, checks), *_standing_out(evidence))

    def body() -> dict[str, Any]:
        told = {"evidence": evidence.to_json(), "baked": baked, "bake": bake, "min_samples": min_samples, "fresh": fresh, "share": share}
        return told if asking else {**told, "asking": False}

    return Verdict(decision, reason, found, eta, checks, notes, body)


def _standing_out(evidence: Evidence) -> tuple[str, ...]:
    """Which warnings to take seriously when there are many: all of them together, by what they are worth now."""
    warned = {claim.name: claim for claim in evidence.claims if not claim.gate.critical}
    tracks = [evidence.track(claim) for claim in warned.values()]
    found = discoveries([wealth(track.now) if track else 1.0 for track in tracks], FALSE_WARNINGS)
    if not found:
        return ()
    metrics = list(dict.fromkeys(list(warned.values())[i].gate.metric for i in found))
    of = many(len({claim.gate.metric for claim in warned.values()}), "warning")
    return (f"of {of} {' and '.join(metrics)} {'stands' if len(metrics) == 1 else 'stand'} out (at most one in ten by chance)",)


def _conclude(  # noqa: PLR0917 - one row of the table
    evidence: Evidence,
    findings: tuple[MetricResult, ...],
    checks: Mapping[str, Any],
    baked: float,
    bake: float,
    min_samples: int,
    fresh: bool,
) -> tuple[Decision, str, float | None]:
    if checks.get("rejected_failed"):
        return Decision.HOLD, _too_much_dropped(checks), None
    for finding in findings:
        if finding.decision == Decision.ROLLBACK:
            return Decision.ROLLBACK, finding.reason, None
    if checks.get("srm_failed"):
        control, candidate = checks["units"]
        planned = f"{100 * checks['share']:.4g} % was planned"
        met = f"{many(candidate, 'unit')} of the candidate against {control} of the control, where {planned}"
        return Decision.HOLD, f"assignment is broken: {met}", None
    if not fresh:
        return Decision.HOLD, "no fresh data: nothing was recorded on one of the arms lately", None
    waits = [wait for wait in (_short_of_samples(evidence, min_samples, baked), _short_of_bake(baked, bake)) if wait]
    held = [finding for finding in findings if finding.decision == Decision.HOLD]
    etas = [*(wait[1] for wait in waits), *(finding.eta for finding in held)]
    eta = max((seconds for seconds in etas if seconds is not None), default=None)
    if waits:
        return Decision.HOLD, waits[0][0], eta
    if held:
        return Decision.HOLD, held[0].reason, eta
    if not findings:
        return Decision.PASS, "the stage has no gates and its bake is over", None
    return Decision.PASS, f"{many(len(findings), 'gate')} passed: {findings[0].reason}", None


def _unproven(finding: MetricResult, why: str) -> MetricResult:
    """A finding on data of which too much was dropped: what is left may be any part of what was, so it proves nothing, good or bad."""
    return replace(finding, decision=Decision.HOLD, passed=False, proven=False, reason=why)


def _too_much_dropped(checks: Mapping[str, Any]) -> str:
    arms = [f"{checks[f'rejected_{arm}']} of the {arm}'s" for arm in ("control", "candidate") if f"rejected_{arm}" in checks]
    return f"{' and '.join(arms)} observations were dropped, more than 1 %, and what is left proves nothing: fix what is recorded"


def _short_of_samples(evidence: Evidence, least: int, baked: float) -> tuple[str, float | None] | None:
    control, candidate = evidence.samples
    compared = any(gate.relative for gate in evidence.gates)
    arm, n = ("candidate", candidate) if candidate <= control or not compared else ("control", control)
    if n >= least:
        return None
    if not n:
        return f"no data on the {arm}'s side yet", None
    eta = (least - n) * baked / n if baked > 0 else None
    return f"{n} of {many(least, 'sample')} on the {arm}'s side" + (f": about {duration(eta)} more at this traffic" if eta else ""), eta


def _short_of_bake(baked: float, bake: float) -> tuple[str, float] | None:
    return (f"baking: {duration(bake - baked)} to go", bake - baked) if baked < bake else None
