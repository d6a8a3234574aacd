"""A claim's counts: by group of users, and both arms' sums where these are known more exactly."""

from __future__ import annotations

from collections.abc import Mapping

from progflags.canary._words import Kind
from progflags.canary.counting import Cells, Sample
from progflags.canary.sequential._claims import Claim
from progflags.canary.sequential._comparison import Groups, groups, names
from progflags.canary.sequential._design_effect import Counts
from progflags.canary.sequential._learned import Learned

__all__ = ["counted", "exact"]


def counted(evidence: Learned, claim: Claim, *, proof: bool = False, since: Mapping[str, Cells] | None = None) -> Groups | None:
    """
    A claim's counts by group at the present revision, or since a restart; None where there are none.

    A comparison counts since the candidate was warm, an absolute bound from the first call on.
    """
    totals = evidence.totals
    columns = names(claim, totals.control, totals.candidate, evidence.places_of(claim), proof=proof)
    if columns is None:
        return None
    if since is None:
        since = evidence.since if claim.relative else {}
    return groups(totals.candidate.cells, totals.control.cells, columns, since)


def exact(evidence: Learned, claim: Claim, *, proof: bool = False) -> Counts | None:
    """
    Of a quantile's absolute bound the counts at the bound itself, which lies between two edges; None of other claims.

    Where even these are not known exactly each arm's are rounded to where they are no help: the candidate's to the alarm, or the proof.
    """
    if claim.relative or claim.kind != Kind.QUANTILE:
        return None
    c, b = (arm.samples.get(claim.gate.sample) or _EMPTY for arm in (evidence.totals.candidate, evidence.totals.control))
    few = claim.up != proof
    return c.more_than(claim.limit, few=few), c.n, b.more_than(claim.limit, few=not few), b.n


_EMPTY = Sample()
