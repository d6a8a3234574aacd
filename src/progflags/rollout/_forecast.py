"""What a plan will be like, before it begins: how long, how many people, and what each stage could see at this traffic."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from progflags.canary import Kind
from progflags.rollout._plan import Plan

__all__ = ["Forecast", "Outlook", "detectable", "forecast", "span"]

_Z: Final = 1.645 + 0.842  # one-sided 5 %, 80 % power
_SEQUENTIAL: Final = (
    1.8  # looking all the time costs 1.6 to 2 times the samples of one look at the end; measured with the judge's own tests
)
_WORST: Final = 50.0  # beyond a factor of fifty nobody calls it detection


def detectable(requests: float, rate: float, *, share: float, tolerated: float = 0.0) -> float | None:
    """
    The smallest factor on an error rate of `rate` that `requests` on the candidate catch with 80 % power; None: none up to ×50.

    `share` (0…1) of the traffic is the candidate's; a regression up to `tolerated` (0.25: +25 %) is no alarm.

    Source: normal approximation of the log ratio of two proportions, one-sided 5 %, times what sequential looks cost;
    `canary requests for 80 % power` of the design notes are reproduced within a few percent (tests/rollout/test_forecast.py).
    """
    if requests <= 0 or not 0 < rate < 1 or not 0 < share < 1:
        return None
    others = (1 - share) / share
    low, high = 1 + tolerated, min(_WORST, 1 / rate)

    def needed(factor: float) -> float:
        bad = min(1.0, rate * factor)
        spread = (1 - bad) / bad + (1 - rate) / (others * rate)
        return _SEQUENTIAL * _Z**2 * spread / math.log(factor / (1 + tolerated)) ** 2

    if needed(high) > requests:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if needed(middle) <= requests else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Outlook:
    """One stage: when it begins at the earliest (seconds after the start), and what it can see. None: not known, or nothing."""

    percent: float
    begins: float
    bake: float
    gates: int
    approval: bool
    requests: float | None
    detects: float | None
    within: float | None  # seconds until min_samples are there

    def __str__(self) -> str:
        gates = "1 gate" if self.gates == 1 else f"{self.gates} gates"
        text = f"{self.percent:>8g} %  from {span(self.begins):>6}  bakes {span(self.bake):>6}  {gates}"
        if self.approval:
            text += ", after approval"
        if self.requests is not None:
            seen = f"an error rate ×{self.detects:.2g}" if self.detects else "no error rate below ×50"
            text += f"\n{'':>12}{self.requests:,.0f} requests on the candidate: can see {seen}"
        return text


@dataclass(frozen=True, slots=True)
class Forecast:
    """The stages' outlooks, the least time to full share and to the end, and the worst that is exposed before a rollback."""

    profile: str
    stages: tuple[Outlook, ...]
    full: float
    to_full: float
    to_end: float
    look: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        first = self.stages[0].percent if self.stages else self.full
        return "\n".join(
            [
                f"profile {self.profile}" if self.profile else "a plan of its own",
                *map(str, self.stages),
                f"{self.full:>8g} %  from {span(self.to_full):>6}  watched {span(self.to_end - self.to_full)}",
                f"at the earliest: everybody after {span(self.to_full)}, completed after {span(self.to_end)}",
                f"a release that is bad at once meets at most {first:g} % of the users; evidence is looked at every {span(self.look)}",
            ]
        )


def forecast(plan: Plan, *, rps: float | None = None, error_rate: float = 0.01) -> Forecast:
    """What `plan` will be like at `rps` requests per second, of which the control fails `error_rate`."""
    begins, outlooks = 0.0, []
    for number, stage in enumerate(plan.stages):
        outlooks.append(_outlook(plan, number, begins, rps, error_rate))
        begins += plan.warm_up + stage.bake
    look = plan.batch_at(0) if plan.stages else plan.batch
    return Forecast(plan.profile, tuple(outlooks), plan.full / 10_000, begins, begins + plan.watch, look)


def _outlook(plan: Plan, number: int, begins: float, rps: float | None, error_rate: float) -> Outlook:
    stage = plan.stages[number]
    share = stage.share / 1_000_000
    requests = None if rps is None else rps * share * stage.bake
    tolerated = next((g.max_increase for g in stage.gates if g.kind is Kind.RATE and g.max_increase is not None), 0.0)
    return Outlook(
        percent=stage.percent,
        begins=begins,
        bake=stage.bake,
        gates=len(stage.gates),
        approval=plan.asks(number),
        requests=requests,
        detects=None if requests is None else detectable(requests, error_rate, share=share, tolerated=tolerated),
        within=None if not rps else stage.min_samples / (rps * min(share, 1 - share)),
    )


def span(seconds: float) -> str:
    """A duration for people: the largest unit, one decimal where it says something."""
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f}".rstrip("0").rstrip(".") + unit
    return f"{seconds:g}s"
