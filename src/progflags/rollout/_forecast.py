"""What a plan will be like, before it begins: how long, how many people, and what each stage could see at this traffic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final, NamedTuple

from progflags._printed import printable
from progflags.canary import Foreseen, Kind, Sample, Totals
from progflags.rollout.plan import Plan, Prospect, Stage, Traffic, climb, fitting
from progflags.rollout.state import Record, watched_by

__all__ = ["Forecast", "Outlook", "detectable", "forecast", "span", "watched"]

_Z: Final = 1.645 + 0.842  # one-sided 5 %, 80 % power
_SEQUENTIAL: Final = (
    1.8  # looking all the time costs 1.6 to 2 times the samples of one look at the end; measured with the judge's own tests
)
_POINTS: Final = 2_000
_WORST: Final = 50.0  # beyond a factor of fifty nobody calls it detection


def detectable(requests: float, rate: float, *, share: float, tolerated: float = 0.0) -> float | None:
    """
    The smallest factor on an error rate of `rate` that `requests` on the candidate catch with 80 % power; None: none up to ×50.

    `share` (0…1) of the traffic is the candidate's; a regression up to `tolerated` (0.25: +25 %) is no alarm.

    Source: normal approximation of the log ratio of two proportions, one-sided 5 %, times what sequential looks cost;
    `canary requests for 80 % power` of the design notes are reproduced within a few percent (tests/rollout/test_advice.py).
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
    """
    One stage: when it begins at the earliest (seconds after the start), and what it can see. None: not known, or nothing.

    `requests` come to the candidate within the bake and catch `detects` times the errors. At the traffic there is it `lasts` that
    many seconds until it passes if all is well, infinity: it never does. `sees`: what each bound asks to have seen and when, in
    sentences; `hopeless`: what it will not have seen in time, and the ways out.
    """

    percent: float
    begins: float
    bake: float
    gates: int
    approval: bool
    requests: float | None
    detects: float | None
    within: float | None  # seconds until min_samples are there
    lasts: float | None = None
    sees: tuple[str, ...] = ()
    hopeless: tuple[str, ...] = ()

    def __str__(self) -> str:
        gates = "1 gate" if self.gates == 1 else f"{self.gates} gates"
        text = f"{self.percent:>8g} %  from {span(self.begins):>6}  bakes {span(self.bake):>6}  {gates}"
        if self.approval:
            text += ", after approval"
        if self.requests is not None:
            seen = f"an error rate ×{self.detects:.2g}" if self.detects else "no error rate below ×50"
            text += f"\n{'':>12}{self.requests:,.0f} requests on the candidate: can see {seen}"
        return "".join([text, *(f"\n{'':>12}{printable(line)}" for line in (*self.sees, *self.hopeless))])

    def sentences(self) -> tuple[str, ...]:
        """What is said of it at the start: one line, and one for each thing that is hopeless."""
        passes = f"passes after about {span(self.lasts)} if all is well" if self.lasts and self.lasts < math.inf else "never passes"
        return (f"{self.percent:g} %: {passes} ({'; '.join(self.sees) or 'nothing to see'})", *self.hopeless)


@dataclass(frozen=True, slots=True)
class Forecast:
    """
    The stages' outlooks, the least time to full share and to the end, and the worst that is exposed before a rollback.

    `expected`: seconds until everybody has it at the traffic there is; None: never, or not known.

        forecast = flags.rollouts.forecast("new-checkout", rps=20, error_rate=0.01)
        print(forecast)                                 # each stage: when, and what it can see
        forecast.to_full, forecast.expected, forecast.stages[0].detects
    """

    profile: str
    stages: tuple[Outlook, ...]
    full: float
    to_full: float
    to_end: float
    look: float
    expected: float | None = None
    rps: float | None = None
    watched_by: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        body = asdict(self)
        for stage in body["stages"]:
            stage["lasts"] = stage["lasts"] if stage["lasts"] is not None and math.isfinite(stage["lasts"]) else None
        return body

    def __str__(self) -> str:
        first = self.stages[0].percent if self.stages else self.full
        lines = [
            printable(f"profile {self.profile}") if self.profile else "a plan of its own",
            *map(str, self.stages),
            f"{self.full:>8g} %  from {span(self.to_full):>6}  watched {span(self.to_end - self.to_full)}",
            f"at the earliest: everybody after {span(self.to_full)}, completed after {span(self.to_end)}",
            f"a release that is bad at once meets at most {first:g} % of the users; evidence is looked at every {span(self.look)}",
        ]
        if self.watched_by:
            lines.insert(-2, printable(f"{'':>12}watched by: {watched(self.watched_by)}"))
        if self.rps is not None:
            when = f"everybody after about {span(self.expected)}" if self.expected is not None else "it never gets to everybody by itself"
            lines.insert(-1, f"at {self.rps:g} requests a second: {when}")
        return "\n".join(lines)


