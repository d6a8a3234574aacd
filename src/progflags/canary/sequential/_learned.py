"""Learned: what a rollout has seen so far, as one immutable value, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Final

from progflags.canary._gate import ANY, Gate
from progflags.canary._words import Kind
from progflags.canary.counting import ANONYMOUS, OVERFLOW, Cells, Places, Window, around, completed
from progflags.canary.sequential._claims import Claim, claims, seen
from progflags.canary.sequential._comparison import Ledger, Worth
from progflags.canary.sequential._means import Means
from progflags.canary.sequential._planned import LOOKS, bounds
from progflags.canary.sequential._track import Track

__all__ = ["BAD", "GOOD", "WARM", "Learned"]

BAD: Final = "bad"  # the test of a claim that speaks against the candidate
GOOD: Final = "good"  # and the one that rules out its opposite
WARM: Final = 200  # control observations before a quantile of it is a threshold
_OPEN: Final = 0.2  # of a claim's alpha, for continuous watching where looks are planned as well


@dataclass(frozen=True)  # without slots: what is worked out of it is remembered
class Learned:
    """The fields of Evidence, which see."""

    gates: tuple[Gate, ...]
    alpha: float = 0.05
    alphas: Mapping[str, float] = field(default_factory=dict)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    means: Mapping[str, Means] = field(default_factory=dict)
    worth: Mapping[str, Worth] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    totals: Window = field(default_factory=Window)
    since: Mapping[str, Cells] = field(default_factory=dict)
    restarts: Mapping[int, Mapping[str, Cells]] = field(default_factory=dict)
    restarted: int = 0
    samples: tuple[int, int] = (0, 0)
    batches: int = 0
    stages: int = 0
    modes: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    looked: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    look_at: int = 0
    looks: int = 0
    steps: int = LOOKS
    age: float = 0.0
    open: bool = False
    live: bool = True
    warm: int = WARM

    def planned(self, claim: Claim) -> bool:
        """Whether there are planned looks at this claim: it compares."""
        return self.looks > 0 and claim.relative and claim.kind != Kind.GAUGE

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """What is being claimed, in the order of the gates; an anomaly gate claims something of each metric seen so far."""
        return tuple(claim for gate in self.gates for claim in self.claims_of(gate))

    def claims_of(self, gate: Gate) -> tuple[Claim, ...]:
        """The claims of one of the gates."""
        if gate.metric != ANY:
            return claims(gate)
        watched = {other.metric: other for other in seen(self.totals)}
        return tuple(claim for name in self.found if name in watched for claim in claims(_like(watched[name], gate)))

    def alpha_of(self, claim: Claim) -> float:
        """How much of alpha continuous watching of this claim may spend, over the whole rollout."""
        return self.share_of(claim) * (_OPEN if self.planned(claim) else 1.0)

    def bounds_of(self, claim: Claim, *, proof: bool = False) -> tuple[float, ...]:
        """The bounds of the planned looks of a stage at this claim; none where there are none."""
        if not self.planned(claim) or self.stages >= self.looks:
            return ()
        alpha = self.alpha if proof else self.share_of(claim) / self.looks
        return bounds(float(f"{alpha * (1 - _OPEN):.6g}"), self.steps)

    def share_of(self, claim: Claim) -> float:
        """The claim's part of alpha, continuous and planned; a warning takes none of the rollout's and has its own."""
        if not claim.gate.critical:
            return self.alpha
        known = self.alphas.get(claim.name)
        if known is not None:
            return known
        # Found by an anomaly gate: the k-th metric gets 1/(k (k+1)) of that gate's share, which never adds up to more than it.
        whole = self.alphas.get(f"{ANY} anomaly", 0.0)
        rank = self.found.index(claim.gate.metric) + 1 if claim.gate.metric in self.found else len(self.found) + 1
        return whole / (rank * (rank + 1)) / len(claims(claim.gate))

    def track(self, claim: Claim, test: str = BAD) -> Track | None:
        """The named test's e-process, None before it met any data."""
        return self.tracks.get(f"{claim.name}/{test}")

    def crossed(self, claim: Claim, test: str = BAD) -> tuple[float, float] | None:
        """(z, bound) of the planned look that found most; None before there was one."""
        return self.looked.get(f"{claim.name}/{test}")

    def independent(self, claim: Claim) -> bool:
        """Whether each request is a witness of its own, whoever's it is."""
        return self.modes.get(claim.gate.metric) == "ratio"

    def design_effect(self, claim: Claim) -> float | None:
        """How many of a claim's requests one independent request is worth; None where nobody asked yet, or knows whose they are."""
        worth = self.worth.get(claim.name)
        if worth is None or not (claim.relative or self.told_apart(claim)):
            return None
        return worth.effect if claim.up else worth.strict

    def told_apart(self, claim: Claim) -> bool:
        """Whether it is known whose the requests behind a claim are: what comes with denominators of its own is nobody's."""
        arms = (self.totals.control, self.totals.candidate)
        if self.independent(claim) or any(claim.gate.metric in arm.rates for arm in arms):
            return False
        return self.named if any(arm.trials for arm in arms) else any(arm.units for arm in arms)

    @property
    def design_effects(self) -> dict[str, float]:
        """Likewise by metric."""
        found: dict[str, float] = {}
        for claim in self.claims:
            if (effect := self.design_effect(claim)) is not None:
                found[claim.gate.metric] = max(effect, found.get(claim.gate.metric, 1.0))
        return found

    def silent(self, claim: Claim) -> str:
        """Why a comparison says nothing however much it has seen; empty where it may speak."""
        worth = self.worth.get(claim.name)
        if worth is None or not claim.relative or self.independent(claim):
            return ""
        return worth.silent(falls=not claim.up or claim.kind == Kind.MEAN, named=self.named)

    def blind(self, claim: Claim) -> bool:
        """Whether a comparison's traffic is too few users' to say anything, good or bad."""
        worth = self.worth.get(claim.name)
        return worth is not None and worth.blind

    @property
    def named(self) -> bool:
        """Whether it is known whose most of the requests are."""
        arms = (self.totals.control, self.totals.candidate)
        return 2 * sum(sum(arm.cells.get(ANONYMOUS, ())) for arm in arms) <= sum(arm.trials for arm in arms)

    def places_of(self, claim: Claim) -> Places | None:
        """Beyond which positions a quantile's claim counts; None of other claims, and where that is not settled yet."""
        if claim.kind != Kind.QUANTILE:
            return None
        if not claim.relative:
            return _around(claim.limit, up=claim.up)
        found = self.places.get(claim.name)
        return None if found is None else (found[0], found[1], found[2])

    @property
    def thresholds(self) -> Mapping[str, tuple[int, ...]]:
        """By sample: the positions beyond which every worker counts from now on."""
        found: dict[str, set[int]] = {}
        for claim in self.claims:
            if places := self.places_of(claim):
                found.setdefault(claim.gate.sample, set()).update(place for place in places if 0 < place < OVERFLOW)
        return {sample: tuple(sorted(places)) for sample, places in found.items()}

    def grouped(self, batch: Window) -> Window:
        """The batch with what was not counted by group as one cluster: a slice of time."""
        where = [(claim.gate.sample, places) for claim in self.claims if (places := self.places_of(claim))]
        sums = {name for claim in self.claims if claim.kind == Kind.MEAN for name in (claim.gate.sample, claim.gate.metric)}
        arms = {name: completed(totals, self.batches, where, sums) for name, totals in batch.arms.items()}
        return replace(batch, arms=arms)


@lru_cache(maxsize=1024)
def _around(limit: float, *, up: bool) -> Places:
    """The edges next to an absolute bound, on the side that is no help to the alarm, and on the one that is none to the proof."""
    below, above = around(limit)
    return (above, above, below) if up else (below, below, above)


def _like(watched: Gate, gate: Gate) -> Gate:
    """A metric that an anomaly gate watches, with that gate's severity."""
    severity = gate.severity if watched.critical else watched.severity
    return replace(watched, severity=severity, weight=gate.weight, policy=gate.policy)
