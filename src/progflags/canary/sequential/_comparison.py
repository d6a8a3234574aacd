"""Two arms compared by groups of users: what a comparison remembers from look to look, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul, sub
from typing import Any, Final

from progflags.canary._words import Kind
from progflags.canary.counting import ERRORS, GROUPS, REQUESTS, TRIALS, UNITS, Cells, Places, Totals, beyond, credited, summed, timed, worth
from progflags.canary.sequential._claims import Claim
from progflags.canary.sequential._design_effect import NO_SHOCKS, NO_STRATA, Column, Counts, Shocks, Strata, Stratum
from progflags.canary.sequential._open import Split, mixture
from progflags.canary.sequential._track import FIRST

__all__ = ["LOST", "Groups", "Ledger", "Worth", "groups", "names", "said", "splits", "stake"]

Names = tuple[str, str, str]  # trials of an arm; events of the candidate; events of the control
Groups = tuple[Column, Column, Column, Column]  # x_c, n_c, x_b, n_b by group

_FEWEST: Final = 3  # groups of the candidate that had events, and groups its traffic is worth, before it may be rolled back
_SPREAD: Final = 2.0  # groups that its events are worth: one user's three hundred and three others' one each are no more than one
_NONE: Final = (0,) * GROUPS
LOST: Final = -700.0  # log of a stake of which nothing is left


def names(claim: Claim, control: Totals, candidate: Totals, places: Places | None, *, proof: bool = False) -> Names | None:
    """The columns behind a claim; None where it has none (yet)."""
    gate = claim.gate
    if claim.kind == Kind.QUANTILE:
        if places is None:
            return None
        return timed(gate.sample), beyond(gate.sample, places[2 if proof else 1]), beyond(gate.sample, places[0])
    units = UNITS if control.units or candidate.units else REQUESTS if control.requests or candidate.requests else ""
    if claim.kind == Kind.MEAN:
        if any(gate.sample in arm.samples for arm in (control, candidate)):
            return (*summed(gate.sample), summed(gate.sample)[1])
        event = _event(claim, control, candidate)
        return units or credited(event), worth(event), worth(event)
    if any(gate.metric in arm.rates for arm in (control, candidate)):
        return f"base:{gate.metric}", f"rate:{gate.metric}", f"rate:{gate.metric}"
    if gate.metric == "error_rate":
        return TRIALS, ERRORS, ERRORS
    event = credited(_event(claim, control, candidate))
    return units or REQUESTS, event, event


def _event(claim: Claim, *arms: Totals) -> str:
    short = claim.gate.sample if claim.kind == Kind.MEAN else claim.gate.metric.removesuffix("_rate")
    return claim.gate.metric if any(claim.gate.metric in arm.events for arm in arms) else short


def groups(candidate: Cells, control: Cells, names: Names, since: Mapping[str, Cells]) -> Groups:
    """Both arms' counts by group, since the columns `since`."""
    trials, events, others = names

    def of(cells: Cells, arm: str, name: str) -> Column:
        now, before = cells.get(name, _NONE), since.get(arm, {}).get(name)
        return now if before is None else tuple(map(sub, now, before))

    return (
        of(candidate, "candidate", events),
        of(candidate, "candidate", trials),
        of(control, "control", others),
        of(control, "control", trials),
    )


