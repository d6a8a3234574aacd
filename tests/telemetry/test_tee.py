"""The application's own measurements reach the arms their request met, with no change in a handler."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiTelemetry
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiTelemetry
from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

import progflags as pf
from progflags import asgi, wsgi
from progflags.context import bind
from progflags.telemetry import RecordServerSpans, ServerSpans, instrument, tee
from support.web import uvicorn_server, wsgi_server

HTTP = "http.server.request.duration"
OLD = "http.server.duration"
FLAG = "new-checkout"


@pytest.fixture
def semconv(monkeypatch):
    """Choose what the instrumentations speak: they ask the environment once per process."""

    def choose(words):
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", words)
        monkeypatch.setattr(_semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)

    yield choose
    _semconv._OpenTelemetrySemanticConventionStability._initialized = False


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


def who(scope):
    return dict(scope["headers"])[b"x-user"].decode()


def a_shop(flags, kind, *, above=(), below=()):
    """An application whose handlers know nothing of telemetry."""

    async def on_the_loop(request):
        return JSONResponse(flags.is_enabled(FLAG))

    def in_a_thread(request):
        return JSONResponse(flags.is_enabled(FLAG))

    middle = [*above, Middleware(asgi.FlagsMiddleware, flags=flags, context=who), *below]
    return Starlette(routes=[Route("/", on_the_loop if kind == "async" else in_a_thread)], middleware=middle)


def visit(address, users=13):
    with httpx.Client(base_url=address) as browser:
        return [browser.get("/", headers={"x-user": f"u{i}"}).json() for i in range(users)]


def heard(flags, name=HTTP):
    """Per arm: how many values of the instrument were credited."""
    read = flags.metrics.read(FLAG)
    return {arm: read[arm].get(name, {"n": 0})["n"] for arm in ("control", "candidate")}


STACKS = {
    "alone": {},
    "below BaseHTTPMiddleware": {"above": [Middleware(Passing)]},
    "above BaseHTTPMiddleware": {"below": [Middleware(Passing)]},
    "between two": {"above": [Middleware(Passing)], "below": [Middleware(Passing)]},
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("kind", ["async", "thread"])
def test_every_request_is_credited_to_the_arm_it_met(rolling, telling, semconv, stack, kind):
    """The real instrumentation outermost, under a real server: 13 of 13, right arm, whatever stands between."""
    semconv("http")
    app = AsgiTelemetry(a_shop(rolling, kind, **stack), meter_provider=tee(telling.meters, rolling), tracer_provider=telling.tracers)

    with uvicorn_server(app) as address:
        answers = visit(address)

    assert heard(rolling) == {"control": answers.count(False), "candidate": answers.count(True)}
    assert min(heard(rolling).values()) > 0


def test_the_applications_own_exporter_sees_what_it_always_saw(rolling, telling, semconv):
    """The inner provider's histogram holds the same 13 requests, without a label of ours."""
    semconv("http")
    app = AsgiTelemetry(a_shop(rolling, "async"), meter_provider=tee(telling.meters, rolling), tracer_provider=telling.tracers)
    with uvicorn_server(app) as address:
        visit(address)

    (point,) = telling.points(HTTP).values()

    assert point.count == 13
    assert not [name for name in point.attributes if "flag" in name]


def test_the_old_name_is_heard_in_both_units(rolling, telling, semconv):
    """Instrumentations that still speak milliseconds: under their name as they are, under the new name in seconds."""
    semconv("default")
    app = AsgiTelemetry(a_shop(rolling, "async"), meter_provider=tee(telling.meters, rolling), tracer_provider=telling.tracers)

    with uvicorn_server(app) as address:
        visit(address)

    assert heard(rolling, OLD) == heard(rolling, HTTP)
    samples = rolling.metrics.totals(FLAG)["control"].samples
    assert (samples[OLD].unit, samples[HTTP].unit) == ("ms", "s")
    assert sum(heard(rolling, OLD).values()) == 13


def test_both_names_at_once_do_not_count_twice(rolling, telling, semconv):
    semconv("http/dup")
    app = AsgiTelemetry(a_shop(rolling, "async"), meter_provider=tee(telling.meters, rolling), tracer_provider=telling.tracers)

    with uvicorn_server(app) as address:
        visit(address)

    assert sum(heard(rolling, HTTP).values()) == 13
    assert sum(heard(rolling, OLD).values()) == 13


