"""What a gate asks, as people say it: "at most +25 %"."""

from __future__ import annotations

from typing import Final

from progflags.canary._words import Kind
from progflags.canary.judging import quantity

__all__ = ["asked"]

_WORDS: Final = {"max": "at most {}", "min": "at least {}", "max_increase": "at most +{:.3g} %", "max_decrease": "at most -{:.3g} %"}


def asked(metric: str, kind: str, gate: str, unit: str) -> str:
    """The condition of `gate` ("p99_latency max 0.3") without the metric's name, which stands beside it."""
    bound, limit = (gate.split(" ")[-2:] * 2)[:2]
    if bound not in _WORDS:
        return gate.removeprefix(f"{metric} ").replace("_", " ")
    value, level = float(limit), gate.split("_", maxsplit=1)[0]
    which = f"{level} " if gate.startswith(f"{level}_{metric} ") else ""  # of several quantiles, the one that decided
    return which + _WORDS[bound].format(100 * value if bound.startswith("max_") else quantity(Kind(kind), value, unit))
