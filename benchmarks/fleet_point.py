"""What was measured of a fleet of one size, and the line that is printed of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """Of so many times: the one in the middle, and the worst."""

    median: float
    worst: float
    times: int

    @classmethod
    def of(cls, found: Sequence[float]) -> Self:
        return cls(statistics.median(found), max(found), len(found))


@dataclass(frozen=True, slots=True)
class Point:
    """
    What was measured of so many processes. Per process and second: `idle` and `busy`, questions; `processor`, share of one while idle.
    Of all in a second, with a rollout: bytes of windows `put_up` and `read`, and of `documents`. Seconds: `verdicts` and `kills` until the
    last serves nobody; batches: `deaths` until the next decision, None where nobody is left. `hosts`: 0, each process asks for itself.
    """

    server: str
    processes: int
    hosts: int
    connections: int
    idle: float
    busy: float
    processor: float
    put_up: float
    read: float
    documents: float
    verdicts: Spread
    kills: Spread
    deaths: Spread | None


HEAD = """\
            size hosts conns  asked per process and s  windows, KiB/s  docs  verdict→last, ms  kill→last, ms  kill -9→next, batches
                                  idle   rollout     put up   read  KiB/s    median    max   median    max   median    max"""


def line(point: Point) -> str:
    asked = f"{point.server:11} {point.processes:4} {point.hosts or '-':>5} {point.connections:5} {point.idle:9.2f} {point.busy:9.2f}"
    moved = f"{point.put_up / 1024:10.2f} {point.read / 1024:6.2f} {point.documents / 1024:6.1f}"
    died = f"{point.deaths.median:8.1f} {point.deaths.worst:6.1f}" if point.deaths else f"{'-':>8} {'-':>6}"
    return f"{asked} {moved} {_ms(point.verdicts)} {_ms(point.kills)} {died}"


def _ms(seconds: Spread) -> str:
    return f"{seconds.median * 1e3:8.0f} {seconds.worst * 1e3:6.0f}"
