"""Instrumented twice, closed and instrumented again, or not at all because a provider failed."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider

import progflags as pf
from progflags.context import begin
from progflags.events import Judged
from progflags.telemetry import ServerSpans, instrument
from progflags.telemetry import _names as names
from progflags.telemetry._requests import REQUESTS

EVALUATIONS = "progflags.flag.evaluations"


def asked(flags, key, times=1):
    for _ in range(times):
        flags.is_enabled(key, "u1")


def by_flag(telling, metric=EVALUATIONS):
    """A metric's values by flag."""
    return {dict(attributes)[names.KEY]: value for attributes, value in telling.points(metric).items()}


def client(*keys):
    return pf.connect({"flags": {key: {"percent": 100} for key in keys}}, poll=None)


def test_a_client_instrumented_again_is_observed_again(telling):
    """An SDK hands out the first instrument of a name for ever, so a second callback would never be asked."""
    with client("x") as flags:
        with instrument(flags, telling.meters):
            asked(flags, "x")
            assert by_flag(telling) == {"x": 1}
        assert by_flag(telling) == {}

        with instrument(flags, telling.meters):
            asked(flags, "x")
            assert by_flag(telling) == {"x": 2}


def test_two_clients_on_one_provider_are_both_observed(telling):
    """What both counted of a flag they both have adds up; closing one leaves the other."""
    with client("x", "shared") as one, client("y", "shared") as other:
        with instrument(other, telling.meters):
            with instrument(one, telling.meters):
                asked(one, "x")
                asked(one, "shared", 2)
                asked(other, "y")
                asked(other, "shared", 3)
                assert by_flag(telling) == {"x": 1, "y": 1, "shared": 5}
            assert by_flag(telling) == {"y": 1, "shared": 3}


LATE = """
import progflags as pf
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from progflags.telemetry import instrument

def client(key):
    return pf.connect({"flags": {key: {"percent": 100}}}, poll=None)

early, late, named = client("early"), client("late"), client("named")
instrument(early)
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
set_meter_provider(provider)
instrument(late)
instrument(named, provider)
for flags, key in ((early, "early"), (late, "late"), (named, "named")):
    flags.is_enabled(key, "u1")
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            if metric.name == "progflags.flag.evaluations":
                print(*sorted(point.attributes["feature_flag.key"] for point in metric.data.data_points))
"""


def test_clients_before_and_after_the_global_provider_are_all_observed():
    """The global provider can be set once per process, so a process of its own: told before it, after it, and with it by name."""
    ran = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True, timeout=120)

    assert ran.stdout.split() == ["early", "late", "named"]


def test_closing_one_leaves_the_others_spans_marked(rolling, telling):
    """Each handle ends its own marking of spans, nobody else's."""
    tracer = telling.tracers.get_tracer("test")
    with client("other") as other, instrument(rolling):
        instrument(other).close()
        with tracer.start_as_current_span("GET /"):
            here = begin("u1")
            rolling.is_enabled("new-checkout")
            here.closing()
            here.end()

    (span,) = telling.spans.get_finished_spans()
    assert f"{names.SPAN_FLAG}new-checkout" in span.attributes


def test_after_close_the_logger_provider_flushes_at_once_and_well(rolling, telling):
    """What is closed has nothing left to flush: it neither waits for it nor calls it a failure."""
    handle = instrument(rolling, logger_provider=telling.loggers, events="all")
    rolling.is_enabled("new-search", "u1")
    handle.close()

    assert handle.flush() is True
    assert telling.loggers.force_flush() is True
    assert telling.events("feature_flag.evaluation")


class Broken:
    """A meter provider of somebody's own, with a fault in it."""

    def get_meter(self, *_, **__):
        raise OSError("no collector")


def test_an_instrumentation_that_fails_leaves_nothing_behind(rolling, telling):
    """Without a handle nobody could end half of one."""
    before = dict(rolling.bus._listeners)
    with pytest.raises(OSError, match="no collector"):
        instrument(rolling, Broken(), logger_provider=telling.loggers, events="all")

    assert all(len(rolling.bus._listeners[kind]) == len(before.get(kind, ())) for kind in rolling.bus._listeners)
    rolling.bus.tell(Judged("new-checkout", 1, "PASS", ""))
    rolling.is_enabled("new-search", "u1")
    telling.loggers.force_flush()
    assert telling.events() == []


def test_server_spans_shut_down_twice_stop_watching_once(rolling):
    """A provider shuts down by hand, then once more as the process ends; another watcher goes on seeing requests."""
    REQUESTS.watch()
    try:
        watching = REQUESTS._watchers
        processor = ServerSpans(rolling)
        processor.shutdown()
        processor.shutdown()
        assert REQUESTS._watchers == watching

        with TracerProvider().get_tracer("test").start_as_current_span("GET /") as span:
            here = begin("u1")
            assert REQUESTS.of_span(span.get_span_context().span_id) is here
            here.end()
    finally:
        REQUESTS.unwatch()
