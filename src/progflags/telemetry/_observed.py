"""
Observable instruments: made once per provider, read for every client on it.

An SDK answers the second `create_observable_…` of a name with the first instrument, and never calls the second's callback
(opentelemetry-sdk 1.45: `Meter._register_instrument`). So the callbacks belong to the provider, and the clients that are
instrumented on it, two in one process or one that is instrumented anew, come and go behind them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.metrics import Meter, MeterProvider, Observation, get_meter_provider

from progflags._process import in_child
from progflags._trouble import swallow
from progflags.telemetry._names import Metric

__all__ = ["Observed", "observed"]

Read = Callable[[], Iterable[Observation]]


class Observed:
    """One provider's observable instruments, and who is asked for their observations."""

    def __init__(self) -> None:
        self._readers: dict[str, tuple[Read, ...]] = {}
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def add(self, meter: Meter, metric: Metric, read: Read) -> Callable[[], None]:
        """Ask `read`, too, whenever `metric` is collected; the returned function ends that."""
        with self._lock:
            if metric.name not in self._readers:
                create = getattr(meter, f"create_{metric.kind}")
                create(metric.name, callbacks=[lambda _: self._collect(metric)], unit=metric.unit, description=metric.description)
            self._readers[metric.name] = (*self._readers.get(metric.name, ()), read)

        def remove() -> None:
            with self._lock:
                self._readers[metric.name] = tuple(other for other in self._readers[metric.name] if other is not read)

        return remove

    def _collect(self, metric: Metric) -> list[Observation]:
        found: dict[frozenset[tuple[str, Any]], Observation] = {}
        for read in self._readers.get(metric.name, ()):
            try:
                for observation in read():
                    _merge(found, observation, sums=metric.kind == "observable_counter")
            except Exception as error:
                swallow(f"telemetry {metric.name}", error)
        return list(found.values())


def _merge(found: dict[frozenset[tuple[str, Any]], Observation], one: Observation, *, sums: bool) -> None:
    """Two clients may have a flag of the same name: what they counted adds up, what is so is so once."""
    attributes: Mapping[str, Any] = one.attributes or {}
    series = frozenset(attributes.items())
    before = found.get(series)
    found[series] = one if before is None or not sums else Observation(before.value + one.value, attributes)


class _Providers:
    """The providers that have our instruments. Held weakly: one that was thrown away takes them along."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[MeterProvider, Observed] = WeakKeyDictionary()
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def of(self, provider: MeterProvider | None) -> Observed:
        present = get_meter_provider()
        wanted = present if provider is None else provider
        with self._lock:
            if wanted not in self._known:
                before = next(filter(_stands_in, self._known), None) if wanted is present else None
                self._known[wanted] = Observed() if before is None else self._known[before]
            return self._known[wanted]


def _stands_in(provider: MeterProvider) -> bool:
    """The API's own provider: what was made on it moves to the global one as soon as there is one."""
    return type(provider).__module__.startswith("opentelemetry.metrics")


_providers = _Providers()


def observed(provider: MeterProvider | None) -> Observed:
    """The observable instruments on `provider`; on the global one for None, whether that is set yet or not."""
    return _providers.of(provider)
