"""Histograms that OpenTelemetry has already made, as samples."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from progflags.canary.counting._sketch import EDGES, OVERFLOW, SCALE, UNIT, Sample

__all__ = ["explicit", "exponential"]


def exponential(scale: int, offset: int, counts: Sequence[int], *, zero: int = 0, total: float = 0.0) -> Sample:
    """
    The sample behind an exponential histogram's positive buckets; `total` is its sum, in the histogram's unit.

    A finer scale than ours is folded exactly (indices halve: perfect subsetting). A coarser one keeps its counts where they
    are exact, at its own edges, and thresholds between them move to the next. Squares are not known and taken as large as they
    can be, so that a mean speaks later, not sooner.

    Source: OpenTelemetry data model, exponential histogram.
    """
    if scale >= SCALE:
        places = [_place(index >> (scale - SCALE)) for index in range(offset, offset + len(counts))]
        return _made(list(zip(places, counts, strict=True)), zero, total, ())
    lowest, *uppers = [_clamped((index << (SCALE - scale)) - _LOWEST) for index in range(offset, offset + len(counts) + 1)]
    return _made(list(zip(uppers, counts, strict=True)), zero, total, tuple(sorted({lowest, *uppers} - {0, OVERFLOW})))


def explicit(bounds: Sequence[float], counts: Sequence[int], *, total: float = 0.0) -> Sample:
    """
    The sample behind explicit buckets: `counts` has one more entry than `bounds`, the last for what is above all of them.

    Each bound is taken for the nearest of our edges at or below it (at most 2.2 % away). Thresholds move up to the next.

    Raises:
        ValueError: the lengths do not fit.
    """
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(bounds)} bounds make {len(bounds) + 1} buckets, not {len(counts)}")
    uppers = [_clamped(bisect_right(EDGES, bound) - 1) if bound > 0 else 0 for bound in bounds]
    edges = tuple(sorted({place for place in uppers if place > 0}))
    rows = [*zip(uppers, counts, strict=False), (OVERFLOW, counts[-1])]
    return _made(rows, 0, total, edges)


def _place(index: int) -> int:
    """OpenTelemetry's index at our scale as a position in EDGES."""
    return _clamped(index + 1 - _LOWEST)


_LOWEST = -20 << SCALE  # the index whose lower edge is EDGES[0]


def _clamped(place: int) -> int:
    return min(max(place, 0), OVERFLOW)


def _made(rows: Sequence[tuple[int, int]], zero: int, total: float, edges: tuple[int, ...]) -> Sample:
    found: dict[int, int] = {0: zero} if zero else {}
    for place, count in rows:
        if count:
            found[place] = found.get(place, 0) + count
    if not found:
        return Sample(edges=edges)
    low, high = min(found), max(found)
    counts = tuple(found.get(p, 0) for p in range(low, high + 1))
    return Sample(sum(found.values()), round(total * UNIT), _squares(rows, zero, total), low, counts, {}, edges)


def _squares(rows: Sequence[tuple[int, int]], zero: int, total: float) -> int:
    """
    The most that squares can add up to: all at the edge after their own, for a bound may have been taken for the one below it;
    above the last, one observation with all that is left of the sum.
    """
    most, left, lower = zero * _unit(EDGES[0]) ** 2, total, 0.0
    for place, count in rows:
        if place < OVERFLOW:
            most += count * _unit(EDGES[min(place + 1, OVERFLOW - 1)]) ** 2
            left -= count * lower
            lower = EDGES[place]
        elif count:
            most += max(_unit(left), 0) ** 2
    return most


def _unit(value: float) -> int:
    return round(value * UNIT)
