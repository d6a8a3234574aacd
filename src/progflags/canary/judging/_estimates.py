"""Estimates behind a finding: both arms' values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from progflags.canary._words import Kind
from progflags.canary.counting import EDGES, OVERFLOW, Moments, Sample, Totals
from progflags.canary.sequential import FIRST_READINGS, Claim, Evidence, margin, moments_of, rate_of

__all__ = ["Estimate", "change", "estimate"]

_EMPTY: Final = Sample()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Both arms' values and sizes; `inside`: whether the candidate's is within the bound; None values: no data."""

    baseline: float | None
    canary: float | None
    n_baseline: int
    n_canary: int
    inside: bool
    refused: str = ""

    @property
    def effect(self) -> float | None:
        return change(self.baseline, self.canary)


def change(baseline: float | None, canary: float | None) -> float | None:
    """How much more the candidate has, as a part of the control's size: below 0 for a fall, whatever the sign of both. None: no data."""
    if baseline is None or canary is None:
        return None
    if baseline == canary:
        return 0.0
    if baseline == 0:
        return math.copysign(math.inf, canary)
    return (canary - baseline) / -baseline if baseline < 0 else canary / baseline - 1


def estimate(evidence: Evidence, claim: Claim) -> Estimate:
    """What both arms look like at the present revision, by the claim's own measure."""
    totals = evidence.totals
    if claim.kind == Kind.GAUGE or (claim.gate.metric in totals.gauges and not claim.relative):
        reading = totals.gauges.get(claim.gate.metric)
        value = None if reading is None or not reading.n else reading.mean
        if claim.relative:
            batches, n, total = evidence.places.get(claim.name, (0, 0, 0))
            first = Moments(n, total).mean if batches >= FIRST_READINGS else None
            return _within(claim, first, value, n, 0 if reading is None else reading.n)
        inside = value is not None and (value <= claim.limit if claim.up else value >= claim.limit)
        return Estimate(None, value, 0, 0 if reading is None else reading.n, inside)
    if claim.kind == Kind.QUANTILE:
        return _quantile(claim, totals.control, totals.candidate)
    if claim.kind == Kind.MEAN:
        c, b = moments_of(claim.gate, totals.candidate), moments_of(claim.gate, totals.control)
        return _within(claim, b.mean if b.n else None, c.mean if c.n else None, b.n, c.n)
    x_c, n_c = rate_of(claim.gate, totals.candidate)
    x_b, n_b = rate_of(claim.gate, totals.control)
    return _within(claim, x_b / n_b if n_b else None, x_c / n_c if n_c else None, int(n_b), int(n_c))


def _within(claim: Claim, baseline: float | None, canary: float | None, n_b: int, n_c: int) -> Estimate:
    if canary is None or (claim.relative and baseline is None):
        return Estimate(baseline, canary, n_b, n_c, inside=False)
    bar = claim.limit if not claim.relative else _null(claim, baseline or 0.0) * (baseline or 0.0)
    if claim.relative:  # the larger of what is tolerated and what is too small to matter
        least = claim.gate.min_absolute
        bar = max(bar, (baseline or 0.0) + least) if claim.up else min(bar, (baseline or 0.0) - least)
    inside = canary <= bar + 1e-12 if claim.up else canary >= bar - 1e-12
    return Estimate(baseline, canary, n_b, n_c, inside)


def _null(claim: Claim, baseline: float) -> float:
    return claim.null_at(baseline) if claim.kind == Kind.MEAN else claim.null


def _quantile(claim: Claim, control: Totals, candidate: Totals) -> Estimate:
    q = claim.gate.quantile or 0.5
    c, b = candidate.samples.get(claim.gate.sample) or _EMPTY, control.samples.get(claim.gate.sample) or _EMPTY
    values = [sample.quantile(q) if sample.n else None for sample in (b, c)]
    place_c, place_b = c.place_of(q), b.place_of(q)
    if not claim.relative:
        over, allowed = c.more_than(claim.limit, few=not claim.up), (1 - q) * c.n
        return Estimate(values[0], values[1], b.n, c.n, bool(c.n) and (over <= allowed + 1e-9 if claim.up else over >= allowed - 1e-9))
    refused = ""
    if b.n and c.n and (place_b in {0, OVERFLOW} or place_c in {0, OVERFLOW}):
        refused = f"p{100 * q:g} of {claim.gate.sample} lies outside what the histogram resolves ({EDGES[0]:.2g} to {EDGES[-1]:.2g})"
    moved = place_c - place_b
    inside = bool(c.n and b.n) and (moved <= margin(claim) if claim.up else moved >= margin(claim))
    if not inside and claim.gate.min_absolute and values[0] is not None and values[1] is not None:
        inside = (values[1] - values[0]) * (1 if claim.up else -1) <= claim.gate.min_absolute
    return Estimate(values[0], values[1], b.n, c.n, inside, refused)
