"""
Whole rollouts by the profiles: healthy ones to everybody, bad ones stopped. Part `rollouts` of `python -m benchmarks.simulate`.

Each replicate is a connected client with a clock of its own and nobody who interferes. An hour of traffic before the start, so that the
stages that fit the traffic know it; then Poisson counts and lognormal latencies (median 80 ms, sigma 0.5, rounded to steps of 7 %), a look
every fifteenth of the stage's bake, and past its end every fifteenth of the time it has taken, but at least every hour. `high` goes
without its calendar, its approvals and its dark launch, `emergency` without its second person: they wait for people. A replicate ends
where everybody has it, where it is rolled back, or after `most` hours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist, median
from zlib import crc32

import numpy as np

import progflags as pf
from benchmarks.user_live import ENDS, FLAG
from progflags.testing import ManualClock

REPS, CHUNK = 400, 5
LOOKS, _GAP = 15, 3600.0  # to a bake, and the most seconds between two
_SLOTS, _SLOT = 6, 10.0  # of a look, and the shortest: nobody says whose requests these are, so slices of ten seconds stand for users

_NORMAL = NormalDist()
_EDGES = np.linspace(-2.6, 3.7, 49)
_WEIGHTS = np.diff([0.0, *(_NORMAL.cdf(edge) for edge in _EDGES[1:-1]), 1.0])
_SECONDS = 0.08 * np.exp(0.5 * (_EDGES[:-1] + _EDGES[1:]) / 2)

_ALONE = {
    "high": {"windows": [], "approval": {"before": []}, "dark_launch": False},
    "emergency": {"approval": {"two_person": False}},
}


@dataclass(frozen=True)
class Cell:
    """One row: profile, requests a second, the control's error rate; the candidate's errors times `worse`, its latencies times `slower`."""

    profile: str
    rps: float
    errors: float
    worse: float = 1.0
    slower: float = 1.0
    most: float = 48.0  # hours

    def __str__(self) -> str:
        bad = "".join((f", errors ×{self.worse:g}" * (self.worse != 1), f", latency ×{self.slower:g}" * (self.slower != 1)))
        return f"{self.profile}, {self.rps:,g} rps, {100 * self.errors:g} % errors{bad}"

    @property
    def healthy(self) -> bool:
        return self.worse == self.slower == 1


def cells():
    for rps in (1, 10, 100, 10_000):
        yield from (Cell("standard", rps, errors) for errors in (0.0, 0.001, 0.01))
    for rps in (1, 10, 100):
        yield from (Cell("low", rps, errors) for errors in (0.0, 0.01))
    yield from (Cell("high", rps, 0.01, most=200) for rps in (10, 100))
    yield from (Cell("emergency", rps, 0.01, most=4) for rps in (10, 100))
    for profile, most in (("low", 24), ("standard", 24), ("high", 48), ("emergency", 2)):
        for rps in (1, 5, 10, 100):
            yield Cell(profile, rps, 0.01, worse=2.0, most=most)
            if profile != "emergency":  # which has no gate on latency
                yield Cell(profile, rps, 0.01, slower=1.25, most=most)


@dataclass(frozen=True)
class Run:
    """
    How one replicate ended: the state, hours until then, true over announced remaining time, the stages' percents, and whether the
    plan said before that it could see what is wrong.
    """

    state: str
    hours: float
    eta: float | None
    percents: tuple[float, ...]
    sees: bool

    @property
    def full(self) -> bool:
        return self.state in {"watching", "completed"}


class Service:
    """The traffic of one replicate."""

    def __init__(self, flags, clock, chance: np.random.Generator, *, rps: float, errors: float) -> None:
        self._flags, self._clock, self._chance, self.rps, self.errors = flags, clock, chance, rps, errors
        self.worse = self.slower = 1.0

    def go_on(self, seconds: float, share: float, *, load: float = 1.0, failing: float = 1.0, stretch: float = 1.0) -> None:
        """So many seconds of it, `share` of it on the candidate; the rest are factors on all of it."""
        slots = int(max(1.0, min(_SLOTS, seconds // _SLOT)))
        for _ in range(slots):
            for arm, part, worse, slower in (("control", 1 - share, 1.0, 1.0), ("candidate", share, self.worse, self.slower)):
                n = int(self._chance.poisson(seconds / slots * self.rps * load * part)) if part > 1e-9 else 0
                bad = int(self._chance.binomial(n, min(1.0, self.errors * failing * worse)))
                for failed, many in ((False, n - bad), (True, bad)):
                    self._record(arm, failed, many, stretch * slower)
            self._clock.advance(seconds / slots)

    def _record(self, arm: str, failed: bool, many: int, slower: float) -> None:
        for seconds, k in zip((_SECONDS * slower).tolist(), self._chance.multinomial(many, _WEIGHTS).tolist(), strict=True):
            if k:
                self._flags.metrics.record(FLAG, arm=arm, seconds=seconds, error=failed, n=k)


class Climb:
    """A rollout on its way: where it stands, by the steps that its ticks tell of."""

    def __init__(self, flags) -> None:
        self._flags, self.plan = flags, flags.rollouts.plan(FLAG)
        status = flags.rollouts.start(FLAG)
        self.state, self.share, self._stage, self._spent = str(status.state), status.percent / 100, 0, 0.0
        self.percents = [status.percent]

    @property
    def step(self) -> float:
        """Seconds until the next look."""
        return min(max(10.0, self.plan.bake(min(self._stage, self.plan.end - 1)) / LOOKS, self._spent / LOOKS), _GAP)

    @property
    def going(self) -> bool:
        return self.state not in ENDS

    def look(self, seconds: float = 0.0) -> None:
        """After so many seconds of traffic."""
        self._spent += seconds
        for step in self._flags.rollouts.tick():
            self.state, self.share = str(step.target), step.percent / 100
            if self.state == "ramping":  # to another share
                self._stage, self._spent = self._flags.rollouts.status(FLAG).stage or 0, 0.0
                self.percents.append(step.percent)


def connected(table, seed, *, wall=1_800_000_000.0):
    """(clock, client, chance) of one replicate. Looks are as far apart as they are here."""
    clock = ManualClock(wall=wall)
    plan = {"max_gap": f"{_GAP:g}s", **table}
    return clock, pf.connect({"flags": {FLAG: {"rollout": plan}}}, clock=clock), np.random.default_rng(seed)


def run_one(cell: Cell, seed) -> Run:
    """One replicate."""
    clock, client, chance = connected({"profile": cell.profile, **_ALONE.get(cell.profile, {})}, seed)
    with client as flags:
        service = Service(flags, clock, chance, rps=cell.rps, errors=cell.errors)
        for _ in range(12):
            service.go_on(300, 0.0)
            flags.refresh()
        sees = _sees(flags.rollouts.forecast(FLAG), "p99_latency" if cell.slower != 1 else "error_rate")
        climb, announced = Climb(flags), None
        service.worse, service.slower, began = cell.worse, cell.slower, clock.now()
        while climb.going and clock.now() - began < cell.most * 3600:
            if announced is None and cell.healthy and (eta := flags.rollouts.status(FLAG).eta) is not None:
                announced = (clock.now() - began, eta)
            service.go_on(step := climb.step, climb.share)
            climb.look(step)
        took = clock.now() - began
        eta = (took - announced[0]) / announced[1] if announced and not climb.going else None
        return Run(climb.state, took / 3600, eta, tuple(climb.percents), sees)


def _sees(forecast, metric):
    """Whether some stage on the way is said to see what matters of a metric in time."""
    return any(metric in line for stage in forecast.stages for line in stage.sees)


def run(cell, seed, chunk, reps):
    runs = [run_one(cell, [seed, crc32(str(cell).encode()), chunk, k]) for k in range(reps)]
    return {name: [getattr(one, name) for one in runs] for name in ("state", "hours", "eta", "percents", "sees", "full")}


# -- the page -------------------------------------------------------------------------------------------------------------------


def percent(part, whole):
    """With its standard error."""
    share = part / whole
    return f"{100 * share:.1f} ({100 * math.sqrt(max(share * (1 - share), 0.0) / whole):.1f})"


def told(rows):
    well = [row for row in rows if row[0].healthy]
    bad = [row for row in rows if not row[0].healthy]
    parts = []
    if well:
        parts.append("### Healthy\n\n" + "\n".join(_well(well)))
    if bad:
        parts.append("### Bad\n\n" + "\n".join(_bad(bad)))
    return "\n\n".join(parts)


def _well(rows):
    yield "| | at 100 % | rolled back | median time | true / announced | stages | replicates |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cell, found in rows:
        n, full = len(found["state"]), [hours for hours, yes in zip(found["hours"], found["full"], strict=True) if yes]
        etas = [eta for eta, yes in zip(found["eta"], found["full"], strict=True) if yes and eta is not None]
        back = percent(found["state"].count("rolled_back"), n)
        stages = " ".join(f"{one:g}" for one in max(found["percents"], key=found["percents"].count))
        eta = f"{median(etas):.2f}" if etas else "–"
        yield f"| {cell} | {percent(len(full), n)} | {back} | {span(median(full)) if full else '–'} | {eta} | {stages} | {n} |"


def _bad(rows):
    yield "| | plan sees it | at 100 % | rolled back | median time until | replicates |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for cell, found in rows:
        n, gone = len(found["state"]), [h for h, state in zip(found["hours"], found["state"], strict=True) if state == "rolled_back"]
        sees, full = sum(found["sees"]), sum(found["full"])
        could = "yes" if sees == n else "no" if not sees else f"{100 * sees / n:.0f} %"
        seen = [yes for yes, could_see in zip(found["full"], found["sees"], strict=True) if could_see]
        missed = " MISSED" if seen and sum(seen) / len(seen) > 0.1 else ""
        yield f"| {cell} | {could} | {percent(full, n)}{missed} | {percent(len(gone), n)} | {span(median(gone)) if gone else '–'} | {n} |"


def span(hours):
    return f"{hours:.1f} h" if hours >= 2 else f"{hours * 60:.0f} min" if hours * 60 >= 2 else f"{hours * 3600:.0f} s"
