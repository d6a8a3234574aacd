"""Windows made to measure, for tests of what judges them."""

from __future__ import annotations

import math
import random

from progflags.canary.counting._groups import GROUPS
from progflags.canary.counting._sketch import Sample
from progflags.canary.counting._totals import Moments, Totals, exact
from progflags.canary.counting._window import Window


def arm(
    n: int = 0,
    errors: int = 0,
    *,
    latencies: list[float] | None = None,
    thresholds: tuple[float, ...] = (),
    units: int = 0,
    events: dict[str, int] | None = None,
    shards: tuple[tuple[int, int], ...] = (),
    users: int = 0,
) -> Totals:
    """
    One arm: n requests with known success, errors among them; each event counts units that had it, worth 1.

    All of it is spread evenly over so many groups of `users`; 0: nobody knows whose it was, as with older workers, and the batch is
    one slice of time.
    """
    one = exact(1.0)
    moments = {name: Moments(k, k * one, k * one * one) for name, k in (events or {}).items()}
    samples = {} if latencies is None else {"latency": Sample.of(latencies, thresholds)}
    cells = {} if not users else evenly(n, errors, units, events or {}, users)
    return Totals(n, n, errors, units, 0, moments, samples, shards, cells=cells)


def evenly(n: int, errors: int, units: int, events: dict[str, int], users: int) -> dict[str, tuple[int, ...]]:
    """Columns in which every group of users has its part."""
    one = int(exact(1.0))
    counts = {"n": n, "x": errors, "units": units, **{f"event:{name}": k for name, k in events.items()}}
    cells = {name: spread(count, users) for name, count in counts.items() if count}
    return cells | {f"event~{name}": tuple(one * k for k in spread(count, users)) for name, count in events.items() if count}


def spread(count: int, users: int) -> tuple[int, ...]:
    """A count over so many groups, as evenly as it goes."""
    return tuple(count * (g + 1) // users - count * g // users if g < users else 0 for g in range(GROUPS))


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
