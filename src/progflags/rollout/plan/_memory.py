"""
The remembered control: what it was like during the climb, by time of day; what the watch is held against once nobody is left on it.

A comparison in time finds changes whatever their cause, so it allows for drift: as much as the control's own past showed from one
part of the day to another, and at least half as much again for rates and a quarter for quantiles and means; for a part of the day
that the climb has not seen, that much twice. What goes beyond it can roll back.

Per metric a one-sample test runs from the beginning of the watch, and another begins anew every quarter of an hour, for what breaks
after a long healthy time. Each of them has its part of the alpha the watch may spend.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist, pstdev
from typing import Any, Final

from progflags.canary import Gate, Kind, Sample, Totals, fresh_levels, level_test

__all__ = ["Memory", "remembers"]

_BLOCK: Final = 3 * 3600.0  # seconds of a part of the day
_PARTS: Final = 8
_FEW: Final = 500  # calls of the control below which a part of the day is not known
_Z: Final = NormalDist().inv_cdf(0.99)  # of the control's confidence limits
_DRIFT: Final = {Kind.RATE: 1.5, Kind.COUNT: 1.5, Kind.QUANTILE: 1.25, Kind.MEAN: 1.25}
_ANEW: Final = 900.0  # seconds between two beginnings of the test that begins anew
_SPENT: Final = 0.5  # of the rollout's alpha, by the watch against what is remembered

Cell = tuple[float, float]


def remembers(gate: Gate) -> bool:
    """
    Whether a gate compares with what can be remembered of a control.

    A tracked event can't be: it follows its unit's exposure by minutes to days, so at the beginning of a watch too few have had it.
    """
    tracked = gate.kind == Kind.RATE and not gate.metric.endswith("_rate")
    return gate.anomaly is None and gate.relative and gate.kind in _DRIFT and not tracked


@dataclass(frozen=True, slots=True)
class Part:
    """What the control did in one part of the day: (events, trials) of its rates, and its samples by name."""

    rates: Mapping[str, Cell] = field(default_factory=dict)
    samples: Mapping[str, Sample] = field(default_factory=dict)

    def merge(self, other: Part) -> Part:
        rates = dict(self.rates)
        for name, (x, n) in other.rates.items():
            before = rates.get(name, (0.0, 0.0))
            rates[name] = (before[0] + x, before[1] + n)
        samples = dict(self.samples)
        for name, sample in other.samples.items():
            samples[name] = samples[name].merge(sample) if name in samples else sample
        return Part(rates, samples)


# Left whole, though long: what the climb teaches and what the watch asks of it are two halves of one test.
@dataclass(frozen=True, slots=True)
class Memory:
    """
    `parts` of the day, by number; `worth`: by metric how many calls are worth one independent one. Of the watch: the seconds it has
    lasted and will, the log-wealths of both tests by metric, the most they ever were, and what was found, as sentences.
    """

    parts: Mapping[int, Part] = field(default_factory=dict)
    worth: Mapping[str, float] = field(default_factory=dict)
    since: float = 0.0
    watch: float = 0.0
    alpha: float = 0.05
    whole: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    anew: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    # -- the climb ------------------------------------------------------------------------------------------------------

    def learn(self, gates: Iterable[Gate], control: Totals, now: float) -> Memory:
        """With one batch of the control at wall time `now`."""
        asked = [gate for gate in gates if remembers(gate)]
        if not asked or not control.size:
            return self
        part = Part(
            {gate.metric: counts for gate in asked if gate.kind in {Kind.RATE, Kind.COUNT} and (counts := _rate(gate, control))[1]},
            {gate.sample: sample for gate in asked if (sample := control.samples.get(gate.sample)) is not None and sample.n},
        )
        place = _part(now)
        known = self.parts.get(place)
        return replace(self, parts={**self.parts, place: part if known is None else known.merge(part)})

    @property
    def climb(self) -> Part:
        """All of it."""
        whole = Part()
        for part in self.parts.values():
            whole = whole.merge(part)
        return whole

    def knows(self, gate: Gate) -> bool:
        """Whether there is enough of the control to hold the candidate against."""
        return remembers(gate) and _size(self.climb, gate) >= _FEW

    def drift(self, gate: Gate) -> float:
        """What the metric may change by for no reason: the least there is, or twice the spread between parts of the day."""
        levels = [level for part in self.parts.values() if _size(part, gate) >= _FEW and (level := _level(part, gate)) > 0]
        least = _DRIFT[Kind(gate.kind or Kind.RATE)]
        return max(least, math.exp(2 * pstdev(map(math.log, levels)))) if len(levels) > 1 else least

    def allowed(self, gate: Gate, now: float | None = None) -> float:
        """
        Where the metric may lie at most (of what is better when higher: at least) at wall time `now`; None: at any time.

        The control's confidence limit in that part of the day, stretched by the drift. Never closer than `min_absolute`.
        """
        part = None if now is None else self.parts.get(_part(now))
        drift = self.drift(gate)
        if part is None or _size(part, gate) < _FEW:
            part, drift = self.climb, drift if now is None and len(self.parts) == _PARTS else drift**2
        level, limit = _level(part, gate), _limit(part, gate, self.worth.get(gate.metric, 1.0))
        if _up(gate):
            return max(limit * drift, level + gate.min_absolute)
        return min(limit / drift, level - gate.min_absolute)

    def bounds(self, gates: Iterable[Gate]) -> tuple[Gate, ...]:
        """Absolute bounds of the control as it was: its confidence limit, with the allowance for drift, plus what matters."""
        found = []
        for gate in gates:
            if not self.knows(gate):
                continue
            up, level = _up(gate), _level(self.climb, gate)
            matters = max(gate.detect(up=up) * level, gate.min_absolute)
            bound = self.allowed(gate) + (matters if up else -matters)
            bound = float(f"{bound:.3g}")
            if (gate.kind == Kind.RATE and not 0 < bound < 1) or bound <= 0:
                continue
            name = "max" if up else "min"
            kept = {"kind": gate.kind, "quantile": gate.quantile, "severity": gate.severity, "weight": gate.weight}
            found.append(Gate.of({"metric": gate.metric, name: bound, "policy": "no_alarm", **kept}))
        return tuple(found)

    # -- the watch ------------------------------------------------------------------------------------------------------

    def begin(self, worth: Mapping[str, float], watch: float, alpha: float) -> Memory:
        """As the watch begins."""
        return replace(self, worth=dict(worth), since=0.0, watch=watch, alpha=alpha, whole={}, anew={}, broken={})

    def look(self, gates: Iterable[Gate], candidate: Totals, now: float, step: float) -> Memory:
        """With one batch of the candidate that took `step` seconds. What was found once stays found."""
        asked = [gate for gate in gates if self.knows(gate)]
        since = self.since + step
        begins = math.floor(since / _ANEW) > math.floor(self.since / _ANEW)
        whole, anew, broken = dict(self.whole), {} if begins else dict(self.anew), dict(self.broken)
        pieces = max(1, math.ceil(self.watch / _ANEW))
        bar = math.log(2 * len(asked) / (self.alpha * _SPENT)) if asked else math.inf
        for gate in asked:
            counted = self._counted(gate, candidate, now)
            if counted is None:
                continue
            null, up, x, n, bound = counted
            name = gate.metric
            whole[name] = level_test(whole.get(name) or fresh_levels(), null, up, x, n)
            anew[name] = level_test(anew.get(name) or fresh_levels(), null, up, x, n)
            if name not in broken and (_wealth(whole[name]) >= bar or _wealth(anew[name]) >= bar + math.log(pieces)):
                broken[name] = self._said(gate, candidate, bound)
        return replace(self, since=since, whole=whole, anew=anew, broken=broken)

    def _counted(self, gate: Gate, totals: Totals, now: float) -> tuple[float, bool, float, float, float] | None:
        """The probability that is tolerated, whether more of it is worse, events and trials deflated, and the bound they are held to."""
        up, worth, bound = _up(gate), max(1.0, self.worth.get(gate.metric, 1.0)), self.allowed(gate, now)
        if gate.kind in {Kind.RATE, Kind.COUNT}:
            x, n = _rate(gate, totals)
            return (min(bound, 0.95), up, x / worth, n / worth, bound) if n and bound > 0 else None
        sample = totals.samples.get(gate.sample)
        if sample is None or not sample.n or bound <= 0:
            return None
        # A mean is watched by the calls beyond what the control's mean may come to: by the part of them that were beyond it then.
        quantile = gate.quantile or 0.5
        null = 1 - quantile if gate.kind == Kind.QUANTILE else self._beyond(gate)
        over = sample.more_than(bound, few=up)
        return null, up, over / worth, sample.n / worth, bound

    def _beyond(self, gate: Gate) -> float:
        sample = self.climb.samples[gate.sample]
        usual = sample.more_than(sample.mean, few=False) / sample.n
        return min(0.95, max(0.05, usual))

    def _said(self, gate: Gate, totals: Totals, bound: float) -> str:
        now, was = _level(Part({gate.metric: _rate(gate, totals)}, totals.samples), gate), _level(self.climb, gate)
        told = (f"{100 * value:.3g} %" if gate.kind in {Kind.RATE, Kind.COUNT} else f"{value:.3g}" for value in (now, was, bound))
        here, then, limit = told
        most = "more" if _up(gate) else "less"
        return (
            f"{gate.metric} is {here} since everybody has it; the control had {then}, and {limit} is the limit: {most} than time explains"
        )

    def findings(self) -> list[dict[str, Any]]:
        """What was found, as findings among a verdict's."""
        return [
            {
                "metric": name,
                "kind": "remembered",
                "decision": "ROLLBACK",
                "severity": "critical",
                "passed": False,
                "evidence": None,
                "threshold": None,
                "reason": reason,
            }
            for name, reason in self.broken.items()
        ]

    # -- JSON -----------------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        parts = {
            str(place): {
                "rates": {name: list(cell) for name, cell in part.rates.items()},
                "samples": {name: sample.to_json() for name, sample in part.samples.items()},
            }
            for place, part in self.parts.items()
        }
        return {
            "parts": parts,
            "worth": dict(self.worth),
            "watch": [self.since, self.watch, self.alpha],
            "whole": {name: list(logs) for name, logs in self.whole.items()},
            "anew": {name: list(logs) for name, logs in self.anew.items()},
            "broken": dict(self.broken),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Memory:
        parts = {
            int(place): Part(
                {str(name): (float(x), float(n)) for name, (x, n) in part["rates"].items()},
                {str(name): Sample.from_json(sample) for name, sample in part["samples"].items()},
            )
            for place, part in body["parts"].items()
        }
        since, watch, alpha = map(float, body["watch"])
        whole, anew = ({str(k): tuple(map(float, v)) for k, v in body[key].items()} for key in ("whole", "anew"))
        worth = {str(k): float(v) for k, v in body["worth"].items()}
        return cls(parts, worth, since, watch, alpha, whole, anew, {str(k): str(v) for k, v in body["broken"].items()})


def _part(now: float) -> int:
    return int(now % 86_400 // _BLOCK)


def _up(gate: Gate) -> bool:
    return gate.max_increase is not None


def _rate(gate: Gate, totals: Totals) -> Cell:
    if gate.metric == "error_rate":
        return float(totals.errors), float(totals.trials)
    if gate.metric in totals.rates:
        return totals.rates[gate.metric]
    moments = totals.events.get(gate.metric) or totals.events.get(gate.metric.removesuffix("_rate"))
    return (float(moments.n if moments else 0), float(totals.bases))


def _size(part: Part, gate: Gate) -> float:
    if gate.kind in {Kind.RATE, Kind.COUNT}:
        return part.rates.get(gate.metric, (0.0, 0.0))[1]
    sample = part.samples.get(gate.sample)
    return 0.0 if sample is None else sample.n


def _level(part: Part, gate: Gate) -> float:
    """The metric's value in that part."""
    if gate.kind in {Kind.RATE, Kind.COUNT}:
        x, n = part.rates.get(gate.metric, (0.0, 0.0))
        return x / n if n else 0.0
    sample = part.samples.get(gate.sample)
    if sample is None or not sample.n:
        return 0.0
    return sample.quantile(gate.quantile or 0.5) if gate.kind == Kind.QUANTILE else sample.mean


def _limit(part: Part, gate: Gate, worth: float) -> float:
    """
    The 99 % confidence limit of that value on its worse side, where `worth` calls are as good as one independent one.

    Source: score limit of a Poisson mean; order statistics for a quantile; normal for a mean.
    """
    sign = 1.0 if _up(gate) else -1.0
    if gate.kind in {Kind.RATE, Kind.COUNT}:
        x, n = part.rates[gate.metric]
        y = x / max(1.0, worth)
        return max(0.0, y + _Z**2 / 2 + sign * _Z * math.sqrt(y + _Z**2 / 4)) * max(1.0, worth) / n
    sample = part.samples[gate.sample]
    few = max(1.0, worth) / sample.n
    if gate.kind == Kind.QUANTILE:
        q = gate.quantile or 0.5
        value = sample.quantile(min(1.0, max(0.0, q + sign * _Z * math.sqrt(q * (1 - q) * few))))
        return value if math.isfinite(value) else sample.quantile(q)
    return sample.mean + sign * _Z * math.sqrt(sample.variance * few)


def _wealth(logs: tuple[float, ...]) -> float:
    peak = max(logs)
    return peak + math.log(sum(math.exp(log - peak) for log in logs) / len(logs))
