"""
The evidence that may be looked at whenever one likes: a mixture over how much more often the candidate's events come.

Given how many events both arms had, the candidate's part of them is binomial. For a log ratio l beyond what is tolerated, the
likelihood against the edge of the tolerated is  exp(y l + K (log(1 + kappa) - log(1 + kappa e^l))),  y of K events being the side's
that is suspected and kappa its trials over the other side's, times the tolerated ratio. Mixed over l it is on average at most 1 while
nothing is wrong, at every look, so it exceeds 1/alpha with probability at most alpha, ever (Ville's inequality). Counts are divided
by the design effect before they come here; with a design effect of 1 this is the exact test for independent events.

Source: Ville (1939); Lindon & Malek (NeurIPS 2022) for counts given their sum; a half-normal mixture over the log ratio, tau = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log1p
from typing import Final

__all__ = ["Split", "mixture", "reaches"]

#: (events of the suspected side, events of the other, kappa)
Split = tuple[float, float, float]

_STEPS: Final = tuple(0.02 + (4 - 0.02) * i / 79 for i in range(80))
_RATIOS: Final = tuple(exp(step) for step in _STEPS)
_WEIGHTS: Final = tuple(exp(-step * step / 2) for step in _STEPS)
_LOG_TOTAL: Final = log(sum(_WEIGHTS))
_LOG_WEIGHTS: Final = tuple(-step * step / 2 - _LOG_TOTAL for step in _STEPS)


def mixture(splits: Sequence[Split]) -> float:
    """Log of the evidence that the suspected side has more than it may, over all strata."""
    logs: Sequence[float] = _LOG_WEIGHTS
    still = 0.0
    for y, other, kappa in splits:
        k = y + other
        if not k or kappa <= 0:
            continue
        still += k * log1p(kappa)
        logs = [so_far + y * step - k * log1p(kappa * r) for so_far, step, r in zip(logs, _STEPS, _RATIOS, strict=True)]
    peak = max(logs)
    return peak + still + log(sum(map(exp, [one - peak for one in logs])))


def reaches(splits: Sequence[Split], bar: float) -> bool:
    """Whether the evidence is at least `bar`: it is no more than its best ratio's, and mostly that is not enough."""
    return sum(_best(*split) for split in splits) >= bar - _ROUNDING and mixture(splits) >= bar


def _best(y: float, other: float, kappa: float) -> float:
    """Log of what the ratio that was seen would have as evidence, of all ratios beyond what is tolerated the most."""
    k = y + other
    if not k or kappa <= 0 or y <= kappa * other:
        return 0.0
    part = other / k  # 0 as well where `other` is too small to be a part of anything
    return y * log(y / k * (1 + kappa) / kappa) + (other * log(part * (1 + kappa)) if part else 0.0)


_ROUNDING: Final = 1e-6
