"""Log events on their way to OpenTelemetry: a bounded queue and one daemon thread, so that no exporter is ever waited for."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Final

from opentelemetry.context import get_current, get_value

from progflags import __version__
from progflags._beside import LIMIT, RUNNING
from progflags._process import Thread, here, in_child, look
from progflags._trouble import say, swallow
from progflags.telemetry import _names as names

__all__ = ["Outbox"]

_WAIT: Final = 1.0  # seconds for what is on its way to an exporter
_ROOM: Final = 4096  # events waiting; beyond it new ones are dropped and counted
_STOP: Final = object()
#: What OpenTelemetry's exporters set in the context they export in.
_SUPPRESSED: Final = "suppress_instrumentation"


class Outbox:
    """
    Takes events from any thread in about a microsecond and emits them from its own.

    A processor that raises is counted, one that hangs stops events and nothing else. What is emitted while an exporter is
    at work is dropped, or an exporter that uses a flag would feed itself.
    """

    def __init__(self, provider: Any) -> None:
        self._emit = _emitter(provider)
        self.dropped = 0
        self._closed = False
        self.after_fork()
        in_child(self)
        join = getattr(provider, "add_log_record_processor", None)
        if join is not None:
            join(_Flushing(self, provider))

    def after_fork(self) -> None:
        """A child has no thread, and what waited is the parent's to send."""
        self._queue: queue.Queue[Any] = queue.Queue(_ROOM)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._since = 0.0

    def put(self, name: str, attributes: dict[str, Any], *, severity: int = 9) -> None:
        """Have an event emitted, in the trace it happened in. `severity` is OpenTelemetry's number: 9 INFO, 13 WARN."""
        if self._emit is None or self._closed:
            return
        look()
        around = get_current()
        if get_value(_SUPPRESSED, around) or threading.current_thread() is self._thread:
            return
        try:
            self._queue.put_nowait((name, attributes, severity, time.time_ns(), around))
        except queue.Full:
            self.dropped += 1
            say("telemetry events", f"more than {_ROOM} are waiting; new ones are dropped", cause="full")
            return
        if not here(self._thread):
            self._start()

    def flush(self, timeout: float = _WAIT) -> bool:
        """Wait until everything put up to now has been emitted, for at most `timeout` seconds; whether it has."""
        look()
        thread = self._thread
        if thread is threading.current_thread() or not here(thread):  # the last: closed, nothing waits
            return True
        reached = threading.Event()
        try:
            self._queue.put(reached, timeout=timeout)
        except queue.Full:
            return False
        return reached.wait(timeout)

    def close(self, timeout: float = _WAIT) -> None:
        """Emit what waits, for at most `timeout` seconds, and stop. Idempotent."""
        if self._closed:
            return
        self._closed = True
        look()
        thread = self._thread
        if thread is not None and here(thread) and thread is not threading.current_thread():
            try:
                self._queue.put(_STOP, timeout=timeout)
            except queue.Full:
                return
            thread.join(timeout)

    def _start(self) -> None:
        with self._starting:
            if here(self._thread):
                return
            thread = Thread(self._run, name="progflags-telemetry")
            self._thread = thread  # before it begins: an exporter's own evaluations are known by the thread they come from
            try:
                thread.start()
            except RuntimeError as error:
                self._thread = None
                say("telemetry events", f"no thread can be started here ({error}): events wait, and are dropped when there are too many")

    def _run(self) -> None:
        waiting = self._queue
        while (item := waiting.get()) is not _STOP:
            self._since = time.monotonic()
            try:
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    self._emit(*item)
            except BaseException as error:  # a processor that exits ends its own event
                swallow("telemetry events", error)
            self._since = 0.0

    def health(self) -> dict[str, str]:
        """How the thread is; nothing before the first event."""
        if self._thread is None or self._closed:
            return {}
        since = self._since
        late = since and time.monotonic() - since > LIMIT
        return {"telemetry": f"an exporter has not come back for {time.monotonic() - since:.0f} s" if late else RUNNING}


class _Flushing:
    """
    Joins an SDK's provider, so that its `force_flush` means what has been put here too.

    Does nothing with a record. It comes after the provider's own processors, so it has them flush once more.
    """

    def __init__(self, outbox: Outbox, provider: Any) -> None:
        self._outbox = outbox
        self._provider = provider
        self._again = threading.local()

    def on_emit(self, _: object) -> None:
        return

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        if getattr(self._again, "now", False):
            return True
        self._again.now = True
        try:
            return self._outbox.flush(min(timeout_millis / 1000, _WAIT)) and self._provider.force_flush(timeout_millis) is not False
        finally:
            self._again.now = False

    def shutdown(self) -> None:
        return


def _emitter(provider: Any) -> Any:
    """How this version of the API takes an event; None where it can't: its logs are still `_logs`, and have moved before."""
    try:
        from opentelemetry._logs import SeverityNumber, get_logger

        logger = get_logger(names.SCOPE, __version__, provider, names.SCHEMA_URL)
    except Exception as error:
        swallow("telemetry events", error)
        return None

    def emit(name: str, attributes: dict[str, Any], severity: int, at: int, context: Any) -> None:
        logger.emit(
            event_name=name, attributes=attributes, severity_number=SeverityNumber(severity), timestamp=at, context=context, body=None
        )

    return emit
