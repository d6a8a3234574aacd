"""
What telemetry costs: ratios against the same work without it, measured in the same run.

Each figure is the median of many short rounds that alternate between the two, so that a busy machine slows both alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from statistics import median
from time import perf_counter

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import progflags as pf
from progflags.context import bind
from progflags.telemetry import instrument, tee

ROUNDS = 41
CALLS = 20_000


def ns(work: Callable[[], object], calls: int = CALLS) -> float:
    """Nanoseconds per call of one round."""
    began = perf_counter()
    for _ in range(calls):
        work()
    return (perf_counter() - began) / calls * 1e9


def compare(name: str, without: Callable[[], object], with_: Callable[[], object], calls: int = CALLS) -> None:
    ns(without, calls), ns(with_, calls)
    pairs = [(ns(without, calls), ns(with_, calls)) for _ in range(ROUNDS)]
    base, cost = median(a for a, _ in pairs), median(b for _, b in pairs)
    extra = median(b - a for a, b in pairs)
    print(f"{name:<58} {base:8.0f} ns {cost:8.0f} ns  x {cost / base:5.2f}  {extra:+8.0f} ns")


def main() -> None:
    logging.disable(logging.WARNING)
    document = {"flags": {"new-search": {"percent": 25}, "new-checkout": {"rollout": {"stages": [{"percent": 50, "bake": "1h"}]}}}}
    print(f"{'':<58} {'without':>11} {'with':>11}")
    with pf.connect(document, poll=None) as plain, pf.connect(document, poll=None) as told, pf.connect(document, poll=None) as events:
        for client in (plain, told, events):
            client.rollouts.start("new-checkout")
            client.rollouts.tick()
        provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
        instrument(told, meter_provider=provider)
        user = pf.Context("user-1")

        compare(
            "an evaluation, instrumented with the SDK's metrics",
            lambda: plain.is_enabled("new-search", user),
            lambda: told.is_enabled("new-search", user),
        )
        with bind(user, fresh=True):
            compare(
                "an evaluation that meets an arm, likewise",
                lambda: plain.is_enabled("new-checkout", user),
                lambda: told.is_enabled("new-checkout", user),
            )
        handle = instrument(events, events="sampled")
        compare(
            'an evaluation with events="sampled"',
            lambda: plain.is_enabled("new-search", user),
            lambda: events.is_enabled("new-search", user),
        )
        handle.close()

        inner = provider.get_meter("bench").create_histogram("http.server.request.duration", unit="s")
        teed = tee(provider, told).get_meter("bench").create_histogram("http.server.request.duration", unit="s")
        attributes = {"http.request.method": "GET", "http.route": "/", "http.response.status_code": 200}
        with bind(user, fresh=True):
            told.is_enabled("new-checkout")
            compare(
                "a histogram's record, teed to one arm", lambda: inner.record(0.1, attributes), lambda: teed.record(0.1, attributes), 2_000
            )
        provider.shutdown()


if __name__ == "__main__":
    main()
