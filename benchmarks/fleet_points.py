"""
Measure a fleet of 1 to 64 processes on PostgreSQL and Redis, with and without a connection for each host, and what its questions cost,
and keep all of it in `fleet_points.json`, which the simulation and its tests go by.

`python -m benchmarks.fleet_points` takes about an hour. It wants a machine that does nothing else; `--loaded` notes that it did.
`python -m benchmarks.fleet_simulation --write` then draws and writes what the documentation says of it.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.bench_fleet import HOST, Pace, measured, running
from benchmarks.fleet_costs import costs
from benchmarks.fleet_point import HEAD, Point, Spread, line

FILE = Path(__file__).with_name("fleet_points.json")
SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Found:
    """`loaded`: whether the machine did something else meanwhile; `note`: what else is to be known; `costs`: see `fleet_costs`."""

    processors: int
    loaded: bool
    note: str
    costs: dict[str, dict[str, dict[str, float]]]
    points: tuple[Point, ...]

    def point(self, server: str, processes: int, *, shared: bool = False) -> Point | None:
        return next((one for one in self.points if (one.server, one.processes, one.hosts > 0) == (server, processes, shared)), None)


def found(file: Path = FILE) -> Found:
    """What was measured last."""
    body = json.loads(file.read_text())
    spreads = ("verdicts", "kills", "deaths")
    points = [Point(**{**one, **{key: one[key] and Spread(**one[key]) for key in spreads}}) for one in body["points"]]
    return Found(body["processors"], body["loaded"], body["note"], body["costs"], tuple(points))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    asked.add_argument("--seconds", type=float, default=31.0, help="that are counted, twice for each row")
    asked.add_argument("--rounds", type=int, default=15)
    asked.add_argument("--loaded", action="store_true", help="the machine does other work meanwhile")
    asked.add_argument("--note", default="", help="a sentence for the page")
    asked.add_argument("--file", type=Path, default=FILE)
    told = asked.parse_args()
    names, pace = running(), Pace(settle=8.0, measured=told.seconds, rounds=told.rounds)
    spent = {name: costs(name) for name in names}
    points = []
    print(HEAD)
    for name in names:
        for size in told.sizes:
            for hosts in (0, -(-size // HOST)):
                points.append(measured(name, size, hosts, pace))
                print(line(points[-1]), flush=True)
    body = asdict(Found(os.cpu_count() or 1, told.loaded, told.note, spent, tuple(points)))
    told.file.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
