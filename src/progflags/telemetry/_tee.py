"""A MeterProvider that lets progflags hear what the application's own instruments measure."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider

from progflags._trouble import say, swallow
from progflags.context import on_begin
from progflags.events import Tracked
from progflags.flags import Client, given
from progflags.telemetry._requests import REQUESTS, unit_of

__all__ = ["HTTP_DURATION", "OLD_HTTP_DURATION", "Ear", "tee"]

HTTP_DURATION: Final = "http.server.request.duration"
#: The same under the conventions before 1.21, in milliseconds; Python's instrumentations still default to it.
OLD_HTTP_DURATION: Final = "http.server.duration"
_PATIENCE: Final = 200  # requests in which an instrument should have spoken


def tee(meter_provider: MeterProvider, flags: Client | None = None, instruments: Sequence[str] = ()) -> MeterProvider:
    """
    A MeterProvider that measures into `meter_provider` and lets the rollouts of `flags` hear it.

    Hand it to the instrumentation (`meter_provider=`) or to `set_meter_provider`, before instruments are created. Every raw
    value of `http.server.request.duration`, and of any other histogram or counter named in `instruments`, is credited to
    the arms the request met, under the instrument's own name: a histogram becomes a sample for gates with a `quantile` or
    `kind = "mean"`, a counter an event of the request's unit. Handlers don't change, and the values reach the inner
    provider as they were.

    The old `http.server.duration` is heard under its name in milliseconds, and as `http.server.request.duration` in seconds
    where that one does not speak itself. An instrument that stays silent is warned about.

        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
        from progflags.asgi import FlagsMiddleware

        teed = tee(provider, flags, instruments=("checkout.items",))
        app = OpenTelemetryMiddleware(FlagsMiddleware(app, flags=flags), meter_provider=teed)
    """
    return _TeeMeterProvider(meter_provider, Ear(flags, instruments))


class Ear:
    """Hears measurements, and credits them to the arms their request met."""

    def __init__(self, flags: Client | None, instruments: Sequence[str]) -> None:
        self._flags = flags
        self._wanted = {name.lower(): name for name in (*instruments, HTTP_DURATION, OLD_HTTP_DURATION)}
        self._silent = {_awaited(self._wanted[name.lower()]) for name in instruments or (HTTP_DURATION,)}
        self._created: set[str] = set()
        self._requests = 0
        # Held weakly: a provider that was thrown away with its instruments hears no more requests.
        waited = weakref.WeakMethod(self._waited)
        self._stop_waiting: Callable[[], None] = on_begin(lambda _: alive() if (alive := waited()) else None)
        REQUESTS.watch()
        weakref.finalize(self, _end, self._stop_waiting)

    def wants(self, name: str) -> str | None:
        """The metric's name if an instrument of that name is to be heard, else None; asked when it is created."""
        wanted = self._wanted.get(name.lower())  # OpenTelemetry's names don't care for case
        if wanted is not None:
            self._created.add(wanted)
        return wanted

    def sample(self, name: str, unit: str, value: float, context: Any) -> None:
        """A histogram spoke."""
        try:
            self._spoke(name)
            client = given(self._flags)
            here = REQUESTS.of(context, name)
            if client is None or here is None or not here.exposures:
                return
            observe = client.metrics.observe  # type: ignore[attr-defined] # a connected client has it
            for exposure in tuple(here.exposures.values()):
                observe(exposure.flag, name, value, arm=exposure.arm, revision=exposure.revision, measured_in=unit)
                if name == OLD_HTTP_DURATION and HTTP_DURATION not in self._created:
                    observe(exposure.flag, HTTP_DURATION, value / 1000.0, arm=exposure.arm, revision=exposure.revision, measured_in="s")
        except Exception as error:
            swallow("telemetry tee", error)

    def count(self, name: str, value: float, context: Any) -> None:
        """A counter spoke: an event of the unit the request is served to."""
        try:
            self._spoke(name)
            client = given(self._flags)
            here = REQUESTS.of(context, name)
            unit = None if here is None else unit_of(here)
            if client is not None and unit is not None:
                client.bus.tell(Tracked(name, unit, float(value)))
        except Exception as error:
            swallow("telemetry tee", error)

    def _spoke(self, name: str) -> None:
        if self._silent:
            self._silent.discard(_awaited(name))
            if not self._silent:
                self._stop_waiting()

    def _waited(self) -> None:
        """A request began. After enough of them, what has not spoken yet is likely not wired at all."""
        self._requests += 1
        if self._requests >= _PATIENCE and self._silent:
            names = ", ".join(sorted(self._silent))
            self._silent.clear()
            self._stop_waiting()
            say("telemetry tee", f"{_PATIENCE} requests and not a word from {names}: pass the tee to the instrumentation before it starts")


def _end(stop_waiting: Callable[[], None]) -> None:
    stop_waiting()
    REQUESTS.unwatch()


def _awaited(name: str) -> str:
    # Whichever of the two the instrumentation speaks, requests are heard.
    return HTTP_DURATION if name == OLD_HTTP_DURATION else name


class _TeeMeterProvider(MeterProvider):
    def __init__(self, inner: MeterProvider, ear: Ear) -> None:
        self._inner = inner
        self._ear = ear

    def get_meter(self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None) -> Meter:
        return _TeeMeter(self._inner.get_meter(name, version, schema_url, attributes), self._ear)

    def __getattr__(self, name: str) -> Any:
        # An SDK's own verbs (force_flush, shutdown, add_metric_reader) are the inner provider's.
        return getattr(self._inner, name)


class _TeeMeter(Meter):
    """The inner meter, whose wanted histograms and counters are listened to; every other instrument is the inner one itself."""

    def __init__(self, inner: Meter, ear: Ear) -> None:
        super().__init__(inner.name, inner.version, inner.schema_url)
        self._inner = inner
        self._ear = ear

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        inner = self._inner.create_counter(name, unit, description)
        wanted = self._ear.wants(name)
        return inner if wanted is None else _TeeCounter(inner, partial(self._ear.count, wanted))

    def create_histogram(self, name: str, unit: str = "", description: str = "", **advice: Any) -> Histogram:
        inner = self._inner.create_histogram(name, unit, description, **advice)
        wanted = self._ear.wants(name)
        return inner if wanted is None else _TeeHistogram(inner, partial(self._ear.sample, wanted, unit))

    def create_up_down_counter(self, *args: Any, **options: Any) -> Any:
        return self._inner.create_up_down_counter(*args, **options)

    def create_gauge(self, *args: Any, **options: Any) -> Any:
        return self._inner.create_gauge(*args, **options)

    def create_observable_counter(self, *args: Any, **options: Any) -> Any:
        return self._inner.create_observable_counter(*args, **options)

    def create_observable_up_down_counter(self, *args: Any, **options: Any) -> Any:
        return self._inner.create_observable_up_down_counter(*args, **options)

    def create_observable_gauge(self, *args: Any, **options: Any) -> Any:
        return self._inner.create_observable_gauge(*args, **options)


class _Heard:
    """An instrument that is the inner one, and whose values are heard first: `hear(amount, context)`."""

    def __init__(self, inner: Any, hear: Callable[[float, Any], object]) -> None:
        self._inner = inner
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _TeeHistogram(_Heard, Histogram):
    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self._hear(amount, context)
        self._inner.record(amount, attributes, context)


class _TeeCounter(_Heard, Counter):
    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        self._hear(amount, context)
        self._inner.add(amount, attributes, context)