@pytest.mark.parametrize("traced", [True, False])
def test_wsgi_requests_are_credited_too(rolling, telling, semconv, traced):
    """One thread serves all of them, with tracing and without."""
    semconv("http")

    def shop(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"true" if rolling.is_enabled(FLAG) else b"false"]

    inner = wsgi.FlagsMiddleware(shop, flags=rolling, context=lambda environ: environ["HTTP_X_USER"])
    tracers = telling.tracers if traced else TracerProvider(sampler=ALWAYS_OFF)
    app = WsgiTelemetry(inner, meter_provider=tee(telling.meters, rolling), tracer_provider=tracers)

    with wsgi_server(app) as address:
        answers = visit(address)

    assert heard(rolling) == {"control": answers.count(False), "candidate": answers.count(True)}


@pytest.mark.parametrize("traced", [True, False])
def test_a_request_that_never_reached_the_middleware_is_nobodys(rolling, telling, semconv, traced):
    """Answered by an outer layer, on a thread that served somebody before: that somebody's arm gets nothing."""
    semconv("http")

    def shop(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"true" if rolling.is_enabled(FLAG) else b"false"]

    inner = wsgi.FlagsMiddleware(shop, flags=rolling, context=lambda environ: "u1")

    def guarded(environ, start_response):
        if environ.get("HTTP_X_USER") == "stranger":
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [b"null"]
        return inner(environ, start_response)

    provider = tee(telling.meters, rolling)
    app = WsgiTelemetry(guarded, meter_provider=provider, tracer_provider=telling.tracers if traced else None)
    with wsgi_server(app) as address, httpx.Client(base_url=address) as browser:
        for user in ("u1", "stranger", "stranger", "u1", "stranger"):
            browser.get("/", headers={"x-user": user})

    assert sum(heard(rolling).values()) == 2


def test_any_histogram_and_counter_named_is_heard(rolling, telling):
    """A histogram becomes a sample, a counter an event of the unit; what is not named stays the application's alone."""
    meter = tee(telling.meters, rolling, instruments=("checkout.items", "checkout.declined")).get_meter("shop")
    items, declined, other = (
        meter.create_histogram("checkout.items"),
        meter.create_counter("checkout.declined"),
        meter.create_counter("other"),
    )

    for user in range(20):
        with bind(f"u{user}", fresh=True):
            on = rolling.is_enabled(FLAG)
            items.record(3)
            other.add(1)
            if on:
                declined.add(2)

    read = rolling.metrics.read(FLAG)
    assert read["control"]["checkout.items"]["n"] + read["candidate"]["checkout.items"]["n"] == 20
    assert read["candidate"]["checkout.declined"] == read["candidate"]["units"] > 0
    assert "checkout.declined" not in read["control"]
    assert not {"other"} & set(read["candidate"])
    assert telling.points("other") == {frozenset(): 20}


def test_a_teed_gate_rolls_a_slow_candidate_back(rolling_on_duration, telling, semconv, clock):
    """End to end: the application's own histogram is slower on the candidate, the gate on it says so."""
    semconv("http")
    flags = rolling_on_duration
    histogram = tee(telling.meters, flags).get_meter("asgi").create_histogram(HTTP, unit="s")

    for step in range(8):
        for user in range(400):
            with bind(f"u{step}-{user}", fresh=True):
                histogram.record(0.5 if flags.is_enabled(FLAG) else 0.05)
        clock.advance(11)
        flags.rollouts.tick()

    status = flags.rollouts.status(FLAG)
    assert status.percent == 0
    assert status.state == "rolled_back"


@pytest.fixture
def rolling_on_duration(clock):
    gate = {"metric": HTTP, "quantile": 0.99, "max_increase": 0.1}
    document = {"flags": {FLAG: {"rollout": {"stages": [{"percent": 50, "bake": "10m", "gates": [gate]}], "brake": False}}}}
    with pf.connect(document, clock=clock) as flags:
        flags.rollouts.start(FLAG)
        flags.rollouts.tick()
        yield flags


def test_shadows_and_nobodys_measurements_are_not_credited(rolling, telling):
    """Silent scopes count for nothing; outside any request there is no arm."""
    histogram = tee(telling.meters, rolling).get_meter("m").create_histogram(HTTP)

    histogram.record(1)
    with bind("u1", fresh=True):
        rolling.is_enabled(FLAG)
        with bind("u1", silent=True):
            histogram.record(1)

    assert sum(heard(rolling).values()) == 0
    (point,) = telling.points(HTTP).values()
    assert point.count == 2


