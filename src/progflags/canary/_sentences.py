"""Numbers as people say them: shares in percent, latencies in milliseconds, durations in minutes."""

from __future__ import annotations

import math

from progflags.canary._claims import Claim
from progflags.canary._estimates import Estimate
from progflags.canary._words import Kind

__all__ = ["amount", "duration", "many", "movement", "quantity"]


def amount(number: float) -> str:
    """Evidence: two significant figures, and no more digits than anybody reads."""
    if number >= 1e6:
        return "over a million"
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def duration(seconds: float) -> str:
    """A time to wait, rounded up."""
    for unit, name in ((86_400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= 1.5 * unit:
            return many(math.ceil(seconds / unit - 1e-9), name)
    return many(max(1, math.ceil(seconds - 1e-9)), "second")


def many(number: float, noun: str) -> str:
    return f"{number:g} {noun}" + ("" if number == 1 else "s")


def quantity(kind: Kind, value: float | None, name: str = "latency") -> str:
    """A metric's value with its unit."""
    if value is None:
        return "nothing"
    if kind == Kind.RATE:
        return f"{value:.3g}" if value > 1 else f"{100 * value:.3g} %"
    if kind == Kind.QUANTILE and name == "latency":
        return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:.4g}"


def movement(claim: Claim, seen: Estimate) -> str:
    """What a metric did, in half a sentence."""
    metric, sample = claim.gate.metric, claim.gate.sample
    canary = quantity(claim.kind, seen.canary, sample)
    if not claim.relative:
        return f"{metric} is {canary} where {'at most' if claim.up else 'at least'} {quantity(claim.kind, claim.limit, sample)} is allowed"
    effect = seen.effect
    if effect is None:
        return f"{metric} is {canary}"
    against = quantity(claim.kind, seen.baseline, sample)
    allowed = f"{'+' if claim.up else '-'}{claim.limit:.3g}" if 0 < claim.limit < 0.005 else f"{'+' if claim.up else '-'}{claim.limit:.0%}"
    if effect == 0:
        return f"{metric} is {canary} on both sides"
    size = "from nothing" if math.isinf(effect) else f"×{1 + effect:.3g}" if effect >= 1 else f"{effect:+.1%}"
    return f"{metric} is {canary} against {against} ({size}, {allowed} tolerated)"
