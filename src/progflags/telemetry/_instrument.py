"""`instrument`: a client's signals, told to OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.trace import Span, get_current_span, get_tracer_provider

from progflags._trouble import say, swallow
from progflags.context import Scope, on_begin
from progflags.darklaunch import around_shadows
from progflags.flags import Client
from progflags.telemetry._events import Events
from progflags.telemetry._metrics import Metrics
from progflags.telemetry._names import SPAN_FLAG
from progflags.telemetry._outbox import Outbox
from progflags.telemetry._shadows import ShadowSpans

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Instrumentation", "instrument", "pre_instrument"]

_ON: Final = frozenset({"1", "true", "on", "yes"})


def instrument(
    flags: Client,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    logger_provider: Any = None,
    events: str = "off",
) -> Instrumentation:
    """
    Tell OpenTelemetry what `flags` does: metrics, span attributes, shadow spans, log events. Once per client.

    A provider not given is the global one, also one that is set later; without an SDK everything is a no-op. `events` says
    which evaluations become `feature_flag.evaluation` log events: "off", "changes", "sampled" or "all". Nothing that an
    exporter does reaches a request. The returned handle's `close()` ends it, within about a second.

        handle = instrument(flags, meter_provider=provider, events="changes")
        flags.is_enabled("new-search", "user-42")       # counted in progflags.flag.evaluations
        handle.close()

    Raises:
        ValueError: `events` is none of these words.
    """
    return Instrumentation(flags, meter_provider, tracer_provider, logger_provider, events)


def pre_instrument() -> None:
    """
    For `opentelemetry-instrument`, which calls it once its providers are set and before any instrumentation runs.

    With `PROGFLAGS_OTEL_SPANS=1` in the environment, server spans credit the arms their request met (see ServerSpans), with
    no line of code; otherwise nothing happens. `pf.default()` is the client, whenever it is set.

        # PROGFLAGS_OTEL_SPANS=1 opentelemetry-instrument uvicorn shop:app
        pf.set_default(pf.connect("flags.toml"))        # in shop.py; there is nothing else to write
    """
    if os.environ.get("PROGFLAGS_OTEL_SPANS", "").lower() not in _ON:
        return
    add = getattr(get_tracer_provider(), "add_span_processor", None)
    if add is None:
        say("telemetry", "PROGFLAGS_OTEL_SPANS is set, but the tracer provider takes no span processors: is an SDK configured?")
        return
    from progflags.telemetry._span_processor import ServerSpans

    add(ServerSpans())


class Instrumentation:
    """
    The handle `instrument` returns.

        handle = instrument(flags, events="changes")
        handle.flush(timeout=1.0)                   # what waits has been handed to the exporter
        handle.close()
    """

    def __init__(
        self, flags: Client, meter_provider: MeterProvider | None, tracer_provider: TracerProvider | None, logger_provider: Any, events: str
    ) -> None:
        self._undo: list[Callable[[], None]] = []
        try:
            self._outbox = Outbox(logger_provider)
            self._undo.append(self._outbox.close)
            flags.supervised.append(self._outbox.health)
            self._undo.append(lambda: flags.supervised.remove(self._outbox.health))
            self._undo.append(Events(flags, self._outbox, events).close)
            self._undo.append(Metrics(flags, meter_provider).close)
            self._undo.append(on_begin(_begun))
            self._undo.append(around_shadows(ShadowSpans(flags, tracer_provider)))
        except BaseException:  # a word that is none, a provider that raises: half an instrumentation has no handle to end it by
            self.close()
            raise

    def flush(self, timeout: float = 1.0) -> bool:
        """Wait until the events told so far have been emitted, for at most `timeout` seconds; whether they have."""
        return self._outbox.flush(timeout)

    def close(self) -> None:
        """Tell nothing from now on; emit what waits, for at most a second. Idempotent."""
        undo, self._undo = self._undo, []
        for end in reversed(undo):
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _begun(here: Scope) -> None:
    """A request began: before its answer is complete, say on its span which variants it met, once per flag."""
    try:
        span = get_current_span()
        if span.is_recording():
            here.on_closing(lambda: _mark(span, here))
    except Exception as error:
        swallow("telemetry", error)


def _mark(span: Span, here: Scope) -> None:
    try:
        for exposure in tuple(here.exposures.values()):
            span.set_attribute(f"{SPAN_FLAG}{exposure.flag}", exposure.variant)
    except Exception as error:
        swallow("telemetry", error)
