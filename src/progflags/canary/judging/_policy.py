"""What lets a gate pass that has raised no alarm: its policy, and when it is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from progflags.canary._words import Decision, Kind, Policy
from progflags.canary.judging._catching import catching, smallest_caught, times
from progflags.canary.judging._estimates import Estimate
from progflags.canary.judging._proofs import provable, proving
from progflags.canary.judging._sentences import difference, duration, movement, quantity, regression
from progflags.canary.sequential import Claim, Evidence

__all__ = ["Now", "Said", "asked", "lenient", "needed", "next_asked", "wanted"]

Said = tuple[Decision, str, float | None]

_STEPS = 1.25  # what was not inside its bound at the end of the bake is asked again after a quarter more, and so on


def asked(before: float, baked: float, bake: float) -> bool:
    """
    Whether a look at `baked` seconds, the last one having been at `before`, asks if the estimates lie inside their bounds.

    It is asked at the end of the bake, on all its data, and from then on whenever a quarter more has baked. Asked at every look, a
    candidate twice as bad as tolerated passes at the first at which it was lucky.
    """
    return bake <= 0 or baked < bake or _rung(baked, bake) > (_rung(before, bake) if before >= bake else -1)


def _rung(baked: float, bake: float) -> int:
    return math.floor(math.log(baked / bake) / math.log(_STEPS) + 1e-9)


def next_asked(baked: float, bake: float) -> float:
    """The first moment from `baked` on at which it is asked."""
    if bake <= 0 or not bake < baked < math.inf:
        return max(baked, bake)
    return float(bake * _STEPS ** math.ceil(math.log(baked / bake) / math.log(_STEPS) - 1e-9))


@dataclass(frozen=True, slots=True)
class Now:
    """Where the bake stands at this look."""

    baked: float
    bake: float
    asking: bool

    @property
    def next(self) -> float | None:
        """Seconds until it is asked again whether the estimates lie inside their bounds; None where that is at every look."""
        if self.bake <= 0 or self.baked < self.bake:
            return None
        return max(0.0, float(self.bake * _STEPS ** (_rung(self.baked, self.bake) + 1)) - self.baked)


def lenient(evidence: Evidence, claim: Claim, seen: Estimate, proven: bool, now: Now) -> Said:
    """No alarm: what the gate's policy makes of that."""
    policy, what = claim.gate.policy, movement(claim, seen)
    if policy == Policy.NO_ALARM or claim.gate.anomaly is not None:
        return Decision.PASS, f"{what}; no evidence against it", None
    if policy == Policy.PROVEN:
        if proven:
            return Decision.PASS, f"{what}; {_worse(claim)} is ruled out", None
        return Decision.HOLD, f"{what}; not yet ruled out: {_worse(claim)}", None
    if not seen.inside:
        return Decision.HOLD, f"{what}: worse than that, though it may still be chance", now.next
    if proven:
        return Decision.PASS, f"{what}; {_worse(claim)} is ruled out", None
    if policy == Policy.DETECTABLE and (unseen := _unseen(evidence, claim, seen, now.baked)) is not None:
        return unseen
    if not now.asking:
        return Decision.HOLD, f"{what}: inside the bound; it is asked again in {duration(now.next or 0.0)}", now.next
    if policy == Policy.OBSERVED:
        return Decision.PASS, f"{what}: inside the bound", None
    return Decision.PASS, f"{what}; {wanted(claim, seen)} would have been caught by now", None


def _unseen(evidence: Evidence, claim: Claim, seen: Estimate, baked: float) -> Said | None:
    """Why a regression that matters could have gone unnoticed so far, None where it could not."""
    metric, least = claim.gate.metric, claim.gate.min_absolute
    caught = catching(evidence, claim, needed(claim, seen))
    if caught(1.0):
        return None
    if claim.relative and not least and seen.baseline == 0 and seen.canary == 0 and claim.kind in {Kind.RATE, Kind.COUNT, Kind.MEAN}:
        hint = "no factor of nothing can be seen; say with min_absolute what would matter, or add max"
        return Decision.HOLD, f"{metric}: none on either side, and {hint}", None
    # What is proven needs no visibility, so whichever comes first.
    proved = proving(evidence, claim) if provable(claim) else None
    scale = times(lambda more: caught(more) or (proved is not None and proved(more)))
    eta = None if scale is None or baked <= 0 else (scale - 1) * baked
    smallest = smallest_caught(evidence, claim) if seen.baseline or not claim.relative else None
    so_far = f"so far {regression(claim, smallest)} would" if smallest is not None else "so far nothing would"
    more = f"; about {duration(eta)} more at this traffic" if eta is not None else ""
    if scale is not None and baked <= 0:
        more = f"; it takes about {scale:.2g} times the data"
    return Decision.HOLD, f"{metric}: {wanted(claim, seen)} would not yet have been caught ({so_far}){more}", eta


def needed(claim: Claim, seen: Estimate) -> float:
    """The regression that matters, as a fraction: of the control's value, or of the bound."""
    if not claim.relative:
        return claim.matters(claim.limit)
    return claim.matters(seen.baseline or (0.5 / seen.n_baseline if seen.n_baseline else 0.0))


def wanted(claim: Claim, seen: Estimate) -> str:
    """The same in words."""
    size, least = needed(claim, seen), claim.gate.min_absolute
    if not least or size <= claim.gate.detect(up=claim.up):
        return regression(claim, size)
    return f"a {'rise' if claim.up else 'fall'} of {difference(claim, least)}"


def _worse(claim: Claim) -> str:
    """What is to be ruled out under the policy `proven`."""
    if not claim.relative:
        return f"{'more' if claim.up else 'less'} than {quantity(claim.kind, claim.limit, claim.unit)}"
    least = claim.gate.min_absolute
    also = f" that is more than {difference(claim, least)}" if least else ""
    return f"{regression(claim, abs(claim.worst - 1))}{also}"