def test_values_of_an_older_share_are_not_credited_to_the_newer(rolling, telling):
    """The share changed between the exposure and the measurement: counting began anew, the value belongs to neither."""
    histogram = tee(telling.meters, rolling).get_meter("m").create_histogram(HTTP)

    with bind("u1", fresh=True):
        rolling.is_enabled(FLAG)
        rolling.rollouts.promote(FLAG, full=True)
        histogram.record(1)

    assert sum(heard(rolling).values()) == 0


def test_threads_with_their_own_context_are_told_apart(rolling, telling):
    """Eight threads, each in a request of its own, a thousand measurements: each lands on its own arm."""
    histogram = tee(telling.meters, rolling).get_meter("m").create_histogram(HTTP)
    barrier = threading.Barrier(8)

    def serve(number):
        barrier.wait()
        on = 0
        for turn in range(125):
            with bind(f"u{number}-{turn}", fresh=True):
                on += rolling.is_enabled(FLAG)
                histogram.record(0.01)
        return on

    with ThreadPoolExecutor(8) as pool:
        candidates = sum(pool.map(serve, range(8)))

    assert heard(rolling) == {"control": 1000 - candidates, "candidate": candidates}


def test_the_tee_is_a_meter_provider_in_every_other_way(telling, rolling):
    """Other instruments are the inner provider's own; its verbs still answer; the API's no-op provider will do."""
    provider = tee(telling.meters, rolling)
    meter = provider.get_meter("m", "1.0", "https://example.com/schema")

    meter.create_up_down_counter("a").add(1)
    meter.create_gauge("b").set(2)
    meter.create_observable_gauge("c", [lambda _: []])
    meter.create_observable_counter("d", [lambda _: []])
    meter.create_observable_up_down_counter("e", [lambda _: []])
    meter.create_histogram("f", explicit_bucket_boundaries_advisory=[1.0]).record(3)

    assert isinstance(provider, ApiMeterProvider)
    assert (meter.name, meter.version) == ("m", "1.0")
    assert {"a", "b", "f"} <= set(telling.metrics())
    assert provider.force_flush()
    tee(NoOpMeterProvider(), rolling).get_meter("m").create_histogram(HTTP).record(1)


def test_a_measurement_that_cannot_be_credited_still_reaches_the_application(telling):
    """No client, a closed one, a value that is no number: the inner instrument records it, nothing is raised."""
    histogram = tee(telling.meters).get_meter("m").create_histogram(HTTP)

    with bind("u1", fresh=True):
        histogram.record(1.0)

    (point,) = telling.points(HTTP).values()
    assert point.count == 1


