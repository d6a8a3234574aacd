"""Values with their units, as people read them: "84 ms", "1.2 MB", "3,400 requests"."""

from __future__ import annotations

import math
from typing import Final

from progflags.canary._words import LATENCY

__all__ = ["joined", "spelled", "unit_of"]

#: Seconds in a unit of time, bytes in a unit of size, as OpenTelemetry's instruments spell them (UCUM).
_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
_BYTES: Final = {"By": 1.0, "kBy": 1e3, "KiBy": 2.0**10, "MBy": 1e6, "MiBy": 2.0**20, "GBy": 1e9, "GiBy": 2.0**30}
_MIXED: Final = "?"  # processes that disagree: whatever is written behind the number would be wrong for some of it


def unit_of(name: str, known: str = "") -> str:
    """The unit of the sample `name`, of which the recording said that it is `known`. Latencies are in seconds."""
    return known or ("s" if name == LATENCY else "")


def joined(one: str, other: str) -> str:
    """The unit of two samples that are added up. Who does not say agrees with everybody."""
    return one if one == other or not other else other if not one else _MIXED


def spelled(value: float, unit: str = "") -> str:
    """
    A value with its unit, in the size of it that is easy to read: 0.084 s is "84 ms", 1.2e6 By "1.2 MB".

    `unit` is UCUM's, as OpenTelemetry's instruments have it; an annotation ("{request}"), "1" and nothing are plain numbers, and
    what is not known here stands behind the number as it is.
    """
    if unit in _SECONDS:
        return _time(value * _SECONDS[unit])
    if unit in _BYTES:
        return _size(value * _BYTES[unit])
    if unit in {"", "1", _MIXED} or unit.startswith("{"):
        return f"{value:.4g}"
    return f"{value:.4g} {unit}"


def _time(seconds: float) -> str:
    size = abs(seconds)
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if size >= unit * 0.999:
            return f"{seconds / unit:.3g} {name}" if size < 1000 else f"{seconds:.4g} s"
    return f"{1000 * seconds:.3g} ms"


def _size(size: float) -> str:
    power = min(max(int(math.log10(abs(size)) / 3 + 1e-9), 0), 4) if size else 0
    return f"{size / 1000.0**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
