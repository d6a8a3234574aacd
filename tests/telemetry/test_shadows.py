"""A shadow has a trace of its own, linked to the request's, and cannot be mistaken for traffic."""

import asyncio
import contextlib

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import progflags as pf
from progflags.telemetry import instrument

DOCUMENT = {"flags": {"recs-v2": {"percent": 100}}}


@pytest.fixture
def shadowed():
    with pf.connect(DOCUMENT, poll=None) as flags:
        yield flags


def spans(telling):
    return {span.name: span for span in telling.spans.get_finished_spans()}


@pytest.mark.parametrize("executor", ["thread", "inline"])
def test_a_shadows_span_is_a_root_with_a_link(shadowed, telling, executor):
    """The candidate's own spans are its children, not the request's; its baggage marks what it calls."""
    tracer = telling.tracers.get_tracer("shop")
    marks = []

    def candidate(n):
        with tracer.start_as_current_span("query"):
            marks.append(baggage.get_baggage("progflags.shadow"))
        return n

    @pf.dark_launch("recs-v2", candidate=candidate, flags=shadowed, executor=executor)
    def control(n):
        with tracer.start_as_current_span("control"):
            return n

    with instrument(shadowed, tracer_provider=telling.tracers), tracer.start_as_current_span("request"):
        assert control(3) == 3
        control.dark_launch.drain()

    request, shadow, query = (spans(telling)[name] for name in ("request", "shadow recs-v2", "query"))
    assert shadow.parent is None
    assert shadow.context.trace_id != request.context.trace_id
    assert [link.context.span_id for link in shadow.links] == [request.context.span_id]
    assert query.parent.span_id == shadow.context.span_id
    assert spans(telling)["control"].parent.span_id == request.context.span_id
    assert shadow.attributes["progflags.shadow"] is True
    assert shadow.attributes["user_agent.synthetic.type"] == "test"
    assert marks == ["1"]


def test_a_coroutine_candidate_has_one_too(shadowed, telling):
    tracer = telling.tracers.get_tracer("shop")

    async def candidate(n):
        await asyncio.sleep(0)
        with tracer.start_as_current_span("query"):
            return n

    @pf.dark_launch("recs-v2", candidate=candidate, flags=shadowed)
    async def control(n):
        return n

    async def serve():
        with tracer.start_as_current_span("request"):
            await control(1)
        assert await control.dark_launch.adrain(60.0)

    with instrument(shadowed, tracer_provider=telling.tracers):
        asyncio.run(serve())

    assert control.dark_launch.stats().outcomes["match"] == 1, control.dark_launch.stats()
    assert spans(telling)["query"].parent.span_id == spans(telling)["shadow recs-v2"].context.span_id


def test_what_a_candidate_raises_is_not_in_its_span(shadowed, telling):
    """An exception's message may hold a card number; the span ends without it."""
    tracer = telling.tracers.get_tracer("shop")

    def candidate(n):
        raise ValueError("card 4111 1111 1111 1111")

    @pf.dark_launch("recs-v2", candidate=candidate, flags=shadowed, executor="inline")
    def control(n):
        return n

    with instrument(shadowed, tracer_provider=telling.tracers), tracer.start_as_current_span("request"):
        control(3)

    shadow = spans(telling)["shadow recs-v2"]
    assert not shadow.events
    assert "4111 1111" not in shadow.to_json()


def test_no_span_metric_or_log_holds_what_a_shadow_saw(shadowed, telling):
    """Forty secrets in arguments, results, keys and exceptions, differing on every call: none is exported."""
    secrets = [f"s3cr3t-{n:02}-{'x' * n}" for n in range(40)]
    tracer = telling.tracers.get_tracer("shop")

    def answer(n, secret, mark):
        if n % 4 == mark:
            raise ValueError(f"cannot use {secret}")
        return {"plain": secret * (mark + 1), "password": secret, secret: mark, "list": [secret] * mark}

    @pf.dark_launch(
        "recs-v2", candidate=lambda n, secret: answer(n, secret, 1), flags=shadowed, executor="inline", key=lambda n, secret: secret
    )
    def control(n, secret):
        return answer(n, secret, 3)

    providers = {"tracer_provider": telling.tracers, "meter_provider": telling.meters, "logger_provider": telling.loggers}
    with instrument(shadowed, **providers), tracer.start_as_current_span("request", record_exception=False):
        for n, secret in enumerate(secrets):
            with contextlib.suppress(ValueError):
                control(n, secret)
        metrics = telling.reader.get_metrics_data().to_json()

    exported = [span.to_json() for span in telling.spans.get_finished_spans()]
    logs = [f"{one.log_record.body} {one.log_record.attributes}" for one in telling.logs.get_finished_logs()]
    everything = metrics + "".join(exported) + "".join(logs)

    assert control.dark_launch.stats().outcomes["mismatch"] == 20
    assert len(exported) >= 41
    assert [secret for secret in secrets if secret in everything] == []


def test_unsampled_and_untraced_requests_have_no_shadow_spans(shadowed, telling):
    """A shadow is sampled only if its request was; without a trace there is nothing to link to."""

    @pf.dark_launch("recs-v2", candidate=lambda n: n, flags=shadowed, executor="inline")
    def control(n):
        return n

    off = TracerProvider(sampler=ALWAYS_OFF)
    with instrument(shadowed, tracer_provider=telling.tracers):
        control(1)
        with off.get_tracer("shop").start_as_current_span("request"):
            control(1)

    assert spans(telling) == {}


def test_a_real_dark_launch_is_counted(shadowed, telling):
    """Outcomes and durations of actual comparisons, as the dark launch's own stats have them."""

    @pf.dark_launch("recs-v2", candidate=lambda n: n if n % 4 else -1, flags=shadowed, executor="inline")
    def control(n):
        return n

    with instrument(shadowed, meter_provider=telling.meters):
        for n in range(1, 101):
            control(n)
        points = telling.points("progflags.shadow.comparisons")

    told = {dict(attributes)["progflags.shadow.outcome"]: count for attributes, count in points.items()}
    assert told == {name: count for name, count in control.dark_launch.stats().outcomes.items() if count}
    assert told["mismatch"] == 25
