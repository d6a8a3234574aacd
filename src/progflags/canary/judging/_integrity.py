"""Is the experiment itself sound? Assignment, clustering, the control against itself, what ingestion refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from progflags.canary.counting import ANONYMOUS, CLUSTERED, ERRORS, GROUPS, SHARDS, TRIALS, Totals, dispersion, shards
from progflags.canary.sequential import NO_STRATA, RATIO, Evidence, Stratum, fresh, log_mean, ratio

__all__ = ["FALSE_WARNINGS", "REJECTED", "SRM_ALPHA", "advice", "integrity", "negative_control", "scatter", "srm"]

SRM_ALPHA: Final = 0.001
REJECTED: Final = 0.01  # of an arm's observations; above it nothing may pass
FALSE_WARNINGS: Final = 0.10  # of the warnings that are told to stand out, at most
_SELF: Final = 20.0  # evidence of the control against itself that is worth a word
_TOLD: Final = 1.5  # a design effect that is worth a word
_LARGE: Final = 0.2  # likewise a user's part of the candidate's traffic
_K: Final = 100.0  # concentration of the prior around the planned split


def srm(counts: Sequence[float], shares: Sequence[float], k: float = _K) -> float:
    """
    Log Bayes factor of "units are not split as planned" over "as planned": a sequential sample-ratio check.

    `counts` of assigned units per arm, never of requests: retries are an outcome. May be looked at after every unit.

    Source: Dirichlet-multinomial, Lindon & Malek (NeurIPS 2022), k = 100; checked against savvi to 1e-9.
    """
    alphas = [k * share for share in shares]
    log = math.lgamma(k) - math.lgamma(k + math.fsum(counts))
    for count, share, alpha in zip(counts, shares, alphas, strict=True):
        log += math.lgamma(alpha + count) - math.lgamma(alpha) - count * math.log(share)
    return log


def negative_control(control: Totals) -> float | None:
    """
    Evidence that the control is worse than itself: each shard of its users plays candidate once, averaged.

    An e-value of a true null by construction. Twenty or more says the noise of this service is not what the tests
    assume: tolerate more, or use longer batches.
    """
    cells = shards(control)
    trials, errors = sum(cell[0] for cell in cells), sum(cell[1] for cell in cells)
    if len(cells) < SHARDS or not errors:
        return None
    logs = [log_mean(ratio(fresh(RATIO), 1.0, True, failed, n, errors - failed, trials - n)) for n, failed in cells]
    return math.exp(min(log_mean(tuple(logs)), 700.0))


def scatter(control: Totals) -> dict[str, float]:
    """By metric how many of its requests one independent one is worth, by a control alone: of errors, where it is known whose they are."""
    trials, failed = control.cells.get(TRIALS), control.cells.get(ERRORS)
    if trials is None or failed is None or 2 * sum(control.cells.get(ANONYMOUS, ())) > sum(trials):
        return {}
    alone = NO_STRATA.close(Stratum((0, 0, sum(failed), sum(trials))), (_NOBODY, _NOBODY, failed, trials))
    return {"error_rate": max(1.0, alone.effects[1])}


_NOBODY: Final = (0,) * GROUPS


def advice(evidence: Evidence, checks: Mapping[str, Any]) -> tuple[str, ...]:
    """What the checks say about the tests that were used, and what to do about it; in sentences."""
    said = [*_dropped(evidence), *_worth(evidence)]
    if checks.get("clustered") and not evidence.named:
        scatter = f"the control's errors come in clusters (they scatter {checks['dispersion']:.2g} times as much as chance would have it)"
        mine = [claim for claim in evidence.claims if claim.gate.metric == "error_rate"]
        if any(not claim.relative for claim in mine):
            said.append(f"{scatter}, and max or min on error_rate counts each as a witness: bound it by max_increase instead")
    if checks.get("negative_control", 0.0) >= _SELF:
        said.append("the control looks worse than itself: the service is noisier than assumed; tolerate more, or use longer batches")
    return tuple(said)


def _dropped(evidence: Evidence) -> Iterator[str]:
    """What was recorded and is in no number here."""
    for arm, side in (("control", evidence.totals.control), ("candidate", evidence.totals.candidate)):
        if side.rejected:
            yield f"{side.rejected} of the {arm}'s values were dropped: none is a number it can have"


def _worth(evidence: Evidence) -> Iterator[str]:
    """What the requests are worth, and what is not known of them."""
    compared = {claim.gate.metric: claim for claim in evidence.claims if claim.name in evidence.worth and claim.relative}
    own = {claim.gate.metric: claim for claim in evidence.claims if not claim.relative and evidence.told_apart(claim)}
    for metric, claim in {**own, **compared}.items():
        effect = evidence.design_effect(claim) or 1.0
        if effect >= _TOLD and not evidence.independent(claim):
            said = f"{effect:.2g}" if effect < 10 else f"{effect:.0f}"
            yield f"{metric}: requests of one user go together, so these are worth about 1 in {said} independent ones"
    known = [claim for claim in compared.values() if not evidence.independent(claim)]
    if not evidence.named and known:
        where = "a slice of time counts as one user's, and requests of one user in several of them as independent"
        yield f"whose requests these are is not known: {where}; record the unit"
    elif (largest := max((evidence.worth[claim.name].largest for claim in known), default=0.0)) >= _LARGE:
        yield f"one user is {largest:.0%} of the candidate's traffic".replace("%", " %")


def integrity(evidence: Evidence, share: float | None) -> dict[str, Any]:
    """
    The checks at the present revision, by name. `share`: the part of units planned for the candidate, None: not checked.

    A unit that two workers met is counted by both. So the check uses counts divided by the number of workers: the geometric
    mean of the workers' Bayes factors, whose expectation is at most one however their units overlap.
    """
    totals = evidence.totals
    control, candidate = totals.control, totals.candidate
    found: dict[str, Any] = {"units": [control.units, candidate.units]}
    if share is not None and 0 < share < 1 and (control.units or candidate.units):
        workers = max(1, len(totals.workers))
        log = srm((candidate.units / workers, control.units / workers), (share, 1 - share))
        found |= {"srm": math.exp(min(log, 700.0)), "srm_failed": log >= -math.log(SRM_ALPHA), "share": share}
    for arm, side in (("control", control), ("candidate", candidate)):
        if side.rejected:
            found[f"rejected_{arm}"] = side.rejected
            found["rejected_failed"] = found.get("rejected_failed", False) or side.rejected > REJECTED * (side.requests + side.rejected)
    scatter = dispersion(control)
    if scatter is not None:
        found |= {"dispersion": scatter, "clustered": scatter > CLUSTERED}
    itself = negative_control(control)
    if itself is not None:
        found["negative_control"] = itself
    return found
