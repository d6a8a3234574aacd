"""One batch on its way into the e-processes: which counts of which arm feed which test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from progflags.canary._claims import Claim, Counts, clustered, levels, margin, moments_of, rate_of, shift, stretched, usual
from progflags.canary._gate import Gate
from progflags.canary._means import Strata
from progflags.canary._sequential import LEVEL, MAJORITY, RATIO, Logs, level, majority, odds, ratio, share
from progflags.canary._sketch import OVERFLOW, Sample
from progflags.canary._totals import CLUSTERED, Moments, Totals, dispersion
from progflags.canary._track import Track
from progflags.canary._window import Window
from progflags.canary._words import Kind

if TYPE_CHECKING:
    from progflags.canary._evidence import Evidence

__all__ = ["BAD", "FIRST_READINGS", "GOOD", "PEER", "VERSUS", "Step"]

FIRST_READINGS: Final = 20  # batches whose readings say what a source was like at first

# The tests behind one claim. BAD: it is broken (wealth says roll back). GOOD: its opposite is ruled out (wealth says
# proven). For absolute claims also PEER: the control breaks the same bound; VERSUS: the candidate is worse than the control.
BAD: Final = "bad"
GOOD: Final = "good"
PEER: Final = "peer"
VERSUS: Final = "versus"


class Step:
    """One batch on its way into the tracks."""

    def __init__(self, evidence: Evidence, before: Window, batch: Window, warming: bool) -> None:
        self.evidence = evidence
        self.before = before
        self.batch = batch
        self.compare = not warming
        self.tracks = dict(evidence.tracks)
        self.places = dict(evidence.places)
        self.strata = dict(evidence.strata)
        self.broken = dict(evidence.broken)
        self.counts = dict(evidence.counts)
        self.taken: set[str] = set()
        self.scattered: bool | None = None

    def take(self, claim: Claim) -> None:
        """Feed the batch to every test of a claim, once however many gates make it."""
        if claim.name in self.taken:
            return
        self.taken.add(claim.name)
        if claim.kind == Kind.GAUGE or (claim.gate.metric in self.batch.gauges and not claim.relative):
            self._gauge(claim)
        elif claim.kind == Kind.QUANTILE:
            self._quantile(claim) if claim.relative else self._beyond(claim)
        elif claim.kind == Kind.MEAN:
            self._mean(claim)
        elif claim.relative:
            self._rate(claim)
        else:
            self._bound(claim)

    def _put(self, claim: Claim, test: str, points: int, logs: Any) -> None:
        """Run one test: `logs` maps old log-wealths to new ones."""
        name = f"{claim.name}/{test}"
        track = self.tracks.get(name) or Track.start(points, restarts=self.evidence.restarts and test in {BAD, VERSUS})
        self.tracks[name] = track.add(logs(track.logs))

    def _tell(self, claim: Claim, counts: Counts) -> None:
        """Add to what the planned look will see."""
        if self.evidence.exact(claim):
            a, b, c, d = self.counts.get(claim.name, (0, 0, 0, 0))
            self.counts[claim.name] = (a + counts[0], b + counts[1], c + counts[2], d + counts[3])

    def _rate(self, claim: Claim) -> None:
        if not self.compare:
            return
        x_c, n_c = rate_of(claim.gate, self.batch.candidate, self.before.candidate)
        x_b, n_b = rate_of(claim.gate, self.batch.control, self.before.control)
        if clustered(self.evidence.modes, claim.gate) or self._scattered(claim.gate):
            null = odds(claim.null, usual(claim.gate, self.before.control))
            self._put(claim, BAD, RATIO, lambda logs: share(logs, null, claim.up, x_c, n_c, x_b, n_b))
        else:
            self._put(claim, BAD, RATIO, lambda logs: ratio(logs, claim.null, claim.up, x_c, n_c, x_b, n_b))
        self._put(claim, GOOD, RATIO, lambda logs: ratio(logs, claim.worst, not claim.up, x_c, n_c, x_b, n_b))
        self._tell(claim, (x_c, n_c, x_b, n_b))

    def _scattered(self, gate: Gate) -> bool:
        """
        Whether the control's errors were seen to come in clusters before this batch: then betting speaks for them, asked for or not.

        Chosen before the batch is looked at, so the wealth stays honest across the change.
        """
        if gate.metric != "error_rate":
            return False
        if self.scattered is None:
            self.scattered = (dispersion(self.before.control) or 0.0) > CLUSTERED
        return self.scattered

    def _bound(self, claim: Claim) -> None:
        gate, limit, up = claim.gate, claim.limit, claim.up
        x_c, n_c = _plain(gate, self.batch.candidate)
        x_b, n_b = _plain(gate, self.batch.control)
        self._absolute(claim, limit, up, (x_c, n_c, x_b, n_b))

    def _beyond(self, claim: Claim) -> None:
        """An absolute quantile bound: at most 1 - q of the requests are above `max`, counted exactly there."""
        gate = claim.gate
        pair = [arm.samples.get(gate.sample) or _EMPTY for arm in (self.batch.candidate, self.batch.control)]
        x_c, x_b = (sample.more_than(claim.limit) for sample in pair)
        self._absolute(claim, 1 - (gate.quantile or 0.5), claim.up, (x_c, pair[0].n, x_b, pair[1].n))

    def _absolute(self, claim: Claim, limit: float, up: bool, counts: tuple[float, float, float, float]) -> None:
        x_c, n_c, x_b, n_b = counts
        self._put(claim, BAD, LEVEL, lambda logs: level(logs, limit, up, x_c, n_c))
        self._put(claim, GOOD, LEVEL, lambda logs: level(logs, limit, not up, x_c, n_c))
        self._put(claim, PEER, LEVEL, lambda logs: level(logs, limit, up, x_b, n_b))
        self._put(claim, VERSUS, RATIO, lambda logs: ratio(logs, 1.0, up, x_c, n_c, x_b, n_b))

    def _gauge(self, claim: Claim) -> None:
        reading = self.batch.gauges.get(claim.gate.metric)
        if reading is None or not reading.n:
            return
        limit = claim.limit
        if claim.relative:
            if claim.gate.anomaly is None:
                return
            batches, n, total = self.places.get(claim.name, (0, 0, 0))
            if batches < FIRST_READINGS:  # what it was like at first is what it is held against
                self.places[claim.name] = (batches + 1, n + reading.n, total + reading.total)
                return
            limit = claim.null * Moments(n, total).mean
        beyond = reading.mean > limit if claim.up else reading.mean < limit
        self._put(claim, BAD, MAJORITY, lambda logs: majority(logs, beyond))

    def _mean(self, claim: Claim) -> None:
        if not self.compare and claim.relative:
            return
        if not any(moments_of(claim.gate, arm).n for arm in self.batch.arms.values()):
            return
        strata = self.strata.get(claim.name) or Strata()
        if strata.batches and not (self.before.arms or self.before.gauges):
            strata = strata.close()  # another revision: other shares, other units
        strata = self.strata[claim.name] = strata.see(claim, self.evidence.totals)
        alpha = self.evidence.alpha_of(claim)
        tolerated, worst = (claim.null, claim.worst) if claim.relative else (claim.limit, claim.limit)
        for test, bar, up in ((BAD, tolerated, claim.up), (GOOD, worst, not claim.up)):
            name = f"{claim.name}/{test}"
            self.tracks[name] = (self.tracks.get(name) or Track.start(0)).say(strata.evidence(bar, up, claim.relative, alpha))

    def _quantile(self, claim: Claim) -> None:
        quantile = claim.gate.quantile or 0.5
        listened = levels(quantile)
        old = self.places.get(claim.name)
        control = self.evidence.totals.control.samples.get(claim.gate.sample) or _EMPTY
        if old is not None and self.compare:
            self._exceed(claim, listened, old)
        if control.n >= self.evidence.warm:  # for the next batch: a threshold must be known before what it is held against
            self.places[claim.name] = control.places_of(listened)

    def _exceed(self, claim: Claim, listened: Sequence[float], places: Sequence[int]) -> None:
        """
        Count both arms beyond the control's past quantiles, the candidate beyond the tolerated stretch of them.

        Source: exceedance ratio at a predictable threshold; stochastic order as in Lindon, Sanden & Shirikian (KDD 2022).
        """
        c, b = (arm.samples.get(claim.gate.sample) or _EMPTY for arm in (self.batch.candidate, self.batch.control))
        if not c.n or not b.n:
            return
        tolerated, worst = margin(claim), shift(claim.worst)

        def bad(logs: Logs) -> Logs:
            out: tuple[float, ...] = ()
            for k, place in enumerate(places):
                old = logs[k * RATIO : (k + 1) * RATIO]
                beyond = stretched(c, place, tolerated)
                usable = 0 < place < OVERFLOW and beyond >= 0
                out += ratio(old, 1.0, claim.up, beyond, c.n, b.above(place), b.n) if usable else old
            return out

        self._put(claim, BAD, RATIO * len(places), bad)
        place = places[listened.index(claim.gate.quantile or 0.5)]
        mine = stretched(c, place, tolerated)
        if 0 < place < OVERFLOW and mine >= 0:
            self._tell(claim, (mine, c.n, b.above(place), b.n))
        beyond = stretched(c, place, worst)
        if 0 < place < OVERFLOW and beyond >= 0:
            self._put(claim, GOOD, RATIO, lambda logs: ratio(logs, 1.0, not claim.up, beyond, c.n, b.above(place), b.n))


def _plain(gate: Gate, totals: Totals) -> tuple[float, float]:
    """For an absolute bound: events and trials as they are; the likelihood only cares for their sums."""
    count = rate_of(gate, totals)
    return (count[0], totals.units) if totals.units and gate.metric in totals.events else count


_EMPTY: Final = Sample()
