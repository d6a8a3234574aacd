"""One batch on its way into the e-processes: which counts of which arm feed which test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

from progflags.canary._gate import Gate
from progflags.canary._words import Kind
from progflags.canary.counting import Cells, Moments, Sample, Totals, Window
from progflags.canary.sequential._claims import Claim, Counts, moments_of, rate_of, usual
from progflags.canary.sequential._comparison import Groups, Ledger, Worth, groups, names, said
from progflags.canary.sequential._design_effect import NO_STRATA, Stratum
from progflags.canary.sequential._learned import BAD, Learned
from progflags.canary.sequential._means import Means
from progflags.canary.sequential._sequential import LEVEL, MAJORITY, RATIO, fresh, level, log_mean, majority, ratio
from progflags.canary.sequential._track import Track

__all__ = ["BAD", "FIRST_READINGS", "GOOD", "PEER", "SMALL", "VERSUS", "Silent", "Step", "counted"]

FIRST_READINGS: Final = 20  # batches whose readings say what a source was like at first

# The tests behind one claim. BAD: it is broken (wealth says roll back). GOOD: its opposite is ruled out (wealth says
# proven), and so is SMALL: the candidate is at `min_absolute` or above. For absolute claims also PEER: the control breaks the same
# bound; VERSUS: the candidate is worse than the control.
GOOD: Final = "good"
SMALL: Final = "small"
PEER: Final = "peer"
VERSUS: Final = "versus"


_NONE: Final = Moments()


class Silent(Exception):  # noqa: N818 - a state, no fault of ours
    """A source that had readings has none in this batch: nothing is known of what it measures now."""


E = TypeVar("E", bound=Learned)


class Step(Generic[E]):
    """One batch on its way into the tracks."""

    def __init__(self, evidence: E, before: Window, batch: Window, warming: bool, *, sliced: bool) -> None:
        self.evidence = evidence
        self.before = before
        self.batch = batch
        self.compare = not warming
        self.sliced = sliced
        self.tracks = dict(evidence.tracks)
        self.places = dict(evidence.places)
        self.ledgers = dict(evidence.ledgers)
        self.means = dict(evidence.means)
        self.worth = dict(evidence.worth)
        self.broken = dict(evidence.broken)
        self.taken: set[str] = set()

    def done(self) -> E:
        """The evidence with what this batch has moved."""
        return replace(
            self.evidence,
            tracks=self.tracks,
            places=self.places,
            ledgers=self.ledgers,
            means=self.means,
            worth=self.worth,
            broken=self.broken,
        )

    def take(self, claim: Claim) -> None:
        """Feed the batch to every test of a claim, once however many gates make it."""
        if claim.name in self.taken:
            return
        self.taken.add(claim.name)
        if claim.kind == Kind.GAUGE or (claim.gate.metric in self.evidence.totals.gauges and not claim.relative):
            self._gauge(claim)
        elif claim.kind == Kind.QUANTILE:
            self._exceed(claim) if claim.relative else self._beyond(claim)
        elif claim.kind == Kind.MEAN:
            self._mean(claim)
        elif claim.relative:
            self._rate(claim)
        else:
            self._bound(claim)

    def _put(self, claim: Claim, test: str, points: int, logs: Any) -> None:
        """Run one test: `logs` maps old log-wealths to new ones."""
        name = f"{claim.name}/{test}"
        track = self.tracks.get(name) or Track.start(points, restarts=self.evidence.live and test != GOOD)
        if len(track.logs) != points:  # a source of that name was named only now: what was bet so far goes on in other bets
            track = track.into(points)
        self.tracks[name] = track.add(logs(track.logs))

    # -- comparisons, by groups of users --------------------------------------------------------------------------------------

    def _rate(self, claim: Claim) -> None:
        counts = counted(self.evidence, claim) if self.compare else None
        if counts is None:
            return
        worst, least = claim.worst_at(usual(claim.gate, self.before.control)), claim.gate.min_absolute
        worth = self._compared(claim, claim.name, counts, ((BAD, claim.null, claim.up), (GOOD, worst, not claim.up)))
        if claim.up and 0 < least < 1:  # below it altogether is below the control and it: no control needs to have failed
            x_c, n_c = sum(counts[0]) / worth.strict, sum(counts[1]) / worth.strict
            self._say(claim, SMALL, log_mean(level(fresh(LEVEL), least, False, x_c, n_c)))

    def _exceed(self, claim: Claim) -> None:
        """
        Both arms beyond the control's quantile as it was before, the candidate beyond the tolerated stretch of it: a rate.

        Source: exceedance ratio at a threshold fixed beforehand; stochastic order as in Lindon, Sanden & Shirikian (KDD 2022).
        """
        bad, good = (counted(self.evidence, claim, proof=proof) for proof in (False, True)) if self.compare else (None, None)
        if bad is not None and good is not None:
            self._compared(claim, claim.name, bad, ((BAD, 1.0, claim.up),))
            self._compared(claim, f"{claim.name}/{GOOD}", good, ((GOOD, 1.0, not claim.up),))

    def _compared(self, claim: Claim, name: str, counts: Groups, tests: Sequence[tuple[str, float, bool]]) -> Worth:
        """Say what the counts say to each test, on what they are worth."""
        ledger = self.ledgers.get(name) or Ledger()
        if self.sliced:
            ledger = ledger.slice(counts)
        whole, _ = ledger.now(counts)
        worth = self.worth[name] = Worth() if self.evidence.independent(claim) else Worth.of(whole, counts)
        for test, null, up in tests:
            effect = worth.effect if test == BAD and up else worth.strict
            now = said(whole, null, effect, up=up)
            if test == BAD and self.evidence.live:
                ledger = ledger.bet(self._copies(claim, counts, null, effect, up=up))
                now = ledger.evidence(now, self.evidence.restarted)
            self._say(claim, test, now, quietly=test == BAD and bool(worth.silent(falls=not up)))
        self.ledgers[name] = ledger
        return worth

    def _copies(self, claim: Claim, counts: Groups, null: float, effect: float, *, up: bool) -> dict[int, float]:
        """What the counts since each restart say, by themselves: their own design effect is known no sooner than theirs."""
        found = {}
        for number, since in self.evidence.restarts.items():
            part = counted(self.evidence, claim, since=since) if since else counts
            if part is not None:
                strata = NO_STRATA.close(Stratum((sum(part[0]), sum(part[1]), sum(part[2]), sum(part[3]))), part)
                own = 1.0 if self.evidence.independent(claim) else strata.effect(strict=not up)
                found[number] = said(strata, null, max(effect, own), up=up)
        return found

    def _say(self, claim: Claim, test: str, now: float, *, quietly: bool = False) -> None:
        """Note where a test stands; `quietly`: nobody may act on it."""
        name = f"{claim.name}/{test}"
        track = self.tracks.get(name) or Track.start(0)
        self.tracks[name] = replace(track, now=now, batches=track.batches + 1) if quietly else track.say(now)

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
            if self.before.gauges.get(claim.gate.metric, _NONE).n:
                raise Silent(f"{claim.gate.metric} has no reading lately: look after its source")
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
        counts = counted(self.evidence, claim) if self.compare or not claim.relative else None
        if counts is None or not any(moments_of(claim.gate, arm).n for arm in self.batch.arms.values()):
            return
        means = self.means[claim.name] = (self.means.get(claim.name) or Means()).see(claim, self.evidence.totals, counts)
        alpha = self.evidence.alpha_of(claim)
        tolerated, worst = (claim.nulls, claim.worst) if claim.relative else ((claim.limit,), claim.limit)
        if claim.relative and (usual_mean := moments_of(claim.gate, self.before.control)).n:
            worst = claim.worst_at(usual_mean.mean)
        effect, strict = means.effects(independent=self.evidence.independent(claim))
        found = Worth.of(NO_STRATA, counts)
        worth = self.worth[claim.name] = replace(found, effect=effect, strict=strict)
        silent = claim.relative and not self.evidence.independent(claim) and bool(worth.silent(falls=True))
        for test, bars, up in ((BAD, tolerated, claim.up), (GOOD, (worst,), not claim.up)):
            worth_of = effect if test == BAD and up else strict
            now = min(means.evidence(bar, up, claim.relative, alpha, worth_of) for bar in bars)
            self._say(claim, test, now, quietly=silent and test == BAD)


def counted(evidence: Learned, claim: Claim, *, proof: bool = False, since: Mapping[str, Cells] | None = None) -> Groups | None:
    """A claim's counts by group at the present revision, since the candidate was warm or since a restart; None where there are none."""
    totals, places = evidence.totals, evidence.places.get(claim.name)
    where = None if places is None or len(places) != 3 else (places[0], places[1], places[2])
    columns = names(claim, totals.control, totals.candidate, where, proof=proof)
    if columns is None:
        return None
    return groups(totals.candidate.cells, totals.control.cells, columns, evidence.since if since is None else since)


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
