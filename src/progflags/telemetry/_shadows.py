"""A shadow's span: a root of its own, linked to the request it shadows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import Link, SpanContext, TracerProvider, get_tracer

from progflags import __version__
from progflags._trouble import swallow
from progflags.flags import Client
from progflags.telemetry import _names as names

if TYPE_CHECKING:
    from progflags.darklaunch.shadow import Shadow

__all__ = ["ShadowSpans"]


class ShadowSpans:
    """
    What a candidate runs inside: one new root span per shadow of this client's flags, if its request is sampled.

    Not a child: the request's span has ended or will, and service graphs would count the shadow as traffic. The link leads
    from one to the other; `user_agent.synthetic.type` is what dashboards already leave out. What a candidate raises is not
    recorded: the message may hold anything, and the comparison has it, redacted.
    """

    def __init__(self, client: Client, provider: TracerProvider | None) -> None:
        self._client = client
        self._tracer = get_tracer(names.SCOPE, __version__, provider, names.SCHEMA_URL)

    def __call__(self, shadow: Shadow, live: SpanContext) -> AbstractContextManager[None]:
        return self._span(shadow.flag, live)

    @contextmanager
    def _span(self, flag: str, live: SpanContext) -> Iterator[None]:
        snapshot = self._client.definitions
        if not (live.is_valid and live.trace_flags.sampled) or snapshot is None or flag not in snapshot.flags:
            yield
            return
        try:
            span = self._tracer.start_as_current_span(
                f"shadow {flag}",
                links=[Link(live)],
                attributes={names.SHADOW: True, names.KEY: flag, names.SYNTHETIC: "test"},
                record_exception=False,
                set_status_on_exception=False,
            )
            span.__enter__()
        except Exception as error:
            swallow("telemetry shadow span", error)
            yield
            return
        try:
            yield
        finally:
            try:
                span.__exit__(None, None, None)
            except Exception as error:
                swallow("telemetry shadow span", error)
