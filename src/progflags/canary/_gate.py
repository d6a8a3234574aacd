"""A gate: one condition on one metric, refused when built wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from progflags._printed import printable, quoted
from progflags.canary._words import LATENCY, Kind, Policy, Severity

__all__ = ["ANY", "Gate"]

#: The metric of an anomaly gate: every metric that is seen.
ANY = "*"

_QUANTILE = re.compile(r"p(\d{2,5})_(.+)")
SHADOW_SCORE: Final = "shadow_score"  # what the score of a dark launch says of its candidate: a mean
_TAIL: Final = (0.9, 0.95, 0.99)
_GAUGES = frozenset({"cpu", "memory", "event_loop_lag"})
_BOUNDS = ("max", "min", "max_increase", "max_decrease")

# What a gate must be able to see before `detectable` lets it pass, as a fraction like `max_increase`: 1.0 is a doubling.
_MUST_DETECT = {Kind.RATE: 1.0, Kind.COUNT: 1.0, Kind.QUANTILE: 0.25, Kind.MEAN: 0.25, Kind.GAUGE: 0.25}
_MUST_DETECT_DECREASE = 0.10


# Left whole, though long: the settings of a condition and every way in which they can contradict each other.
@dataclass(frozen=True, slots=True)
class Gate:
    """
    One condition on one metric: absolute (`max`, `min`) or against the control (`max_increase`, `max_decrease`).

    Rates, shares and relative bounds are fractions (`max_increase=0.10` is +10 %), latencies are seconds. `error_rate` and
    any `*_rate` is a rate, `p99_latency` that quantile, `latency` p90, p95 and p99 (the finding says which decided), `mean_*` a
    mean, `cpu` and `memory` gauges, every other name a tracked event: the share of exposed units that had it (`kind="mean"`: its
    value per exposed unit). `metric="*", anomaly=False` watches every metric seen. `must_detect` is a fraction as well: 1.0 asks
    that a doubling would have been caught.

        pf.Gate("error_rate", max=0.02, max_increase=0.25)
        pf.Gate("conversion", max_decrease=0.02, direction="higher_is_better")

    Raises:
        ValueError: a bound is missing, contradicts another, or is no finite number in its range; the message says which.
    """

    metric: str
    max: float | None = None
    min: float | None = None
    max_increase: float | None = None
    max_decrease: float | None = None
    anomaly: bool | None = None
    quantile: float | None = None
    kind: Kind | str | None = None
    direction: str | None = None
    severity: Severity | str = Severity.CRITICAL
    weight: float = 1.0
    policy: Policy | str = Policy.DETECTABLE
    must_detect: float | None = None
    min_absolute: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise ValueError("a gate needs the name of a metric, such as 'error_rate' or 'p99_latency'")
        for word, kind in (("severity", Severity), ("policy", Policy)):
            _set(self, word, _one_of(kind, word, getattr(self, word)))
        for name in (*_BOUNDS, "quantile", "weight", "must_detect", "min_absolute"):
            _set(self, name, _number(name, getattr(self, name)))
        self._check_shape()
        self._settle_kind()
        self._check_bounds()

    def _check_shape(self) -> None:
        bounds = [name for name in _BOUNDS if getattr(self, name) is not None]
        if self.anomaly is True:
            raise ValueError("anomaly = false is the only condition on anomalies: none are tolerated")
        if self.anomaly is not None and not isinstance(self.anomaly, bool):
            raise ValueError(f"anomaly is false or absent, not {quoted(self.anomaly)}")
        if self.metric == ANY and (bounds or self.anomaly is None):
            raise ValueError('metric "*" watches for anomalies: write anomaly = false and no other bound')
        if not bounds and self.anomaly is None:
            raise ValueError(f"gate {quoted(self.metric)} has no bound: give max, min, max_increase, max_decrease or anomaly = false")
        if self.direction not in {None, "lower_is_better", "higher_is_better"}:
            raise ValueError(f"direction is 'lower_is_better' or 'higher_is_better', not {quoted(self.direction)}")
        if self.direction == "higher_is_better" and self.max_increase is not None:
            raise ValueError(f"{quoted(self.metric)} is better when higher: bound it by max_decrease, not max_increase")
        if self.direction == "lower_is_better" and self.max_decrease is not None:
            raise ValueError(f"{quoted(self.metric)} is better when lower: bound it by max_increase, not max_decrease")

    def _settle_kind(self) -> None:
        written = None if self.kind is None else _one_of(Kind, "kind", self.kind)
        match = _QUANTILE.fullmatch(self.metric)
        if self.quantile is None and match and written in {None, Kind.QUANTILE}:
            if len(match[1]) > 2 and int(match[1]) == 10 ** (len(match[1]) - 1):
                raise ValueError(f"{quoted(self.metric)} would be the largest of all, which is no quantile: write p99_… or p999_…")
            _set(self, "quantile", int(match[1]) / 10 ** len(match[1]))
        if self.quantile is not None and written not in {None, Kind.QUANTILE}:
            raise ValueError(f"{quoted(self.metric)} has a quantile, so its kind is 'quantile', not {written}")
        if self.quantile is None and self.metric == LATENCY and written in {None, Kind.QUANTILE}:
            written = Kind.QUANTILE
        elif self.quantile is None and written == Kind.QUANTILE:
            raise ValueError(f"{quoted(self.metric)} is a quantile: say which, as in quantile = 0.99")
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise ValueError(f"a quantile lies between 0 and 1, not {quoted(self.quantile)}")
        _set(self, "kind", written or _kind_of(self.metric, self.quantile))

    def _check_bounds(self) -> None:
        share = self.kind == Kind.RATE
        for name in ("max", "min"):
            bound = getattr(self, name)
            if bound is not None and share and not 0 <= bound <= 1:
                source = "" if self.metric.endswith("_rate") else '; for a source\'s reading, write kind = "gauge"'
                raise ValueError(f"{name} of {quoted(self.metric)} is a share between 0 and 1, not {quoted(bound)}: 0.1 % is 0.001{source}")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min {quoted(self.min)} of {quoted(self.metric)} is above its max {quoted(self.max)}")
        if self.max_increase is not None and self.max_increase < 0:
            raise ValueError(f"max_increase is 0 or more, not {quoted(self.max_increase)}: 0.10 tolerates +10 %")
        if self.max_decrease is not None and not 0 <= self.max_decrease < 1:
            raise ValueError(f"max_decrease lies between 0 and 1, not {quoted(self.max_decrease)}: 0.02 tolerates -2 %")
        if not self.weight > 0:
            raise ValueError(f"a weight is above 0, not {quoted(self.weight)}")
        if self.must_detect is not None and not self.must_detect > 0:
            raise ValueError(f"must_detect is a fraction above 0, not {quoted(self.must_detect)}: 1.0 is a doubling")
        if self.min_absolute < 0:
            raise ValueError(f"min_absolute is 0 or more, not {quoted(self.min_absolute)}")

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Gate:
        """
        A gate from the table of a flag file.

        Raises:
            ValueError: an unknown key, or what Gate itself refuses.
        """
        known = {field.name for field in fields(cls)}
        for key in mapping:
            if key not in known:
                from difflib import get_close_matches

                near = get_close_matches(str(key), known, 1)
                raise ValueError(
                    f"a gate has no {quoted(key)}" + (f": did you mean {near[0]!r}?" if near else f": it takes {', '.join(sorted(known))}")
                )
        if "metric" not in mapping:
            raise ValueError('a gate needs the name of a metric, such as metric = "error_rate"')
        return cls(**mapping)

    @property
    def each(self) -> tuple[Gate, ...]:
        """The gates it stands for: itself, or for `latency` one of each quantile, which share its bounds and its part of alpha."""
        if self.kind != Kind.QUANTILE or self.quantile is not None:
            return (self,)
        return tuple(replace(self, metric=f"p{100 * level:g}_{self.metric}", quantile=level) for level in _TAIL)

    @property
    def relative(self) -> bool:
        """Whether it compares with the control."""
        return self.max_increase is not None or self.max_decrease is not None or self.anomaly is not None

    @property
    def critical(self) -> bool:
        return self.severity == Severity.CRITICAL

    @property
    def sample(self) -> str:
        """The sample a quantile or mean gate looks at: `latency` for `p99_latency`, the metric's own name otherwise."""
        match = _QUANTILE.fullmatch(self.metric)
        if match:
            return match[2]
        return self.metric.removeprefix("mean_")

    def detect(self, *, up: bool) -> float:
        """The regression, as a fraction, that `detectable` asks to have been visible."""
        if self.must_detect is not None:
            return self.must_detect if up else min(self.must_detect, 0.999)
        return _MUST_DETECT[Kind(self.kind or Kind.RATE)] if up else _MUST_DETECT_DECREASE

    def to_dict(self) -> dict[str, Any]:
        """What `Gate.of` takes: the keys that say something."""
        written: dict[str, Any] = {"metric": self.metric}
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value is not None and value != field.default:
                written[field.name] = str(value) if isinstance(value, str) else value
        return written

    def __str__(self) -> str:
        parts = [f"{name} {getattr(self, name):g}" for name in _BOUNDS if getattr(self, name) is not None]
        return f"{printable(self.metric, 240)}: {', '.join(parts) or 'no anomaly'}"


def _kind_of(metric: str, quantile: float | None) -> Kind:
    if quantile is not None:
        return Kind.QUANTILE
    if metric.startswith("mean_") or metric == SHADOW_SCORE:
        return Kind.MEAN
    return Kind.GAUGE if metric in _GAUGES else Kind.RATE


def _one_of(words: Any, what: str, value: object) -> Any:
    try:
        return words(value)
    except ValueError:
        raise ValueError(f"{what} is one of {', '.join(repr(str(word)) for word in words)}, not {quoted(value)}") from None


def _number(name: str, value: object) -> float | None:
    if value is None and name not in {"weight", "min_absolute"}:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is a finite number, not {quoted(value)}")
    return float(value)


_set = object.__setattr__
