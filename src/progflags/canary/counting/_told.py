"""Totals as people are told them."""

from __future__ import annotations

from math import isfinite
from typing import Any

from progflags.canary._words import LATENCY
from progflags.canary.counting._sketch import Sample
from progflags.canary.counting._totals import Totals

__all__ = ["told"]


def told(totals: Totals) -> dict[str, Any]:
    """Requests, errors, units, latency quantiles, events, other samples."""
    latency = totals.samples.get(LATENCY, Sample())
    said: dict[str, Any] = {"requests": totals.requests, "errors": totals.errors, "units": totals.units}
    said |= {"p50_latency": _finite(latency, 0.5), "p99_latency": _finite(latency, 0.99)}
    said |= {name: moments.n for name, moments in totals.events.items()}
    for name, sample in totals.samples.items():
        if name != LATENCY:
            said[name] = {"n": sample.n, "p50": _finite(sample, 0.5), "p99": _finite(sample, 0.99)}
    if totals.rejected:
        said["rejected"] = totals.rejected
    return said


def _finite(sample: Sample, quantile: float) -> float | None:
    value = sample.quantile(quantile)
    return value if isfinite(value) else None
