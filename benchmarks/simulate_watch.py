"""
The watch after 100 %. Part `watch` of `python -m benchmarks.simulate`.

A day of a healthy release by made-up curves of three services, weekends in it, a look every half hour; and what breaks once everybody has
it, at 10 requests a second, a look every ten seconds. With `standard` as it ships (1 % stays with the control until the watch ends), and
without a holdback, where the control is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from zlib import crc32

from benchmarks.service_days import CURVES, at
from benchmarks.simulate_rollouts import Climb, Service, connected, percent, span

REPS, CHUNK = 400, 5
_LOOK, _DAY = 1800.0, 86_400.0
_SOON = 600.0


@dataclass(frozen=True)
class Cell:
    """A healthy day of `service`; or, where that is empty, a release that breaks."""

    holdback: int
    service: str = ""
    worse: float = 1.0
    slower: float = 1.0

    def __str__(self) -> str:
        against = f"{self.holdback} % with the control" if self.holdback else "the control remembered"
        what = (
            f"a healthy day, {self.service}"
            if self.service
            else f"errors ×{self.worse:g}"
            if self.worse > 1
            else f"latency ×{self.slower:g}"
        )
        return f"{what}, {against}"


def cells():
    for holdback in (1, 0):
        yield from (Cell(holdback, service) for service in CURVES)
        yield from (Cell(holdback, worse=12.0), Cell(holdback, slower=3.0))


def run(cell, seed, chunk, reps):
    found = [_one(cell, [seed, crc32(str(cell).encode()), chunk, k], chunk * CHUNK + k) for k in range(reps)]
    return {"state": [state for state, _ in found], "seconds": [seconds for _, seconds in found]}


def _one(cell, seed, number):
    """(the state at the end, seconds of the watch until then). Replicates begin at all hours and on all days."""
    clock, client, chance = connected({"profile": "standard", "holdback": cell.holdback}, seed, wall=1_800_000_000.0 + number * 29 * 3600.0)
    with client as flags:
        service = Service(flags, clock, chance, rps=5 if cell.service else 10, errors=0.005 if cell.service else 0.01)

        def go_on(seconds, share):
            load, failing, stretch = at(cell.service, clock.now()) if cell.service else (1.0, 1.0, 1.0)
            service.go_on(seconds, share, load=load, failing=failing, stretch=stretch)

        for _ in range(12):
            go_on(300, 0.0)
            flags.refresh()
        climb, began = Climb(flags), clock.now()
        while climb.going and clock.now() - began < 2 * _DAY:
            go_on(step := climb.step, climb.share)
            climb.look(step)
        service.worse, service.slower, began = cell.worse, cell.slower, clock.now()
        look, most = (_LOOK, _DAY) if cell.service else (10.0, 2 * _SOON)
        if climb.state != "watching":
            return f"climb: {climb.state}", 0.0
        while climb.state == "watching" and clock.now() - began < most:
            go_on(look, climb.share)
            climb.look()
        return climb.state, clock.now() - began


def told(rows):
    lines = ["| | rolled back | within ten minutes | median time until | replicates |", "| --- | --- | --- | --- | --- |"]
    for cell, found in rows:
        watched = [pair for pair in zip(found["state"], found["seconds"], strict=True) if not pair[0].startswith("climb")]
        gone = [seconds for state, seconds in watched if state == "rolled_back"]
        n = len(watched)
        soon = "" if cell.service else percent(sum(seconds <= _SOON for seconds in gone), n)
        lines.append(f"| {cell} | {percent(len(gone), n)} | {soon} | {span(median(gone) / 3600) if gone else '–'} | {n} |")
    return "\n".join(lines)
