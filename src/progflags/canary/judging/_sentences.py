"""Numbers as people say them: shares in percent, latencies in milliseconds, durations in minutes."""

from __future__ import annotations

import math

from progflags.canary._units import spelled
from progflags.canary._words import Kind
from progflags.canary.judging._estimates import Estimate
from progflags.canary.sequential import Claim

__all__ = ["between", "difference", "duration", "many", "moved", "movement", "odds", "percent", "quantity", "regression"]


def odds(wealth: float) -> str:
    """
    How often chance alone would show as much against a candidate that is no worse than tolerated: "1 in 142".

    `wealth` is the evidence: by Ville's inequality a fair bet reaches it at any time with a probability of at most one over it. Of a
    planned look, and of the method that looks once, it is one over that look's p-value.
    """
    if wealth >= 1e6:
        return "less than 1 in a million"
    if wealth >= 1000:
        return f"1 in {float(f'{wealth:.2g}'):,.0f}"  # nobody reads more digits
    return f"1 in {wealth:.0f}" if wealth >= 9.95 else f"1 in {max(1.0, wealth):.2g}"


def duration(seconds: float) -> str:
    """A time to wait, rounded up."""
    for unit, name in ((86_400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= 1.5 * unit:
            return many(math.ceil(seconds / unit - 1e-9), name)
    return many(max(1, math.ceil(seconds - 1e-9)), "second")


def many(number: float, noun: str) -> str:
    return f"{number:g} {noun}" + ("" if number == 1 else "s")


def quantity(kind: Kind, value: float | None, unit: str = "s") -> str:
    """A metric's value with its unit: a rate's is percent."""
    if value is None:
        return "nothing"
    if math.isinf(value):
        return "without end"  # requests that never returned
    if kind == Kind.RATE:
        return f"{value:.3g}" if value > 1 else f"{100 * value:.3g} %"
    return spelled(value, unit)


def difference(claim: Claim, size: float) -> str:
    """How far two values are apart, with the unit: points are percents that are not a part of the other value."""
    return f"{100 * size:.3g} points" if claim.kind == Kind.RATE else quantity(claim.kind, size, claim.unit)


def percent(part: float) -> str:
    return f"{100 * part:.3g} %" if part < 0.1 else f"{part:.0%}".replace("%", " %")


def movement(claim: Claim, seen: Estimate) -> str:
    """What a metric did, in half a sentence."""
    metric, unit = claim.gate.metric, claim.unit
    canary = quantity(claim.kind, seen.canary, unit)
    if not claim.relative:
        return f"{metric} is {canary} where {'at most' if claim.up else 'at least'} {quantity(claim.kind, claim.limit, unit)} is allowed"
    effect = seen.effect
    if effect is None:
        return f"{metric} is {canary}"
    if effect == 0:
        return f"{metric} is {canary} on both sides"
    how = moved(effect, seen.baseline)
    return f"{metric} is {canary} against {quantity(claim.kind, seen.baseline, unit)} ({f'{how}; ' if how else ''}{_allowed(claim)})"


def moved(effect: float | None, baseline: float | None) -> str:
    """An effect, as a part of the control's size: "+44 %", "-12 %", "×5.08", "from nothing"; empty where no number says it."""
    if effect is None:
        return ""
    if math.isinf(effect):
        return "" if baseline else "from nothing" if effect > 0 else "below nothing"
    if not effect:
        return "0 %"
    # Of a control below zero no factor says it: from -2 to 3 is a rise of five, which is no ×3.5.
    return f"×{1 + effect:.3g}" if effect >= 1 and not (baseline or 0) < 0 else f"{'+' if effect > 0 else '-'}{percent(abs(effect))}"


def between(low: float, high: float, baseline: float | None) -> str:
    """An interval of an effect: "-12 % to +40 %", "-20 % and more"."""
    ends = [moved(end, baseline or math.nan) if math.isfinite(end) else "" for end in (low, high)]
    if not ends[0] and not ends[1]:
        return "anything"
    return f"{ends[0]} and more" if not ends[1] else f"{ends[1]} and less" if not ends[0] else f"{ends[0]} to {ends[1]}"


def _allowed(claim: Claim) -> str:
    way = "rise" if claim.up else "fall"
    return f"a {way} of {percent(claim.limit)} is tolerated" if claim.limit else f"no {way} is tolerated"


def regression(claim: Claim, size: float) -> str:
    """A worsening by `size`, a fraction of the control's value or of the bound: "a rise of 25 %", "a fall of 10 %", "a rise to ×2"."""
    beyond = "" if claim.relative else f" beyond {quantity(claim.kind, claim.limit, claim.unit)}"
    if claim.up and size >= 0.995:
        return f"a rise to ×{1 + size:.3g}" if claim.relative else f"×{1 + size:.3g} of what is allowed"
    return f"a {'rise' if claim.up else 'fall'} of {percent(size)}{beyond}"
