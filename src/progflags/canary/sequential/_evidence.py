"""Evidence: everything a rollout has learned so far, as one immutable value that batches are added to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from progflags._printed import quoted
from progflags._trouble import swallow
from progflags.canary._gate import ANY, Gate
from progflags.canary.counting import CANDIDATE, CONTROL, Window, added
from progflags.canary.sequential._claims import Claim, claims, seen
from progflags.canary.sequential._learned import WARM, Learned
from progflags.canary.sequential._planned import LOOKS
from progflags.canary.sequential._revision import closing, looking, placed
from progflags.canary.sequential._step import Silent, Step
from progflags.canary.sequential._written import read, written

__all__ = ["Evidence"]

_RESTART: Final = 60  # batches between two restarts
_KEPT: Final = 2  # restarts that go on; the stake of an older one stays as the cash it has become
_RESERVE: Final = 0.05  # of alpha, for claims that nobody announced
_SLICE: Final = 60.0  # seconds of a slice of time


@dataclass(frozen=True)
class Evidence(Learned):
    """
    The sequential state of one rollout.

    `add` takes batches, `stage` moves on to the next stage's gates; claims that both stages share go on where they were,
    and the alpha of the whole rollout is spent once: `alphas` says which claim got how much. `totals` are cumulative at
    the present revision of the flag, `samples` (control, candidate) since the stage began. The same batches in the same
    order give the same bits, on any machine.

    Comparisons count by groups of users (`totals.cells`): `since` is what was counted while the candidate was cold, `restarts`
    the columns as they were at the latest restarts, by number, `ledgers` what each comparison remembers, `worth` what its requests
    are worth, `looked` how its planned looks came out.
    """

    @classmethod
    def start(
        cls,
        gates: Sequence[Gate],
        alpha: float = 0.05,
        *,
        later: Iterable[Gate] = (),
        modes: Mapping[str, str] | None = None,
        restarts: bool = True,
        warm: int = WARM,
        looks: int = 0,
        steps: int = LOOKS,
    ) -> Evidence:
        """
        Before the first batch.

        `later`: gates of stages to come, so that alpha is divided fairly among all of them; one that is not announced
        lives on what is left. `modes` by metric: "ratio" takes its events for independent, whoever had them; else requests are
        counted by groups of users. `restarts` False leaves out the copies that catch a late onset: for data that is all there.
        `looks` is the number of stages with a planned end, in each of which there are `steps` planned looks: a fifth of alpha then
        goes to continuous watching and the rest to those looks, see `look`.

        Raises:
            ValueError: alpha is not between 0 and 1.
        """
        if not 0 < alpha < 1:
            raise ValueError(f"alpha is a probability between 0 and 1, not {quoted(alpha)}")
        blank = cls(tuple(gates), alpha, modes=dict(modes or {}), live=restarts, warm=warm, looks=looks, steps=steps)
        spare = 0.0 if not restarts else _RESERVE
        return replace(blank, alphas=_spend({}, (*gates, *later), alpha * (1 - spare)))

    def stage(self, gates: Sequence[Gate]) -> Evidence:
        """
        The evidence as the next stage begins: its gates, its samples from zero, what was learned kept.

        A bet is restarted for what a larger share may newly break, and thresholds are taken from the stage that ends.
        """
        left = max(0.0, self.alpha - sum(self.alphas.values()))
        alphas = _spend(self.alphas, gates, left / 2)
        closed = closing(self, stage=True)
        moved = replace(closed, gates=tuple(gates), alphas=alphas, samples=(0, 0), stages=self.stages + 1, look_at=0)
        tracks = {name: track.restart() for name, track in self.tracks.items()}
        number = self.restarted + 1
        return replace(moved, tracks=tracks, places=placed(moved, anew=True), restarted=number, restarts={number: {}})

    def look(self, baked: float = 1.0) -> Evidence:
        """
        The planned look that is due when `baked` of the bake is over, if it was not taken yet; repeating it changes nothing.

        A look that was missed is taken late; after the last one only the open evidence goes on. Only planned looks spend: without
        `looks`, and in stages beyond them, this is the evidence as it was.
        """
        due = min(self.steps, math.floor(self.steps * baked + 1e-9))
        if due <= self.look_at or self.stages >= self.looks:
            return self
        return looking(replace(self, look_at=due), due)

    # -- one batch ------------------------------------------------------------------------------------------------------

    def add(self, batch: Window, *, warming: bool = False, seconds: float | None = None, slice: float = _SLICE) -> Evidence:
        """
        The evidence after one batch.

        A batch is a slice of time closed without looking at outcomes. An empty one changes nothing. `warming`: the
        candidate's processes are still cold, so nothing is compared yet; absolute bounds are watched all the same. `seconds` is how
        long the batch took: batches are joined to slices of at least `slice` seconds, by which shocks are told; None: each is one.
        """
        if batch.empty:
            return self
        same = self.open and (self.totals.flag, self.totals.revision) == (batch.flag, batch.revision)
        start = self if same else closing(self, stage=False)
        before = start.totals if same else Window(batch.flag, batch.revision)
        batch = start.grouped(batch)
        totals = before.merge(batch) if before.arms or before.gauges else batch
        found = start.found
        if any(gate.metric == ANY for gate in start.gates):
            found = (*found, *(gate.metric for gate in seen(totals) if gate.metric not in found))
        age = math.inf if seconds is None else start.age + seconds
        grown = replace(
            start,
            totals=totals,
            found=found,
            samples=(start.samples[0] + batch.samples(CONTROL), start.samples[1] + batch.samples(CANDIDATE)),
            batches=start.batches + 1,
            age=0.0 if age >= slice else age,
            open=True,
        )
        if warming:
            grown = replace(grown, since={arm: totals.cells for arm, totals in totals.arms.items()}, age=0.0)
        elif batch.control.bare != batch.candidate.bare:
            # One side's data are late or lost: what the other did meanwhile compares with nothing.
            grown = replace(grown, since={arm: added(grown.since.get(arm, {}), totals.cells) for arm, totals in batch.arms.items()})
        if start.live and grown.batches % _RESTART == 0:
            grown = grown.restart()
        step = Step(grown, before, batch, warming, sliced=age >= slice)
        for claim in grown.claims:
            _take(step, claim)
        if start.live and grown.batches % _RESTART == 0:
            step.tracks = {name: track.restart() for name, track in step.tracks.items()}
        grown = step.done()
        return replace(grown, places=placed(grown))

    def restart(self) -> Evidence:
        """One more copy on its way, for what may begin only now; the oldest one ends as the cash it has become."""
        number = self.restarted + 1
        kept = dict(sorted(self.restarts.items())[1 - _KEPT :])
        return replace(self, restarted=number, restarts={**kept, number: {arm: totals.cells for arm, totals in self.totals.arms.items()}})

    # -- JSON -----------------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain JSON of some KiB, exact to the last bit: one object, which is not to be changed."""
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        """Made once: a verdict's digest is of it, and the store gets it."""
        return written(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Evidence:
        """
        The evidence that `to_json` wrote.

        Raises:
            ValueError: another version wrote it.
        """
        return cls(**read(body))


def _spend(spent: Mapping[str, float], gates: Iterable[Gate], alpha: float) -> dict[str, float]:
    """Divide `alpha` among the critical gates' claims that have none yet, by weight and then evenly among a gate's own."""
    fresh: dict[str, float] = {}
    for gate in dict.fromkeys(gates):
        if gate.critical:
            names = [f"{ANY} anomaly"] if gate.metric == ANY else [claim.name for claim in claims(gate)]
            fresh |= {name: max(fresh.get(name, 0.0), gate.weight / len(names)) for name in names if name not in spent}
    whole = sum(fresh.values())
    return {**spent, **{name: alpha * weight / whole for name, weight in fresh.items()}}


def _take(step: Step[Any], claim: Claim) -> None:
    """One metric's trouble holds that metric; the others are judged on."""
    try:
        step.take(claim)
        step.broken.pop(claim.name, None)
    except Silent as error:  # it was good, and nobody knows whether it still is
        step.broken[claim.name] = str(error)
    except Exception as error:
        swallow(f"canary metric {claim.gate.metric!r}", error)
        step.broken[claim.name] = f"{type(error).__name__}: {error}"
