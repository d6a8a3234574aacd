"""One batch on its way into the e-processes: which counts of which arm feed which test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar

from progflags.canary._words import Kind
from progflags.canary.counting import Moments, Window
from progflags.canary.sequential._bounded import Bounded, against, bounded
from progflags.canary.sequential._claims import Claim, moments_of, usual
from progflags.canary.sequential._comparison import LOST, Groups, Ledger, Worth, said
from progflags.canary.sequential._counted import counted
from progflags.canary.sequential._design_effect import NO_STRATA, Strata, Stratum
from progflags.canary.sequential._learned import BAD, GOOD, Learned
from progflags.canary.sequential._means import Means
from progflags.canary.sequential._sequential import LEVEL, MAJORITY, fresh, level, log_mean, majority
from progflags.canary.sequential._track import Track

__all__ = ["BAD", "FIRST_READINGS", "GOOD", "PEER", "SMALL", "VERSUS", "Silent", "Step"]

FIRST_READINGS: Final = 20  # batches whose readings say what a source was like at first

# The tests behind one claim. BAD: it is broken (wealth says roll back). GOOD: its opposite is ruled out (wealth says
# proven), and so is SMALL: the candidate is at `min_absolute` or above. For absolute claims also PEER: the control breaks the same
# bound; VERSUS: the candidate is worse than the control.
SMALL: Final = "small"
PEER: Final = "peer"
VERSUS: Final = "versus"


_NONE: Final = Moments()
_SUSPECT: Final = 0.5  # log-evidence against a candidate from which on it matters what the control does


class Silent(Exception):  # noqa: N818 - a state, no fault of ours
    """A source that had readings has none in this batch: nothing is known of what it measures now."""


E = TypeVar("E", bound=Learned)


# Left whole, though long: one method for each kind of test, all over the same batch.
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
            self._exceed(claim) if claim.relative else self._bound(claim)
        elif claim.kind == Kind.MEAN:
            self._mean(claim)
        elif claim.relative:
            self._rate(claim)
        else:
            self._bound(claim)

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
        """
        What the counts since each restart say, by themselves: their own design effect is known no sooner than theirs.

        It is looked for only where they would speak against the candidate without; where its events are no more than it may have every
        bet has lost, and is taken for lost altogether.
        """
        found = {}
        for number, since in self.evidence.restarts.items():
            part = counted(self.evidence, claim, since=since) if since else counts
            if part is None:
                continue
            x_c, n_c, x_b, n_b = counts_of = (sum(part[0]), sum(part[1]), sum(part[2]), sum(part[3]))
            if x_c * n_b <= null * x_b * n_c if up else x_c * n_b >= null * x_b * n_c:
                found[number] = LOST
                continue
            row = Stratum(counts_of)
            found[number] = said(Strata((row,)), null, effect, up=up)
            if found[number] > 0 and not self.evidence.independent(claim):
                strata = NO_STRATA.close(row, part)
                found[number] = said(strata, null, max(effect, strata.effect(strict=not up)), up=up)
        return found

    def _say(self, claim: Claim, test: str, now: float, *, quietly: bool = False) -> None:
        """Note where a test stands; `quietly`: nobody may act on it."""
        name = f"{claim.name}/{test}"
        track = self.tracks.get(name) or Track.start(0)
        self.tracks[name] = track.mutter(now) if quietly else track.say(now)

    # -- absolute bounds --------------------------------------------------------------------------------------------------------

    def _bound(self, claim: Claim) -> None:
        alarm = bounded(self.evidence, claim)
        if alarm is None:
            return
        proof = bounded(self.evidence, claim, proof=True) if claim.kind == Kind.QUANTILE else alarm
        up, limit = claim.up, claim.limit
        self.worth[claim.name] = alarm.worth
        ledger = self.ledgers.get(claim.name) or Ledger()
        now = against(claim, limit, up, alarm.candidate)
        if self.evidence.live:
            ledger = ledger.bet({number: against(claim, limit, up, arms[0]) for number, arms in alarm.since(self.evidence, claim).items()})
            now = ledger.evidence(now, self.evidence.restarted)
        self.ledgers[claim.name] = ledger
        self._say(claim, BAD, now)
        if proof is not None:
            self._say(claim, GOOD, against(claim, limit, not up, proof.candidate))
            self._shared(claim, alarm, proof)
        if claim.kind == Kind.QUANTILE:
            self.ledgers.setdefault(f"{claim.name}/{GOOD}", Ledger())

    def _shared(self, claim: Claim, alarm: Bounded, proof: Bounded) -> None:
        """Whether the control breaks the bound as well, and the candidate is worse than it: nobody asks before there is a suspicion."""
        if self.tracks[f"{claim.name}/{BAD}"].best <= _SUSPECT:
            return
        # A control is suspected by the worst of its latest hours: of all of them together the good ones would hide what is going on.
        peers = (proof.control, *(arms[1] for arms in proof.since(self.evidence, claim, proof=True).values()))
        self._say(claim, PEER, max(against(claim, claim.limit, claim.up, control) for control in peers))
        self._say(claim, VERSUS, said(alarm.strata, 1.0, alarm.apart, up=claim.up))

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
        name = f"{claim.name}/{BAD}"
        track = self.tracks.get(name) or Track.start(MAJORITY, restarts=self.evidence.live)
        if len(track.logs) != MAJORITY:  # a source of that name was named only now: what was bet so far goes on in other bets
            track = track.into(MAJORITY)
        self.tracks[name] = track.add(majority(track.logs, beyond))

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
