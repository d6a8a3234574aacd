"""
Means of heavy tails: what each of 20,000 users spent, twelve planned looks, alpha 5 %. Part `means` of `python -m benchmarks.simulate`.

`rise` and `fall`: healthy candidates taken for either; `found`: those whose users spend 1.3 times as much. The users of a look are given
to the evidence as the recorder would have added them up, and in the first replicates of each cell to a connected client, one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np

import progflags as pf
from benchmarks.user_live import ENDS, FLAG
from progflags.canary import Decision, Evidence, Gate, Totals, Window, judge
from progflags.canary.counting import GROUPS, UNIT, Moments
from progflags.testing import ManualClock

REPS, CHUNK, LIVE, LOOKS = 1000, 50, 2, 12
_ALPHA = 0.05

SPENT = {
    "lognormal, sd 1": lambda rng, n: rng.lognormal(0.0, 1.0, n),
    "lognormal, sd 2": lambda rng, n: rng.lognormal(0.0, 2.0, n),
    "Pareto 1.5 (no variance)": lambda rng, n: rng.pareto(1.5, n) + 1,
    "a tenth buy, lognormal sd 1.5": lambda rng, n: rng.lognormal(0.0, 1.5, n) * (rng.random(n) < 0.1),
}
SPLITS = ((0.01, "1:99"), (0.1, "10:90"), (0.5, "50:50"))
COLUMNS = {"rise": (1.0, True), "fall": (1.0, False), "×1.3 found": (1.3, True)}


@dataclass(frozen=True)
class Cell:
    spent: str
    share: float
    split: str
    column: str

    def __str__(self) -> str:
        return f"{self.spent}, {self.split}, {self.column}"


def cells():
    return [Cell(spent, share, split, column) for spent in SPENT for share, split in SPLITS for column in COLUMNS]


def run(cell, seed, chunk, reps):
    rng = np.random.default_rng([seed, crc32(str(cell).encode()), chunk])
    factor, up = COLUMNS[cell.column]
    looks = [drawn(rng, SPENT[cell.spent], cell.share, factor=factor) for _ in range(reps)]
    found = {"alarm": [minute_of(each, up=up) for each in looks]}
    return found | ({} if chunk else {"live": [live(each, up=up) for each in looks[:LIVE]]})


def drawn(rng, spent, share, *, users=20_000, factor=1.0):
    """By look, both arms' users: (what they spent, in the smallest unit that is counted; their groups)."""
    looks = []
    for _ in range(LOOKS):
        sides = {}
        for arm, part, by in (("control", 1 - share, 1.0), ("candidate", share, factor)):
            n = max(2, int(users * part / LOOKS))
            sides[arm] = np.round(spent(rng, n) * by * UNIT), rng.integers(0, GROUPS, n)
        looks.append(sides)
    return looks


def gate(up):
    return {"metric": "spent", "kind": "mean", "policy": "no_alarm", ("max_increase" if up else "max_decrease"): 0.0}


def minute_of(looks, *, up=True):
    """The look at which the alarm is raised: an increase (`up`) or a fall, of which none is tolerated; 0: none."""
    evidence = Evidence.start([Gate.of(gate(up))], _ALPHA, looks=1)
    for number, sides in enumerate(looks, 1):
        evidence = evidence.add(Window("f", 1, {arm: _totals(*side) for arm, side in sides.items()})).look(number / LOOKS)
        if judge(evidence, baked=1, bake=2).decision == Decision.ROLLBACK:
            return number
    return 0


def _totals(values, group):
    """What so many new users spent, by group."""
    bought, users = values > 0, len(values)
    columns = {
        "units": np.bincount(group, minlength=GROUPS),
        "event:spent": np.bincount(group[bought], minlength=GROUPS),
        "event~spent": np.bincount(group, values, GROUPS),
    }
    moments = Moments(int(bought.sum()), int(columns["event~spent"].sum()), int((values**2).sum()))
    cells = {name: tuple(map(int, column)) for name, column in columns.items()}
    return Totals(users, users, 0, users, 0, {"spent": moments}, cells=cells)


def alarms(rng, spent, share, *, users=20_000, factor=1.0, up=True, reps=200):
    """How many of the replicates raise the alarm."""
    return sum(minute_of(drawn(rng, spent, share, users=users, factor=factor), up=up) > 0 for _ in range(reps))


# -- through the public interface ---------------------------------------------------------------------------------------------


@cache
def _names():
    """Plenty of users of each group."""
    found = [[] for _ in range(GROUPS)]
    for number in range(64_000):
        name = b"u%d" % number
        found[crc32(name) % GROUPS].append(name)
    return found


def live(looks, *, up=True):
    """Likewise, of a rollout that is told of each user."""
    stage = {"percent": 50, "bake": f"{LOOKS}m", "min_samples": 1, "gates": [gate(up)]}
    plan = {"stages": [stage], "alpha": _ALPHA, "brake": False, "batch": "60s", "watch": "0s", "remember": False}
    clock, people = ManualClock(wall=1_800_000_000.0), [iter(names) for names in _names()]
    with pf.connect({"flags": {FLAG: {"rollout": plan}}}, clock=clock) as flags:
        flags.rollouts.start(FLAG)
        for number, sides in enumerate(looks, 1):
            for arm, (values, group) in sides.items():
                for value, g in zip(values.tolist(), group.tolist(), strict=True):
                    flags.metrics.record(FLAG, arm=arm, error=False, unit=next(people[g]), events={"spent": value / UNIT})
            clock.advance(60)
            ended = ENDS & {str(step.target) for step in flags.rollouts.tick()}
            if ended:
                return number if "rolled_back" in ended else 0
    return 0


# -- the page -------------------------------------------------------------------------------------------------------------------


def told(rows):
    found = {(cell.spent, cell.split, cell.column): each for cell, each in rows}
    lines = [f"| | {' | '.join(COLUMNS)} | replicates |", "| --- |" + " --- |" * (len(COLUMNS) + 1)]
    for spent, split in dict.fromkeys((key[0], key[1]) for key in found):
        columns = [found.get((spent, split, column), {}).get("alarm", ()) for column in COLUMNS]
        shares = " | ".join(f"{100 * sum(map(bool, each)) / len(each):.1f}" if each else "–" for each in columns)
        lines.append(f"| {spent}, {split} | {shares} | {min(map(len, columns))} |")
    lives = [(one, other) for each in found.values() for one, other in zip(each.get("live", ()), each["alarm"], strict=False)]
    n = min((len(each["alarm"]) for each in found.values()), default=1)
    error = 100 * math.sqrt(_ALPHA * (1 - _ALPHA) / n)
    lines.append(f"\nThe standard error at 5 % is {error:.1f} points of {n} replicates.")
    lines.append(f"Through the public interface: {len(lives)} replicates, {sum(a != b for a, b in lives)} with another look of alarm.")
    return "\n".join(lines)