def forecast(plan: Plan, *, rps: float | None = None, error_rate: float = 0.01, traffic: Traffic | None = None) -> Forecast:
    """
    What `plan` will be like at `rps` requests per second, of which the control fails `error_rate`; or at the `traffic` that was counted.

    Where only `rps` is known, latencies are taken to be lognormal with sigma 0.5, as those of many services are near enough.
    """
    if traffic is None and rps is not None:
        traffic = Traffic(rps, _assumed(round(error_rate * 1_000_000)), rps)
    elif traffic is not None:
        rps, error_rate = traffic.rps, traffic.control.errors / max(1, traffic.control.trials)
    outlooks: list[Outlook] = []
    begins, told = 0.0, None if traffic is None else climb(plan.fit(0, fitting(plan, 0, traffic)) if plan.end else plan, 0, traffic)
    for number in range(plan.end):
        plan, ahead = (plan.fit(number, fitting(plan, number, None)), None) if told is None else next(told)
        outlooks.append(_outlook(plan, number, begins, _Load(rps, error_rate), ahead))
        begins += plan.warm_up + plan.stages[number].bake
    expected = sum(plan.warm_up + (one.lasts or 0.0) for one in outlooks) if traffic is not None else None
    look = plan.batch_at(0) if plan.stages else plan.batch
    found = expected if expected is not None and math.isfinite(expected) else None
    by = watched_by(Record("", plan)) if plan.watch > 0 else {}
    return Forecast(plan.profile, tuple(outlooks), plan.full / 10_000, begins, begins + plan.watch, look, found, rps, by)


class _Load(NamedTuple):
    """Requests a second, None where nobody knows, and the share of them that the control fails."""

    rps: float | None
    error_rate: float


def _outlook(plan: Plan, number: int, begins: float, load: _Load, ahead: Prospect | None) -> Outlook:
    stage, (rps, rate) = plan.stages[number], load
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
        detects=None if requests is None else detectable(requests, rate, share=share, tolerated=tolerated),
        within=None if not rps else stage.min_samples / (rps * min(share, 1 - share)),
        lasts=None if ahead is None else ahead.lasts if not any(one.waits for one in ahead.blind) else math.inf,
        sees=() if ahead is None else tuple(_seen(one) for one in ahead.seen if one not in ahead.blind),
        hopeless=() if ahead is None else tuple(_hopeless(stage, one) for one in ahead.blind),
    )


def watched(by: Mapping[str, str]) -> str:
    """What watches each metric after 100 %, in words."""
    words = {"control": "a control", "remembered": "the control as it was", "bound": "its bound", "nothing": "nothing"}
    return ", ".join(f"{metric} by {words[how]}" for metric, how in by.items())


def _seen(one: Foreseen) -> str:
    if one.seconds is None:
        return f"{one.metric}: nothing is known of it yet"
    if not one.seconds:
        return f"{one.metric}: {one.asked} is ruled out by then"
    return f"{one.metric}: {one.asked} is seen after {span(one.seconds)}"


def _hopeless(stage: Stage, one: Foreseen) -> str:
    """What will not be seen in time, and the three ways out."""
    seconds = one.seconds if one.seconds is not None else math.inf
    when = f"only after {span(seconds)}" if seconds < math.inf else "never"
    limit = f"the deadline of {span(stage.deadline)}" if one.waits else f"the bake of {span(stage.bake)}, after which it passes unseen"
    key = "deadline" if one.waits else "bake"
    longer = f'{key} = "{span(math.ceil(seconds / 3600) * 3600)}"' if seconds < math.inf else f"a longer {key} and more traffic"
    ways = f"say with must_detect or min_absolute that only more matters, give it time ({longer}), or expose more (a larger percent)"
    return f"hopeless: {one.metric}: {one.asked} is seen {when}, beyond {limit}: {ways}"


@lru_cache(maxsize=32)
def _assumed(failures: int) -> Totals:
    """A million requests of which so many fail, with latencies of a lognormal shape around 100 ms."""
    normal = NormalDist()
    values = [0.1 * math.exp(0.5 * normal.inv_cdf((k + 0.5) / _POINTS)) for k in range(_POINTS)]
    latencies = Sample.of(values).times(512)  # a million of them
    return Totals(1_000_000, 1_000_000, failures, samples={"latency": latencies})


def span(seconds: float) -> str:
    """A duration for people: the largest unit, one decimal where it says something."""
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f}".rstrip("0").rstrip(".") + unit
    return f"{seconds:.1f}".rstrip("0").rstrip(".") + "s"
