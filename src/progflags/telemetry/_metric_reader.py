"""A MetricReader: for programs that label their own histograms with flag and variant (needs the SDK, 1.43 or newer)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    MetricReader,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from progflags._trouble import say, swallow
from progflags.flags import Client, given
from progflags.telemetry import _names as names
from progflags.telemetry._tee import HTTP_DURATION

__all__ = ["ArmReader"]

#: What the SDK puts on the one point that all attribute sets beyond its cardinality limit collapse into.
_OVERFLOW: Final = "otel.metric.overflow"


class ArmReader(MetricReader):
    """
    Reads histograms whose points carry `feature_flag.key` and `feature_flag.result.variant` into the rollouts.

    `attach` it to a provider at any time: it collects for itself, as deltas in exponential buckets, just before the
    controller takes a window, and the application's own readers don't notice. Values arrive as the middle of their bucket
    (within 1.1 % at the usual scale). Once a series has overflowed the provider's cardinality limit, points of one
    arm may be missing: its metric is rejected from then on, and a gate on it can't pass.

        reader = ArmReader(flags, ["checkout.duration"]).attach(provider)
    """

    def __init__(
        self,
        flags: Client | None = None,
        instruments: Sequence[str] = (HTTP_DURATION,),
        *,
        flag: str = names.KEY,
        variant: str = names.VARIANT,
    ) -> None:
        super().__init__(
            preferred_temporality=dict.fromkeys((Counter, ObservableCounter, Histogram), AggregationTemporality.DELTA),
            preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()},
        )
        self._flags = flags
        self._wanted = frozenset(instruments)
        self._flag = flag
        self._variant = variant
        self._refused: set[str] = set()
        self._open = True

    def attach(self, provider: MeterProvider) -> ArmReader:
        """
        Join a provider that is already running, and be read whenever a window is taken.

        Raises:
            RuntimeError: this SDK can't add readers at run time; it can since 1.43.
        """
        add = getattr(provider, "add_metric_reader", None)
        if add is None:
            raise RuntimeError(
                "adding a reader at run time needs opentelemetry-sdk 1.43: pass this one to MeterProvider(metric_readers=[…])"
            )
        add(self)
        client = given(self._flags)
        if client is not None:
            client.metrics.source("progflags.telemetry", self._pull)  # type: ignore[attr-defined] # a connected client has it
        return self

    def _pull(self) -> None:
        if self._open:
            self.collect()

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002 - the SDK's signature
        for resource in metrics_data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name in self._wanted:
                        try:
                            self._read(metric.name, metric.unit or "", metric.data)
                        except Exception as error:
                            swallow("telemetry metric reader", error)

    def _read(self, name: str, unit: str, data: Any) -> None:
        client = given(self._flags)
        if client is None:
            return
        if not isinstance(data, ExponentialHistogram):
            say(
                "telemetry metric reader",
                f"{name} has explicit buckets by a view: too coarse for a verdict, it is not read",
                cause=f"buckets {name}",
            )
            return
        for point in data.data_points:
            attributes: Mapping[str, Any] = point.attributes or {}
            if attributes.get(_OVERFLOW):
                self._refused.add(name)
                say(
                    "telemetry metric reader",
                    f"{name} has more attribute sets than its provider keeps: no verdict on it",
                    cause=f"overflow {name}",
                )
        for point in data.data_points:
            self._credit(client, name, unit, point)

    def _credit(self, client: Client, name: str, unit: str, point: ExponentialHistogramDataPoint) -> None:
        attributes: Mapping[str, Any] = point.attributes or {}
        flag, variant = attributes.get(self._flag), attributes.get(self._variant)
        if not isinstance(flag, str) or not isinstance(variant, str):
            return
        arm = _arm(client, flag, variant)
        if arm is None:
            return
        observe = client.metrics.observe  # type: ignore[attr-defined] # a connected client has it
        for value, count in _values(point):
            # A refused sample is told as one: rejected values are counted, and too many of them hold the verdict.
            observe(flag, name, math.nan if name in self._refused else value, arm=arm, n=count, measured_in=unit)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - the SDK's signature
        self._open = False


def _arm(client: Client, flag: str, variant: str) -> str | None:
    """A rollout's variants are its arms; an experiment's arms have the variants' names. None: two definitions are compared."""
    if client.live(flag).edit is not None and client.live(flag).counting:
        return None
    snapshot = client.definitions
    model = None if snapshot is None else snapshot.flags.get(flag)
    if model is None or model.rollout is None:
        return variant
    return "candidate" if variant == model.candidate else "control"


def _values(point: ExponentialHistogramDataPoint) -> Iterable[tuple[float, int]]:
    """The middle of every bucket that holds something, and how many."""
    if point.zero_count:
        yield 0.0, point.zero_count
    for index, count in enumerate(point.positive.bucket_counts):
        if count:
            yield 2.0 ** ((point.positive.offset + index + 0.5) / 2.0**point.scale), count
