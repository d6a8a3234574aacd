"""The third route: histograms an application labels itself, read as deltas by a reader that joined late."""

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from progflags.telemetry import ArmReader, instrument

FLAG = "new-checkout"
NAME = "http.server.request.duration"


def label(variant, **more):
    return {"feature_flag.key": FLAG, "feature_flag.result.variant": variant, **more}


@pytest.fixture
def provider():
    own = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[own])
    provider.own = own
    yield provider
    provider.shutdown()


def test_points_are_credited_to_the_arm_of_their_variant(rolling, provider):
    """Attached at run time; each window takes what came since the last one; the application's own reader is untouched."""
    histogram = provider.get_meter("shop").create_histogram(NAME, unit="s")
    ArmReader(rolling).attach(provider)

    for _ in range(100):
        histogram.record(0.1, label("off"))
        histogram.record(0.2, label("on"))
    rolling.metrics.window(FLAG)
    for _ in range(50):
        histogram.record(0.2, label("on"))
    histogram.record(9.0, {"unlabelled": True})
    rolling.metrics.window(FLAG)

    read = rolling.metrics.read(FLAG)
    assert (read["control"][NAME]["n"], read["candidate"][NAME]["n"]) == (100, 150)
    assert read["control"][NAME]["p50"] == pytest.approx(0.1, rel=0.03)
    assert read["candidate"][NAME]["p99"] == pytest.approx(0.2, rel=0.03)
    (metric,) = provider.own.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    assert sum(point.count for point in metric.data.data_points) == 251


def test_other_labels_other_instruments_and_other_flags(rolling, provider):
    """The attributes' names can be one's own; what is not named is not read; nor is a variant without its flag."""
    histogram = provider.get_meter("shop").create_histogram("basket.total")
    provider.get_meter("shop").create_histogram(NAME).record(1, label("on"))
    ArmReader(rolling, ["basket.total"], flag="exp", variant="arm").attach(provider)

    histogram.record(20, {"exp": FLAG, "arm": "on"})
    histogram.record(20, {"arm": "on"})
    rolling.metrics.window(FLAG)

    read = rolling.metrics.read(FLAG)["candidate"]
    assert read["basket.total"]["n"] == 1
    assert NAME not in read


def test_an_overflowed_series_gets_no_verdict(rolling, provider, clock, caplog):
    """Beyond the provider's cardinality limit points of one arm may be missing: the metric is rejected, and said so."""
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation  # noqa: F401 - the aggregation under test

    histogram = provider.get_meter("shop").create_histogram(NAME)
    ArmReader(rolling).attach(provider)
    for user in range(2_100):
        histogram.record(0.1, label("on" if user % 2 else "off", user=user))

    for _ in range(7):
        clock.advance(11)
        rolling.rollouts.tick()

    status = rolling.rollouts.status(FLAG)
    assert (status.state, status.percent) != ("watching", 100.0)
    assert status.verdict == "HOLD"
    assert "observations were dropped" in status.why
    read = rolling.metrics.read(FLAG)
    assert read["candidate"]["rejected"] > 900
    assert NAME not in read["candidate"]
    assert any("no verdict on it" in record.getMessage() for record in caplog.records)


def test_explicit_buckets_are_too_coarse_to_judge(rolling, caplog):
    """A view may force buckets on the reader; a p99 interpolated in them would decide a rollout by accident."""
    forced = View(instrument_type=Histogram, aggregation=ExplicitBucketHistogramAggregation((0.1, 1.0)))
    provider = MeterProvider(views=[forced])
    histogram = provider.get_meter("shop").create_histogram(NAME)
    ArmReader(rolling).attach(provider)

    histogram.record(0.2, label("on"))
    rolling.metrics.window(FLAG)

    assert NAME not in rolling.metrics.read(FLAG)["candidate"]
    assert any("explicit buckets" in record.getMessage() for record in caplog.records)
    provider.shutdown()


def test_after_shutdown_windows_are_taken_without_it(rolling, provider):
    reader = ArmReader(rolling).attach(provider)
    histogram = provider.get_meter("shop").create_histogram(NAME)
    reader.shutdown()

    histogram.record(0.2, label("on"))
    rolling.metrics.window(FLAG)

    assert NAME not in rolling.metrics.read(FLAG)["candidate"]


def test_reading_while_being_read_does_not_lock_up(rolling, provider, clock):
    """Our own instruments on the very provider the reader is attached to: a tick collects, and collecting asks the rollouts."""
    import threading

    ArmReader(rolling).attach(provider)
    handle = instrument(rolling, meter_provider=provider)
    done = threading.Event()

    def look():
        for _ in range(20):
            provider.own.get_metrics_data()
        done.set()

    threading.Thread(target=look, daemon=True).start()
    for _ in range(20):
        clock.advance(11)
        rolling.rollouts.tick()

    assert done.wait(60)
    handle.close()


def test_while_two_definitions_are_compared_no_variant_is_an_arm(rolling, provider):
    """Either of them may have served it, so it counts for neither."""
    histogram = provider.get_meter("shop").create_histogram(NAME, unit="s")
    ArmReader(rolling).attach(provider)
    rolling.rollouts.abort(FLAG)
    plan = {"stages": [{"percent": 50, "bake": "1m"}]}
    rolling.rollouts.change(FLAG, {"rules": [{"percent": 50, "serve": "on"}], "rollout": plan})

    histogram.record(0.1, label("on"))
    rolling.metrics.window(FLAG)
    assert NAME not in rolling.metrics.read(FLAG)["candidate"]
    assert NAME not in rolling.metrics.read(FLAG)["control"]
