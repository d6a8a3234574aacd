"""Windows made to measure, for tests of what judges them."""

from __future__ import annotations

import math
import random

from progflags.canary._sketch import Sample
from progflags.canary._totals import Moments, Totals, exact
from progflags.canary._window import Window


def arm(
    n: int = 0,
    errors: int = 0,
    *,
    latencies: list[float] | None = None,
    thresholds: tuple[float, ...] = (),
    units: int = 0,
    events: dict[str, int] | None = None,
    shards: tuple[tuple[int, int], ...] = (),
) -> Totals:
    """One arm: n requests with known success, errors among them; each event counts units that had it, worth 1."""
    one = exact(1.0)
    moments = {name: Moments(k, k * one, k * one * one) for name, k in (events or {}).items()}
    samples = {} if latencies is None else {"latency": Sample.of(latencies, thresholds)}
    return Totals(n, n, errors, units, 0, moments, samples, shards)


def window(control: Totals | None = None, candidate: Totals | None = None, *, revision: int = 1, workers: tuple[str, ...] = ()) -> Window:
    """Both arms at one revision of flag "f"."""
    arms = {name: totals for name, totals in (("control", control), ("candidate", candidate)) if totals is not None}
    return Window("f", revision, arms, {}, workers)


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson count: by products where it is small, by the rounded normal where nobody could tell."""
    if mean > 60:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, k, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        k, product = k + 1, product * rng.random()
    return k
