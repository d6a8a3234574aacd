"""Server spans as a source: for programs whose instrumentation nobody hands a MeterProvider (needs the SDK)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from progflags._trouble import swallow
from progflags.flags import Client, given
from progflags.telemetry._requests import REQUESTS
from progflags.telemetry._tee import HTTP_DURATION

__all__ = ["RecordServerSpans", "ServerSpans"]


class ServerSpans(SpanProcessor):
    """
    Credits each server span's duration to the arms its request met, as `http.server.request.duration`.

    Sees what the tracer records: with a sampler that drops spans, wrap it in RecordServerSpans, or the verdict is built on
    the sampled requests alone. Use this or the tee, not both: each request would count twice.

        from opentelemetry.sdk.trace import TracerProvider

        provider = TracerProvider()
        provider.add_span_processor(ServerSpans(flags))
    """

    def __init__(self, flags: Client | None = None) -> None:
        self._flags = flags
        self._open = True
        REQUESTS.watch()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        try:
            identity = span.get_span_context()
            if span.kind is not SpanKind.SERVER or identity is None or span.end_time is None or span.start_time is None:
                return
            client = given(self._flags)
            here = REQUESTS.of_span(identity.span_id)
            if client is None or here is None:
                return
            seconds = (span.end_time - span.start_time) / 1e9
            for exposure in tuple(here.exposures.values()):
                client.metrics.observe(  # type: ignore[attr-defined] # a connected client has it
                    exposure.flag, HTTP_DURATION, seconds, arm=exposure.arm, revision=exposure.revision, measured_in="s"
                )
        except Exception as error:
            swallow("telemetry span processor", error)

    def shutdown(self) -> None:
        # A provider shuts down when it is told to, and once more when the process ends.
        if self._open:
            self._open = False
            REQUESTS.unwatch()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - nothing is ever held back
        return True


class RecordServerSpans(Sampler):
    """
    The sampler given, except that a server span it drops is still recorded in the process.

    Processors see every request then; exporters send only what the inner sampler sampled, as before. About 12 µs a span.

        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        provider = TracerProvider(sampler=RecordServerSpans(ParentBased(TraceIdRatioBased(0.01))))
        provider.add_span_processor(ServerSpans(flags))
    """

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not Decision.DROP or kind is not SpanKind.SERVER:
            return result
        kept: Any = result.attributes
        return SamplingResult(Decision.RECORD_ONLY, kept, result.trace_state)

    def get_description(self) -> str:
        return f"RecordServerSpans({self._inner.get_description()})"
