"""Clients with a rollout under way, and the SDK's own in-memory exporters."""

import pytest
from opentelemetry.sdk._logs import LoggerProvider, export
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import progflags as pf
from progflags.telemetry import Instrumentation, _outbox
from progflags.testing import ManualClock
from support.patience import PATIENCE

DOCUMENT = {
    "flags": {
        "new-search": {"percent": 25},
        "checkout-flow": {
            "variants": {"classic": "classic", "fast": "fast"},
            "default": "classic",
            "rules": [{"split": {"classic": 1, "fast": 1}}],
        },
        "new-checkout": {
            "rollout": {
                "stages": [{"percent": 50, "bake": "1m", "gates": [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]}],
                "watch": "1m",
                "brake": False,
            }
        },
    }
}

# Its name since 1.39; the oldest SDK we declare has the other.
InMemoryLogRecordExporter = getattr(export, "InMemoryLogRecordExporter", None) or export.InMemoryLogExporter


class Telling:
    """A meter provider, a tracer provider and a logger provider whose exports stay in memory, where a test reads them."""

    def __init__(self):
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.logs = InMemoryLogRecordExporter()
        self.loggers = LoggerProvider()
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))

    def metrics(self):
        """Every metric by name."""
        data = self.reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                found |= {metric.name: metric for metric in scope.metrics}
        return found

    def points(self, name):
        """A metric's points: attributes (as a frozen set of pairs) → value, or the histogram point itself."""
        metric = self.metrics().get(name)
        points = () if metric is None else metric.data.data_points
        return {frozenset(point.attributes.items()): getattr(point, "value", point) for point in points}

    def events(self, name=None):
        """(event name, attributes) of every log record emitted so far."""
        records = [log.log_record for log in self.logs.get_finished_logs()]
        return [(record.event_name, dict(record.attributes)) for record in records if name in (None, record.event_name)]

    def close(self):
        self.meters.shutdown()
        self.tracers.shutdown()
        self.loggers.shutdown()


@pytest.fixture(autouse=True)
def unhurried_exports(monkeypatch):
    """What is on its way to an exporter has a minute, unless a test's exporter hangs: its usual second is soon over on a busy machine."""
    monkeypatch.setattr(_outbox, "_WAIT", PATIENCE)
    for wait in (_outbox.Outbox.flush, _outbox.Outbox.close, Instrumentation.flush):
        monkeypatch.setattr(wait, "__defaults__", (PATIENCE,))


@pytest.fixture
def telling():
    providers = Telling()
    yield providers
    providers.close()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def flags(clock):
    with pf.connect(DOCUMENT, clock=clock) as client:
        yield client


@pytest.fixture
def rolling(flags):
    """The client with `new-checkout` served to half of its users, and counted."""
    flags.rollouts.start("new-checkout")
    flags.rollouts.tick()
    assert flags.rollouts.status("new-checkout").percent == 50
    return flags