@dataclass(frozen=True, slots=True)
class Worth:
    """
    What a claim's requests are worth: the design effect of its alarm and of its proof, how many groups of the candidate had events and
    how many equal ones those are worth, how many equal ones its traffic is worth, and which part of it the largest group has beyond
    the middle one's.
    """

    effect: float = 1.0
    strict: float = 1.0
    groups: int = GROUPS
    spread: float = float(GROUPS)
    equal: float = float(GROUPS)
    largest: float = 0.0

    @classmethod
    def of(cls, strata: Strata, counts: Groups) -> Worth:
        x_c, n_c, _, _ = counts
        whole = sum(n_c)
        largest = (max(n_c) - sorted(n_c)[GROUPS // 2]) / whole if whole else 0.0
        equal = whole * whole / sum(map(mul, n_c, n_c)) if whole else 0.0
        events, squares = sum(x_c), sum(map(mul, x_c, x_c))
        met, spread = len(x_c) - x_c.count(0), events * events / squares if squares else 0.0
        return cls(strata.effect(strict=False), strata.effect(strict=True), met, spread, equal, largest)

    @property
    def blind(self) -> bool:
        """Whether one user (or one slice of time) is most of the candidate."""
        return 0 < self.equal < _FEWEST

    def silent(self, *, falls: bool, named: bool = True) -> str:
        """
        Why nothing may be rolled back on this evidence however strong it is; empty where it may.

        `falls`: a fall is suspected, of which missing events are the evidence. `named`: whose requests they are is known.
        """
        if self.blind:
            if not named:
                return "whose requests these are is not known, and they are of too short a time to tell how they go together"
            return "one user is most of the candidate's traffic, so nothing is known of the others"
        if not falls and (self.groups < _FEWEST or self.spread < _SPREAD):
            return "all of the candidate's events are one or two users', so nothing is known of the others"
        return ""

    def to_json(self) -> list[float]:
        return [self.effect, self.strict, self.groups, self.spread, self.equal, self.largest]

    @classmethod
    def from_json(cls, body: Sequence[float]) -> Worth:
        return cls(body[0], body[1], int(body[2]), *body[3:])


@dataclass(frozen=True, slots=True)
class Ledger:
    """
    What a comparison remembers beside the present revision's columns.

    `whole` and `stage`: strata behind it, of the rollout and of its present stage. `shocks` of the present stratum; `since`: the
    candidate's and both arms' events when the open slice of time began. `copies`: the evidence of each restart by its number,
    `cash` what older ones have become: their stake times their evidence.
    """

    whole: Strata = NO_STRATA
    stage: Strata = NO_STRATA
    shocks: Shocks = NO_SHOCKS
    since: tuple[float, float] = (0.0, 0.0)
    copies: Mapping[int, float] | None = None
    cash: float = 0.0

    def slice(self, counts: Groups) -> Ledger:
        """With the open slice of time closed."""
        x, m = sum(counts[0]), sum(counts[0]) + sum(counts[2])
        if m <= self.since[1]:
            return self
        return replace(self, shocks=self.shocks.add(x - self.since[0], m - self.since[1]), since=(x, m))

    def now(self, counts: Groups, known: Counts | None = None) -> tuple[Strata, Strata]:
        """(the rollout's strata, the stage's) with the present one; `known`: its sums, where the columns are not exact."""
        row = Stratum(known or (sum(counts[0]), sum(counts[1]), sum(counts[2]), sum(counts[3])), self.shocks)
        whole = self.whole.close(row, counts)
        return whole, whole if self.stage is self.whole or not self.whole.rows else self.stage.close(row, counts)

    def close(self, counts: Groups | None, known: Counts | None = None, *, stage: bool) -> Ledger:
        """With the present stratum behind it; `stage`: the stage is over as well. Restarts of its columns end as cash."""
        whole, present = (self.whole, self.stage) if counts is None else tuple(strata.rounded() for strata in self.now(counts, known))
        return Ledger(whole, NO_STRATA if stage else present, cash=self.cash + self._ended({}))

    def bet(self, copies: Mapping[int, float]) -> Ledger:
        """With what each restart says now."""
        return Ledger(self.whole, self.stage, self.shocks, self.since, copies, self.cash + self._ended(copies))

    def _ended(self, alive: Mapping[int, float]) -> float:
        """What the restarts that are no longer alive end with, as parts of the whole stake."""
        ended = {number: log for number, log in (self.copies or {}).items() if number not in alive}
        return sum(stake(number) * math.exp(min(log, 700.0)) for number, log in ended.items())

    def evidence(self, main: float, restarts: int) -> float:
        """Log of the evidence of the whole mixture: what was there from the start, each restart, and the stakes of those to come."""
        if restarts < 0:
            return main
        waiting = (1 - FIRST) / (restarts + 1)
        parts = [math.log(FIRST) + main, math.log(waiting + self.cash)]
        parts += [math.log(stake(number)) + log for number, log in (self.copies or {}).items()]
        peak = max(parts)
        return peak + math.log(sum(math.exp(part - peak) for part in parts))

    def to_json(self) -> list[Any]:
        shocks = [self.shocks.slices, self.shocks.m, self.shocks.xx, self.shocks.xm, self.shocks.mm]
        same = self.stage is self.whole or self.stage == self.whole
        copies = None if self.copies is None else [[number, log] for number, log in self.copies.items()]
        return [self.whole.to_json(), None if same else self.stage.to_json(), shocks, list(self.since), copies, self.cash]

    @classmethod
    def from_json(cls, body: Sequence[Any]) -> Ledger:
        whole, stage, shocks, since, copies, cash = body
        behind = Strata.from_json(whole)
        found = None if copies is None else {int(number): float(log) for number, log in copies}
        present = behind if stage is None else Strata.from_json(stage)
        return cls(behind, present, Shocks(int(shocks[0]), *shocks[1:]), (since[0], since[1]), found, cash)


def stake(number: int) -> float:
    """The part of the mixture that the restart of that number has: all of them together never more than a tenth."""
    return (1 - FIRST) / (number * (number + 1))


def splits(strata: Strata, null: float, effect: float, *, up: bool) -> list[Split]:
    """Deflated counts by stratum, for "the candidate has more than `null` times the control's rate" (`up`), or less than it."""
    found = []
    for row in strata.rows:
        x_c, n_c, x_b, n_b = row.counts
        if n_c > 0 and n_b > 0:
            kappa = null * n_c / n_b
            found.append((x_c / effect, x_b / effect, kappa) if up else (x_b / effect, x_c / effect, 1 / kappa))
    return found


def said(strata: Strata, null: float, effect: float, *, up: bool) -> float:
    """Log of the open evidence."""
    return mixture(splits(strata, null, effect, up=up))
