"""
The classic pipeline, fast-forward: 1 % for 15 minutes, 10 % for an hour, 50 % for four, 100 % watched for a day.

Nothing here is special to the simulation but the clock and the made-up traffic: the same flag table, left to itself in an
application under load, does the same thing in 29 hours. Run it: `python examples/classic_pipeline.py [bad]`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import NormalDist
from time import perf_counter

import numpy as np

import progflags as pf
from progflags.testing import ManualClock

FLAG = "new-checkout"
TABLE = {
    "watch": "24h",
    "deadline": "24h",
    "max_gap": "15m",  # one look may account for a quarter of an hour: we look less often the longer a stage is
    "stages": [
        {
            "percent": 1,
            "bake": "15m",
            "min_samples": 1000,
            "gates": [
                {"metric": "error_rate", "max": 0.01},
                {"metric": "p99_latency", "max": 0.5, "max_increase": 0.10},
            ],
        },
        {
            "percent": 10,
            "bake": "1h",
            "gates": [
                {"metric": "error_rate", "max": 0.01, "max_increase": 0.25},
                {"metric": "conversion", "max_decrease": 0.02, "must_detect": 0.25},
            ],
        },
        {"percent": 50, "bake": "4h", "gates": [{"metric": "*", "anomaly": False}]},
    ],
}

RPS = 200  # of the whole application
LATENCIES = [float(np.exp(NormalDist(-2.0, 0.4).inv_cdf((i + 0.5) / 50))) for i in range(50)]  # a median of 135 ms, a p99 of 340


class Traffic:
    """Made-up people: each arm's share of the requests, some of which fail, are slow, or end in a purchase."""

    def __init__(self, flags: pf.Flags, *, bad: bool) -> None:
        self.flags = flags
        self.bad = bad
        self.chance = np.random.default_rng(7)

    def pour(self, seconds: float, percent: float) -> None:
        for arm, share in (("control", 1 - percent / 100), ("candidate", percent / 100)):
            n = int(self.chance.poisson(RPS * seconds * share))
            worse = self.bad and arm == "candidate"
            failed = int(self.chance.binomial(n, 0.02 if worse else 0.002))
            slow = 1.3 if worse else 1.0
            for latency, count in zip(LATENCIES, self.chance.multinomial(n - failed, [0.02] * 50), strict=True):
                if count:
                    self.flags.metrics.record(FLAG, arm=arm, seconds=latency * slow, error=False, n=int(count))
            if failed:
                self.flags.metrics.record(FLAG, arm=arm, seconds=0.05, error=True, n=failed)
            if percent < 100:  # nobody compares purchases in the watch
                self.people(arm, n // 16)

    def people(self, arm: str, n: int) -> None:
        """A visitor for every sixteenth request; five in a hundred buy."""
        bought = set(self.chance.choice(n, size=int(self.chance.binomial(n, 0.05)), replace=False).tolist()) if n else set()
        first = int(self.chance.integers(1 << 40))
        for i in range(n):
            self.flags.metrics.record(FLAG, arm=arm, unit=f"{first + i}", events=["conversion"] if i in bought else None)


def climb(*, bad: bool = False) -> Iterator[tuple[float, pf.Transition]]:
    """Every transition of the whole life of a rollout, with the minute it happened in."""
    clock = ManualClock(wall=1_800_000_000.0)
    with pf.connect({"flags": {FLAG: {"rollout": TABLE}}}, clock=clock) as flags:
        traffic = Traffic(flags, bad=bad)
        status = flags.rollouts.start(FLAG, by="ann", reason="release 4.2")
        yield from ((0.0, move) for move in status.history)
        while status.state not in ("completed", "rolled_back", "held"):
            step = 60.0 if status.percent < 50 else 300.0 if status.percent < 100 else 900.0
            traffic.pour(step, status.percent)
            clock.advance(step)
            for move in flags.rollouts.tick():
                yield clock.monotonic() / 60, move
            status = flags.rollouts.status(FLAG)


if __name__ == "__main__":
    began = perf_counter()
    for minute, move in climb(bad="bad" in sys.argv[1:]):
        print(f"{minute // 60:3.0f}h{minute % 60:02.0f}  {move.source:>12} → {move.target:<12} {move.percent:5g} %   {move.reason}")
    print(f"({perf_counter() - began:.1f} s)")
