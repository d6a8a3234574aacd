"""
Two numbers the big simulation does not print: false proofs where errors come in bursts, and what a smaller stake costs late regressions.

    python -m benchmarks.canary_proofs [--reps 200] [--seed 20240607]

Proofs: sixty batches of 1 % errors in bursts of that mean size, each of one user; the candidate is exactly twice as bad, which `proven`
must rule out, so at most 5 % may be proven fine. `ratio` counts every error; `betting` whole batches; `judge` is progflags.
Late: batches until a regression is found that begins after so many healthy ones, by the stake of the bets that were there from the start.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from progflags.canary import Evidence, Gate, Window
from progflags.canary import _track as track
from progflags.canary._sequential import RATIO, fresh, log_mean, odds, ratio, share
from progflags.canary._step import GOOD
from progflags.canary._totals import SHARDS, Totals

BAR = -math.log(0.05)
GATE = Gate("error_rate", max_increase=0.5, must_detect=1.0, policy="proven")


def burst(rng, n, rate, size):
    """An arm's batch: errors in geometric bursts of `size` on average, each of one user in one of the shards."""
    failed = np.zeros(SHARDS, int)
    for shard in rng.integers(0, SHARDS, rng.poisson(n * rate / size)):
        failed[shard] += rng.geometric(1 / size)
    cells = tuple((n // SHARDS, min(n // SHARDS, int(x))) for x in failed)
    return Totals(n, n, sum(x for _, x in cells), shards=cells)


def proofs(rng, reps, size, n_c, n_b, factor=2.0):  # noqa: PLR0917 - a row of the table
    """In how many percent of the replicates "less than twice as bad" was proven, by method."""
    found = dict.fromkeys(("ratio", "betting", "judge"), 0)
    for _ in range(reps):
        evidence, logs, best = Evidence.start([GATE]), {"ratio": fresh(RATIO), "betting": fresh(RATIO)}, {"ratio": 0.0, "betting": 0.0}
        for _ in range(60):
            c, b = burst(rng, n_c, 0.01 * factor, size), burst(rng, n_b, 0.01, size)
            counts = (c.errors, n_c, b.errors, n_b)
            logs["ratio"] = ratio(logs["ratio"], 2.0, False, *counts)
            logs["betting"] = share(logs["betting"], odds(2.0, 0.01), False, *counts)
            best = {name: max(best[name], log_mean(now)) for name, now in logs.items()}
            evidence = evidence.add(Window("f", 1, {"control": b, "candidate": c}))
        best["judge"] = evidence.track(evidence.claims[0], GOOD).best
        found = {name: n + (best[name] >= BAR) for name, n in found.items()}
    return {name: 100 * n / reps for name, n in found.items()}


def late(rng, reps, stake, onset, n_c, n_b, factor):  # noqa: PLR0917 - likewise
    """The median number of batches from the onset of a regression of 1 % errors to its finding."""
    kept, track.FIRST = track.FIRST, stake
    delays = []
    for _ in range(reps):
        going = track.Track.start(RATIO, restarts=True)
        worse = np.where(np.arange(onset + 300) < onset, 0.01, 0.01 * factor)
        for t, (x_c, x_b) in enumerate(
            zip(rng.binomial(n_c, worse).tolist(), rng.binomial(n_b, 0.01, onset + 300).tolist(), strict=True), 1
        ):
            going = going.add(share(going.logs, odds(1.1, 0.01), True, x_c, n_c, x_b, n_b))
            going = going.restart() if t % 60 == 0 else going
            if t > onset and going.best >= BAR:
                break
        delays.append(t - onset)
    track.FIRST = kept
    return int(np.median(delays))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reps", type=int, default=200)
    options.add_argument("--seed", type=int, default=20240607)
    asked = options.parse_args()
    print("| proven fine, percent | ratio | betting | judge |\n| --- | --- | --- | --- |")
    for truth, factor in (("twice as bad", 2.0), ("healthy", 1.0)):
        for size in (1, 2, 3, 5):
            for split, n_c, n_b in (("1:99", 600, 59_400), ("1:1", 6000, 6000)):
                seen = proofs(np.random.default_rng([asked.seed, size, n_c]), asked.reps, size, n_c, n_b, factor)
                cells = " | ".join(f"{percent:.1f}" for percent in seen.values())
                print(f"| {truth}, bursts of {size}, {split} | {cells} |", flush=True)
    print("\n| batches until found | 0.9 | 0.95 | 0.99 |\n| --- | --- | --- | --- |")
    for onset in (90, 600):
        for name, n_c, n_b, factor in (("×2, 1:99", 100, 9900, 2.0), ("×2, 1:1", 1000, 1000, 2.0), ("×1.5, 1:1", 1000, 1000, 1.5)):
            seen = [
                late(np.random.default_rng([asked.seed, onset]), asked.reps // 2, stake, onset, n_c, n_b, factor)
                for stake in (0.9, 0.95, 0.99)
            ]
            print(f"| 1 % {name}, from batch {onset} on | {' | '.join(map(str, seen))} |", flush=True)


if __name__ == "__main__":
    main()
