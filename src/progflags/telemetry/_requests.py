"""
Whose request a measurement belongs to.

Instrumentations measure a request from outside: they record its duration after the application has returned. The ambient
Scope is still there then, because the middleware never takes it back, unless something in between ran the application in
a task of its own (Starlette's `BaseHTTPMiddleware` does). But the measurement carries its span, and so a request is also
remembered by the span it began in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import INVALID_SPAN_ID, get_current_span

from progflags._process import Lock
from progflags._trouble import swallow
from progflags.context import Scope, latest, on_begin

if TYPE_CHECKING:
    from opentelemetry.context import Context

__all__ = ["REQUESTS", "Requests"]

_KEPT: Final = 8192  # requests remembered by span: several seconds of traffic at what one process can serve
_CLAIMED: Final = "progflags.telemetry"


def _nothing() -> None:
    return


class Requests:
    """The requests of this process, by span. Remembers only while somebody watches."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        # Not cachetools': one of those wants a lock, and took 1.5 µs for each request where this takes 0.3.
        self._by_span: OrderedDict[int, Scope] = OrderedDict()
        self._watchers = 0
        self._lock = Lock()
        self._unhear: Callable[[], None] = _nothing

    def watch(self) -> None:
        """Begin to remember; each watcher calls `unwatch` once."""
        with self._lock:
            self._watchers += 1
            if self._watchers == 1:
                self._unhear = on_begin(self._begun)

    def unwatch(self) -> None:
        with self._lock:
            self._watchers -= 1
            if self._watchers == 0:
                self._unhear()
                self._by_span.clear()

    def _begun(self, here: Scope) -> None:
        try:
            number = get_current_span().get_span_context().span_id
            if number != INVALID_SPAN_ID:
                self._by_span[number] = here
                while len(self._by_span) > self._kept:
                    self._by_span.popitem(last=False)
        except Exception as error:
            swallow("telemetry", error)

    def of_span(self, number: int) -> Scope | None:
        """The request that began inside the span of that id."""
        return self._by_span.get(number)

    def of(self, context: Context | None, what: str) -> Scope | None:
        """
        The request a measurement of the instrument `what` belongs to; None when it belongs to none, or to a shadow.

        A request that is over is found by its span. Without tracing there is none; then the last request of this thread or
        task is meant, once per instrument: a second measurement is of a request that never reached the middleware.
        """
        here = latest()
        claimed = None if here is None else here.extras.setdefault(_CLAIMED, set())
        if here is not None and claimed is not None and not here.over:
            claimed.add(what)
            return None if here.silent else here
        number = get_current_span(context).get_span_context().span_id
        if number != INVALID_SPAN_ID:
            return self._by_span.get(number)
        if claimed is None or what in claimed:
            return None
        claimed.add(what)
        return here


def unit_of(here: Scope) -> bytes | None:
    """The unit a request is served to, in the recorder's spelling."""
    return here.unit


REQUESTS: Final = Requests()