def test_an_instrument_that_never_speaks_is_warned_about(rolling, telling, caplog):
    """Two hundred requests and not a word: most likely the tee came after the instrumentation. Said once."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_):
        return {"type": "http.request"}

    async def many(middleware):
        for _ in range(450):
            await middleware({"type": "http", "headers": []}, nothing, nothing)

    gc.collect()
    misspelled = tee(telling.meters, rolling, instruments=("misspelled.duration",))
    spoken = tee(telling.meters, rolling).get_meter("m").create_histogram(HTTP)
    spoken.record(1)

    asyncio.run(many(asgi.FlagsMiddleware(app, flags=rolling)))

    lines = [record.getMessage() for record in caplog.records if "not a word" in record.getMessage()]
    assert len(lines) == 1
    assert "misspelled.duration" in lines[0]
    assert misspelled


# -- the second route: spans ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_server_spans_credit_their_duration(rolling, telling, semconv, stack):
    """For zero-code instrumentation: the processor sees each server span end and finds its request."""
    semconv("http")
    tracers = TracerProvider()
    tracers.add_span_processor(ServerSpans(rolling))
    app = AsgiTelemetry(a_shop(rolling, "thread", **stack), meter_provider=telling.meters, tracer_provider=tracers)

    with uvicorn_server(app) as address:
        answers = visit(address)

    assert heard(rolling) == {"control": answers.count(False), "candidate": answers.count(True)}
    tracers.shutdown()


def test_a_ratio_sampler_hides_requests_unless_server_spans_are_recorded(rolling, telling, semconv):
    """With 1 % sampled, nearly nothing is seen; wrapped, everything is, and exporters still get the sampled ones only."""
    semconv("http")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    def serve(sampler):
        tracers = TracerProvider(sampler=sampler)
        tracers.add_span_processor(ServerSpans(rolling))
        tracers.add_span_processor(SimpleSpanProcessor(telling.spans))
        with uvicorn_server(AsgiTelemetry(a_shop(rolling, "async"), tracer_provider=tracers, meter_provider=telling.meters)) as address:
            visit(address)
        tracers.shutdown()
        return sum(heard(rolling).values())

    never = ParentBased(TraceIdRatioBased(0.0))
    assert serve(never) == 0
    assert serve(RecordServerSpans(never)) == 13
    assert telling.spans.get_finished_spans() == ()


def test_zero_code_instrumentation_needs_one_word_in_the_environment():
    """`opentelemetry-instrument` finds the entry point; with the variable set, requests of `pf.default()` are credited."""
    program = textwrap.dedent(
        """
        import json, threading, urllib.request
        from wsgiref.simple_server import make_server
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

        trace.set_tracer_provider(TracerProvider())
        from progflags.telemetry import pre_instrument
        pre_instrument()

        import progflags as pf
        from progflags.wsgi import FlagsMiddleware
        flags = pf.connect({"flags": {"f": {"rollout": {"stages": [{"percent": 50, "bake": "1m"}]}}}}, poll=None)
        flags.rollouts.start("f"); flags.rollouts.tick()
        pf.set_default(flags)

        def shop(environ, start_response):
            flags.is_enabled("f")
            start_response("200 OK", [])
            return [b"ok"]

        server = make_server("127.0.0.1", 0, OpenTelemetryMiddleware(FlagsMiddleware(shop, context=lambda environ: "u1")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for _ in range(5):
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}").read()
        server.shutdown()
        read = flags.metrics.read("f")
        print(json.dumps(sum(read[arm].get("http.server.request.duration", {"n": 0})["n"] for arm in read)))
        """
    )

    def run(**environment):
        ran = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(ran.stdout)

    assert run(PROGFLAGS_OTEL_SPANS="1") == 5
    assert run(PROGFLAGS_OTEL_SPANS="") == 0
    entry_points = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    assert entry_points["opentelemetry_pre_instrument"] == {"progflags": "progflags.telemetry:pre_instrument"}


# -- what spans are told ----------------------------------------------------------------------------------------------


def test_the_servers_span_says_once_which_variants_the_request_met(rolling, telling, semconv):
    """One attribute per flag, on the server span, whatever number of evaluations; no value, no key."""
    semconv("http")
    app = AsgiTelemetry(
        a_shop(rolling, "thread", below=[Middleware(Passing)]), tracer_provider=telling.tracers, meter_provider=telling.meters
    )

    with instrument(rolling, tracer_provider=telling.tracers), uvicorn_server(app) as address:
        answers = visit(address, users=4)

    spans = [span for span in telling.spans.get_finished_spans() if span.kind.name == "SERVER"]
    assert [span.attributes["progflags.flag.new-checkout"] for span in spans] == ["on" if on else "off" for on in answers]
    assert "u1" not in str([dict(span.attributes) for span in spans if "user" in str(span.attributes)])


def test_a_wsgi_span_is_told_too(rolling, telling, semconv):
    semconv("http")

    def shop(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        yield b"true" if rolling.is_enabled(FLAG) else b"false"

    inner = wsgi.FlagsMiddleware(shop, flags=rolling, context=lambda environ: environ["HTTP_X_USER"])
    with instrument(rolling, tracer_provider=telling.tracers):
        with wsgi_server(WsgiTelemetry(inner, tracer_provider=telling.tracers, meter_provider=telling.meters)) as address:
            answers = visit(address, users=4)

    spans = [span for span in telling.spans.get_finished_spans() if span.kind.name == "SERVER"]
    assert [span.attributes.get("progflags.flag.new-checkout") for span in spans] == ["on" if on else "off" for on in answers]


def test_the_global_provider_can_be_a_tee():
    """`set_meter_provider(tee(…))` works: the API takes it like any other."""
    from opentelemetry.metrics import get_meter

    inner = MeterProvider()
    histogram = get_meter("m", meter_provider=tee(inner)).create_histogram(HTTP)
    histogram.record(1)
    inner.shutdown()


def test_a_tee_thrown_away_hears_no_more_requests(telling, rolling):
    """A program that makes providers and drops them (a test suite) does not pay for the dropped ones at every request."""
    from progflags import context

    gc.collect()
    before = context._BEGUN.told
    for _ in range(10):
        tee(telling.meters, rolling).get_meter("m").create_counter("c")
    gc.collect()

    assert context._BEGUN.told == before
