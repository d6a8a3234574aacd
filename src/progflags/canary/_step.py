"""One batch on its way into the e-processes: which counts of which arm feed which test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from progflags.canary._claims import Claim, Counts, clustered, levels, margin, moments_of, rate_of, scatters, shift, stretched, usual
from progflags.canary._gate import Gate
from progflags.canary._means import Strata
from progflags.canary._sequential import LEVEL, MAJORITY, RATIO, Logs, level, majority, odds, ratio, share
from progflags.canary._sketch import OVERFLOW, Sample
from progflags.canary._totals import Moments, Totals, dispersion
from progflags.canary._track import Track
from progflags.canary._window import Window
from progflags.canary._words import Kind

if TYPE_CHECKING:
    from progflags.canary._evidence import Evidence

__all__ = ["BAD", "FIRST_READINGS", "GOOD", "PEER", "VERSUS", "Step"]

FIRST_READINGS: Final = 20  # batches whose readings say what a source was like at first

# Dispersion of the control's errors up to which what they prove is counted error by error: no more than chance would have it. Chance
# itself is below in half of the looks, which is enough: proofs of healthy candidates hardly suffer. At 1.5 one in ten candidates as bad
# as must be ruled out was proven fine where errors come in bursts of two or three (`python -m benchmarks.canary_proofs`).
_CALM: Final = 1.0

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

    def take(self, claim: Claim) -> None:
        """Feed the batch to every test of a claim, once however many gates make it."""
        if claim.name in self.taken:
            return
        self.taken.add(claim.name)
        if claim.kind == Kind.GAUGE or (claim.gate.metric in self.evidence.totals.gauges and not claim.relative):
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
        track = self.tracks.get(name) or Track.start(points, restarts=self.evidence.restarts and test != GOOD)
        if len(track.logs) != points:  # a source of that name was named only now: what was bet so far goes on in other bets
            track = track.into(points)
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
        counts, rate, gate = (x_c, n_c, x_b, n_b), usual(claim.gate, self.before.control), claim.gate
        if clustered(self.evidence.modes, gate) or (gate.metric == "error_rate" and scatters(self.before.control)):
            null = odds(claim.null, rate)
            self._put(claim, BAD, RATIO, lambda logs: share(logs, null, claim.up, *counts))
        else:
            self._put(claim, BAD, RATIO, lambda logs: ratio(logs, claim.null, claim.up, *counts))
        if gate.metric == "error_rate" and self._doubtful():
            worst = odds(claim.worst, rate)
            self._put(claim, GOOD, RATIO, lambda logs: share(logs, worst, not claim.up, *counts))
        else:
            self._put(claim, GOOD, RATIO, lambda logs: ratio(logs, claim.worst, not claim.up, *counts))
        self._tell(claim, counts)

    def _doubtful(self) -> bool:
        """
        Whether the control's errors came in clusters before this batch, or might for all that is known: a burst that stayed away
        proves nothing then, and only betting may say that the candidate is fine.

        Chosen before the batch is looked at, as for the alarm, so the wealth stays honest across the change. Where nobody says whose
        the errors are (no shards), there is no knowing, and they are taken for independent.
        """
        scatter = dispersion(self.before.control)
        return bool(self.evidence.totals.control.shards) and (scatter is None or scatter > _CALM)

    def _bound(self, claim: Claim) -> None:
        gate, limit, up = claim.gate, claim.limit, claim.up
        x_c, n_c = _plain(gate, self.batch.candidate, self.before.candidate)
        x_b, n_b = _plain(gate, self.batch.control, self.before.control)
        at_risk = (*rate_of(gate, self.batch.candidate, self.before.candidate), *rate_of(gate, self.batch.control, self.before.control))
        self._absolute(claim, limit, up, (x_c, n_c, x_b, n_b), x_c, at_risk)

    def _beyond(self, claim: Claim) -> None:
        """An absolute quantile bound: at most 1 - q of the requests are above `max`, counted exactly there if anybody asked."""
        gate = claim.gate
        pair = [arm.samples.get(gate.sample) or _EMPTY for arm in (self.batch.candidate, self.batch.control)]
        (x_c, x_b), strict = ([sample.more_than(claim.limit, few=few) for sample in pair] for few in (claim.up, not claim.up))
        counts = (x_c, pair[0].n, x_b, pair[1].n)
        self._absolute(claim, 1 - (gate.quantile or 0.5), claim.up, counts, strict[0], (x_c, pair[0].n, strict[1], pair[1].n))

    def _absolute(self, claim: Claim, limit: float, up: bool, counts: Counts, strict: float, versus: Counts) -> None:  # noqa: PLR0917
        """`strict`: the candidate's events again, rounded the other way where they are not exact: for what must not be proven too soon."""
        x_c, n_c, x_b, n_b = counts
        self._put(claim, BAD, LEVEL, lambda logs: level(logs, limit, up, x_c, n_c))
        self._put(claim, GOOD, LEVEL, lambda logs: level(logs, limit, not up, strict, n_c))
        self._put(claim, PEER, LEVEL, lambda logs: level(logs, limit, up, x_b, n_b))
        self._put(claim, VERSUS, RATIO, lambda logs: ratio(logs, 1.0, up, *versus))

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
        found = [_exceedances(c, b, place, tolerated, up=claim.up) for place in places]

        def bad(logs: Logs) -> Logs:
            out: tuple[float, ...] = ()
            for k, counts in enumerate(found):
                old = logs[k * RATIO : (k + 1) * RATIO]
                out += ratio(old, 1.0, claim.up, *counts) if counts else old
            return out

        self._put(claim, BAD, RATIO * len(places), bad)
        own = listened.index(claim.gate.quantile or 0.5)
        if mine := found[own]:
            self._tell(claim, mine)
        if least := _exceedances(c, b, places[own], worst, up=not claim.up):
            self._put(claim, GOOD, RATIO, lambda logs: ratio(logs, 1.0, not claim.up, *least))


def _exceedances(c: Sample, b: Sample, place: int, buckets: int, *, up: bool) -> Counts | None:
    """
    How many of the candidate are above EDGES[place + buckets], and of the control above EDGES[place]; None where one can't be told.

    Counts that are not exact there (of a coarser producer) are taken at an edge that is no help to the test: one that asks
    whether the candidate has too many (`up`) gets too few of it rather, and too many of the control.
    """
    if not 0 < place < OVERFLOW:
        return None
    x_c, x_b = stretched(c, place, buckets, few=up), stretched(b, place, few=not up)
    return (x_c, c.n, x_b, b.n) if x_c >= 0 and x_b >= 0 else None


def _plain(gate: Gate, totals: Totals, before: Totals) -> tuple[float, float]:
    """
    For an absolute bound: events and trials as they are; the likelihood only cares for their sums.

    Where units are known, a tracked event's trials are the new ones, even if there are none: who came before and has it only now was
    counted when they came.
    """
    events, trials = rate_of(gate, totals)
    tracked = gate.metric != "error_rate" and gate.metric not in {**totals.rates, **before.rates}
    return events, totals.units if tracked and (totals.units or before.units) else trials


_EMPTY: Final = Sample()
