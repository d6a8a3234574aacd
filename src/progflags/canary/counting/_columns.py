"""The columns of an arm by name, and what stands in for them where nobody counted by group."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from progflags.canary.counting._groups import ANONYMOUS, GROUPS, Column, added
from progflags.canary.counting._sketch import OVERFLOW, Sample
from progflags.canary.counting._totals import ERRORS, TRIALS, Totals

__all__ = ["REQUESTS", "UNITS", "Places", "beyond", "completed", "credited", "summed", "timed", "worth"]

#: Of a quantile's claim: where the control is counted, and where the candidate: at the edge of what is tolerated, and of what must be
#: ruled out. Positions of EDGES, fixed before anything is held against them.
Places = tuple[int, int, int]

UNITS: Final = "units"
REQUESTS: Final = "requests"


def beyond(sample: str, place: int) -> str:
    """The column of a sample's values above EDGES[place]."""
    return f"{sample}>{place}"


def timed(sample: str) -> str:
    """The column of a sample's values since there were thresholds."""
    return f"{sample}#"


def credited(event: str) -> str:
    """The column of units that had an event."""
    return f"event:{event}"


def worth(event: str) -> str:
    """The column of an event's values, in UNIT."""
    return f"event~{event}"


def summed(sample: str) -> tuple[str, str]:
    """The columns of how many values a sample has, and of their sum in UNIT."""
    return f"{sample}+", f"{sample}~"


def completed(totals: Totals, slot: int, places: Iterable[tuple[str, Places]], means: AbstractSet[str]) -> Totals:
    """
    A batch of an arm with every column as large as its count: what came without groups is one cluster, a slice of time.

    Older workers count no groups, nor does what comes from outside; a worker may not have heard of a threshold yet, and then the
    histogram knows what was beyond it. `places`: thresholds by sample; `means`: samples and events of which a mean is asked for.
    """
    wanted: dict[str, float] = {TRIALS: totals.trials, ERRORS: totals.errors, UNITS: totals.units}
    if totals.events and not totals.units:
        wanted[REQUESTS] = totals.requests
    for event, moments in totals.events.items():
        wanted[credited(event)] = moments.n
        if event in means:
            wanted[worth(event)] = moments.total
    for metric, (events, base) in totals.rates.items():
        wanted |= {f"base:{metric}": base, f"rate:{metric}": events}
    for sample, where in places:
        found = totals.samples.get(sample, _EMPTY)
        wanted[timed(sample)] = found.n
        wanted |= {beyond(sample, place): _above(found, place) for place in where}
    for sample in means & totals.samples.keys():
        found, (n, total) = totals.samples.get(sample, _EMPTY), summed(sample)
        wanted |= {n: found.n, total: found.total}
    missing = {name: count - sum(totals.cells.get(name, ())) for name, count in wanted.items()}
    missing = {name: count for name, count in missing.items() if count}
    if not missing:
        return totals
    loose: dict[str, Column] = {name: _alone(slot, count) for name, count in missing.items()}
    if anonymous := missing.get(TRIALS, 0):
        loose[ANONYMOUS] = (anonymous,)
    return replace(totals, cells=added(totals.cells, loose))


def _above(sample: Sample, place: int) -> int:
    return 0 if place >= OVERFLOW else sample.above(place)


def _alone(slot: int, count: float) -> Column:
    cells: list[float] = [0] * GROUPS
    cells[slot % GROUPS] = count
    return tuple(cells)


_EMPTY: Final = Sample()
