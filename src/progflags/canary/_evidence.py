"""Evidence: everything a rollout has learned so far, as one immutable value that batches are added to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from progflags._trouble import swallow
from progflags.canary._claims import Claim, Counts, claims, clustered, scatters, seen
from progflags.canary._exact import conditional_p
from progflags.canary._gate import ANY, Gate
from progflags.canary._means import Strata
from progflags.canary._step import BAD, Step
from progflags.canary._track import Track
from progflags.canary._window import CANDIDATE, CONTROL, Window
from progflags.canary._words import Kind

__all__ = ["Evidence"]

_WARM: Final = 200  # control observations before a quantile of it is a threshold
_RESTART: Final = 60  # batches between two restarts
_WATCHING: Final = 0.2  # of a claim's alpha, for continuous watching where an exact look is planned as well
_RESERVE: Final = 0.05  # of alpha, for claims that nobody announced


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    The sequential state of one rollout.

    `add` takes batches, `stage` moves on to the next stage's gates; claims that both stages share go on where they were,
    and the alpha of the whole rollout is spent once: `alphas` says which claim got how much. `totals` are cumulative at
    the present revision of the flag, `samples` (control, candidate) since the stage began. The same batches in the same
    order give the same bits, on any machine.
    """

    gates: tuple[Gate, ...]
    alpha: float = 0.05
    alphas: Mapping[str, float] = field(default_factory=dict)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    strata: Mapping[str, Strata] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    totals: Window = field(default_factory=Window)
    samples: tuple[int, int] = (0, 0)
    batches: int = 0
    stages: int = 0
    modes: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Counts] = field(default_factory=dict)
    looked: Mapping[str, float] = field(default_factory=dict)
    looks: int = 0
    restarts: bool = True
    warm: int = _WARM

    @classmethod
    def start(
        cls,
        gates: Sequence[Gate],
        alpha: float = 0.05,
        *,
        later: Iterable[Gate] = (),
        modes: Mapping[str, str] | None = None,
        restarts: bool = True,
        warm: int = _WARM,
        looks: int = 0,
    ) -> Evidence:
        """
        Before the first batch.

        `later`: gates of stages to come, so that alpha is divided fairly among all of them; one that is not announced
        lives on what is left. `modes` overrides by metric how a rate is tested ("ratio": events are independent; "bet":
        they may cluster). `restarts` False leaves out the copies that catch a late onset: for data that is all there.
        `looks` is the number of exact looks planned (one at the end of each stage): where events are independent, a fifth of
        alpha then goes to continuous watching and the rest to those looks, see `look`.

        Raises:
            ValueError: alpha is not between 0 and 1.
        """
        if not 0 < alpha < 1:
            raise ValueError(f"alpha is a probability between 0 and 1, not {alpha!r}")
        blank = cls(tuple(gates), alpha, modes=dict(modes or {}), restarts=restarts, warm=warm, looks=looks)
        spare = 0.0 if not restarts else _RESERVE
        return replace(blank, alphas=_spend({}, (*gates, *later), alpha * (1 - spare)))

    def stage(self, gates: Sequence[Gate]) -> Evidence:
        """
        The evidence as the next stage begins: its gates, its samples from zero, what was learned kept.

        A bet is restarted for what a larger share may newly break.
        """
        left = max(0.0, self.alpha - sum(self.alphas.values()))
        tracks = {name: track.restart() for name, track in self.tracks.items()}
        return replace(
            self,
            gates=tuple(gates),
            alphas=_spend(self.alphas, gates, left / 2),
            tracks=tracks,
            samples=(0, 0),
            counts={},
            stages=self.stages + 1,
        )

    def look(self) -> Evidence:
        """
        The one exact look at the planned end of a stage; repeating it within the stage changes nothing.

        What an exact test finds beyond its part of alpha is an alarm, like evidence beyond its threshold. Only planned
        looks spend: without `looks` this is the evidence as it was.
        """
        number = f"{self.stages}"
        if not self.looks or number in self.looked or self.stages >= self.looks:
            return self
        bursts = scatters(self.totals.control)  # then no test that takes errors for independent is exact
        found = {
            claim.name: conditional_p(_exact_null(claim), claim.up, self.counts[claim.name])
            for claim in self.claims
            if claim.name in self.counts and not (bursts and claim.gate.metric == "error_rate")
        }
        return replace(self, looked={**self.looked, number: 1.0, **{k: min(p, self.looked.get(k, 1.0)) for k, p in found.items()}})

    def exact(self, claim: Claim) -> bool:
        """Whether a planned look of this claim is possible: its events are independent, and it compares."""
        if not self.looks or not claim.relative:
            return False
        return claim.kind == Kind.QUANTILE or (claim.kind in {Kind.RATE, Kind.COUNT} and not clustered(self.modes, claim.gate))

    @property
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
        return self.share_of(claim) * (_WATCHING if self.exact(claim) else 1.0)

    def alpha_of_look(self, claim: Claim) -> float:
        """How much of alpha one planned look at this claim may spend."""
        return self.share_of(claim) * (1 - _WATCHING) / self.looks if self.exact(claim) else 0.0

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

    # -- one batch ------------------------------------------------------------------------------------------------------

    def add(self, batch: Window, *, warming: bool = False) -> Evidence:
        """
        The evidence after one batch.

        A batch is a slice of time closed without looking at outcomes. An empty one changes nothing. `warming`: the
        candidate's processes are still cold, so nothing is compared yet; absolute bounds are watched all the same.
        """
        same = (self.totals.flag, self.totals.revision) == (batch.flag, batch.revision)
        before = self.totals if same else Window(batch.flag, batch.revision)
        if batch.empty:
            return self
        totals = before.merge(batch) if before.arms or before.gauges else batch
        found = self.found
        if any(gate.metric == ANY for gate in self.gates):
            found = (*found, *(gate.metric for gate in seen(totals) if gate.metric not in found))
        grown = replace(
            self,
            totals=totals,
            found=found,
            samples=(self.samples[0] + batch.samples(CONTROL), self.samples[1] + batch.samples(CANDIDATE)),
            batches=self.batches + 1,
        )
        step = Step(grown, before, batch, warming)
        for claim in grown.claims:
            try:
                step.take(claim)
                step.broken.pop(claim.name, None)
            except Exception as error:  # one metric's trouble holds that metric; the others are judged on
                swallow(f"canary metric {claim.gate.metric!r}", error)
                step.broken[claim.name] = f"{type(error).__name__}: {error}"
        if self.restarts and grown.batches % _RESTART == 0:
            step.tracks = {name: track.restart() for name, track in step.tracks.items()}
        return replace(grown, counts=step.counts, tracks=step.tracks, places=step.places, strata=step.strata, broken=step.broken)

    # -- JSON -----------------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain JSON of a few KiB, exact to the last bit."""
        return {
            "v": 1,
            "gates": [gate.to_dict() for gate in self.gates],
            "alpha": self.alpha,
            "alphas": dict(self.alphas),
            "tracks": {name: track.to_json() for name, track in self.tracks.items()},
            "places": {name: list(places) for name, places in self.places.items()},
            "strata": {name: strata.to_json() for name, strata in self.strata.items()},
            "found": list(self.found),
            "totals": self.totals.to_json(),
            "samples": list(self.samples),
            "counts": [self.batches, self.stages, int(self.restarts), self.warm],
            "hybrid": [self.looks, dict(self.looked), {name: list(counts) for name, counts in self.counts.items()}],
            "modes": dict(self.modes),
            "broken": dict(self.broken),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Evidence:
        """
        The evidence that `to_json` wrote.

        Raises:
            ValueError: another version wrote it.
        """
        if body.get("v") != 1:
            raise ValueError(f"evidence of version {body.get('v')!r} can't be read here: this is version 1")
        batches, stages, restarts, warm = body["counts"]
        control, candidate = body["samples"]
        return cls(
            tuple(Gate.of(gate) for gate in body["gates"]),
            float(body["alpha"]),
            {name: float(alpha) for name, alpha in body["alphas"].items()},
            {name: Track.from_json(track) for name, track in body["tracks"].items()},
            {name: tuple(places) for name, places in body["places"].items()},
            {name: Strata.from_json(strata) for name, strata in body["strata"].items()},
            tuple(body["found"]),
            Window.from_json(body["totals"]),
            (int(control), int(candidate)),
            int(batches),
            int(stages),
            dict(body["modes"]),
            dict(body["broken"]),
            {name: tuple(counts) for name, counts in body["hybrid"][2].items()},
            {name: float(p) for name, p in body["hybrid"][1].items()},
            int(body["hybrid"][0]),
            bool(restarts),
            int(warm),
        )


def _exact_null(claim: Claim) -> float:
    return 1.0 if claim.kind == Kind.QUANTILE else claim.null


def _like(watched: Gate, gate: Gate) -> Gate:
    """A metric that an anomaly gate watches, with that gate's severity."""
    severity = gate.severity if watched.critical else watched.severity
    return replace(watched, severity=severity, weight=gate.weight, policy=gate.policy)


def _spend(spent: Mapping[str, float], gates: Iterable[Gate], alpha: float) -> dict[str, float]:
    """Divide `alpha` among the critical gates' claims that have none yet, by weight and then evenly among a gate's own."""
    fresh: dict[str, float] = {}
    for gate in dict.fromkeys(gates):
        if gate.critical:
            names = [f"{ANY} anomaly"] if gate.metric == ANY else [claim.name for claim in claims(gate)]
            fresh |= {name: max(fresh.get(name, 0.0), gate.weight / len(names)) for name in names if name not in spent}
    whole = sum(fresh.values())
    return {**spent, **{name: alpha * weight / whole for name, weight in fresh.items()}}
