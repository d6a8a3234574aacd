"""
An absolute bound: the candidate's own counts against it, on what they are worth.

Requests of one user fail together, so counts are divided by the candidate's own design effect where it is known whose they are: one
user all of whose calls fail is one witness, not a thousand. Where it is not known nothing is divided, for a bound that says nothing
is worse than one that counts a retry twice; nor where one user is most of the candidate, for whom an absolute bound is the only gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.sequential._claims import Claim
from progflags.canary.sequential._comparison import Ledger, Worth
from progflags.canary.sequential._counted import counted, exact
from progflags.canary.sequential._design_effect import NO_STRATA, Strata, Stratum
from progflags.canary.sequential._learned import GOOD, Learned
from progflags.canary.sequential._sequential import LEVEL, fresh, level, log_mean, per_exposure

__all__ = ["Bounded", "against", "bounded"]


_ALONE: Final = 1.5  # users that the candidate's traffic is worth, below which it is one user's
Arm = tuple[float, float]  # events and trials, on what they are worth


@dataclass(frozen=True, slots=True)
class Bounded:
    """
    Both arms over the whole rollout: their strata, what the candidate's requests are worth, whether it is known whose they are, and
    each arm's events and trials on what they are worth.
    """

    strata: Strata
    worth: Worth
    told: bool
    candidate: Arm
    control: Arm

    @property
    def apart(self) -> float:
        """The design effect of a comparison of the two."""
        return self.strata.effect(strict=True) if self.told else 1.0

    def since(self, evidence: Learned, claim: Claim, *, proof: bool = False) -> dict[int, tuple[Arm, Arm]]:
        """
        Both arms' since each restart, by its number: their own design effect is known no sooner than they are.

        Of an alarm it is looked for only where they would speak against the candidate without.
        """
        found = {}
        for number, cells in evidence.restarts.items():
            part = counted(evidence, claim, proof=proof, since=cells)
            if part is None:
                continue
            row = Stratum((sum(part[0]), sum(part[1]), sum(part[2]), sum(part[3])))
            own, others = self.worth.effect, 1.0
            if self.told and (proof or _speaks(claim, row.counts[:2])):
                mine, others = _effects(NO_STRATA.close(row, part))
                own = max(own, mine)
            found[number] = _worth(Strata((row,)), own, others)
        return found


def _speaks(claim: Claim, candidate: Arm) -> bool:
    """Whether so many events in so many trials are beyond the bound at all."""
    x, n = candidate
    allowed = n * (1 - (claim.gate.quantile or 0.5) if claim.kind == Kind.QUANTILE else claim.limit)
    return x > allowed if claim.up else x < allowed


def bounded(evidence: Learned, claim: Claim, *, proof: bool = False) -> Bounded | None:
    """What is held against a claim's bound; None where nothing was counted. `proof`: rounded for what must not be proven too soon."""
    counts = counted(evidence, claim, proof=proof)
    if counts is None:
        return None
    ledger = evidence.ledgers.get(f"{claim.name}/{GOOD}" if proof else claim.name) or Ledger()
    strata, _ = ledger.now(counts, exact(evidence, claim, proof=proof))
    worth = Worth.of(strata, counts)
    told = evidence.told_apart(claim) and worth.equal > _ALONE
    own, others = _effects(strata) if told else (1.0, 1.0)
    candidate, control = _worth(strata, own, others)
    return Bounded(strata, replace(worth, effect=own, strict=own), told, candidate, control)


def _effects(strata: Strata) -> tuple[float, float]:
    """Each arm's own design effect, never below 1."""
    candidate, control, _ = strata.effects
    return max(1.0, candidate), max(1.0, control)


def _worth(strata: Strata, own: float, others: float) -> tuple[Arm, Arm]:
    """Both arms' events and trials, divided by their design effects."""
    x_c, n_c, x_b, n_b = (sum(row.counts[i] for row in strata.rows) for i in range(4))
    return (x_c / own, n_c / own), (x_b / others, n_b / others)


def against(claim: Claim, limit: float, up: bool, counts: Arm) -> float:
    """Log of the evidence that events come more often than `limit` (`up`), or less."""
    x, n = counts
    if claim.kind == Kind.QUANTILE:
        limit = 1 - (claim.gate.quantile or 0.5)
    test = per_exposure if claim.kind == Kind.COUNT else level
    return log_mean(test(fresh(LEVEL), limit, up, x, n))
