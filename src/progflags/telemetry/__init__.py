"""
OpenTelemetry and logging: what flags and rollouts do, told outwards; what the application measures, heard inwards.

Only `opentelemetry-api` is needed. `ServerSpans`, `RecordServerSpans` and `ArmReader` need the SDK and load when named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from progflags.telemetry._instrument import Instrumentation, instrument, pre_instrument
from progflags.telemetry._logging import ChangeLog, VariantFilter, add_variants, log_changes
from progflags.telemetry._tee import tee

if TYPE_CHECKING:
    from progflags.telemetry._metric_reader import ArmReader
    from progflags.telemetry._span_processor import RecordServerSpans, ServerSpans

__all__ = [
    "ArmReader",
    "ChangeLog",
    "Instrumentation",
    "RecordServerSpans",
    "ServerSpans",
    "VariantFilter",
    "add_variants",
    "instrument",
    "log_changes",
    "pre_instrument",
    "tee",
]

_SDK = {"ArmReader": "_metric_reader", "RecordServerSpans": "_span_processor", "ServerSpans": "_span_processor"}


def __getattr__(name: str) -> object:
    if name not in _SDK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from progflags.errors import missing

    try:
        return getattr(import_module(f"{__name__}.{_SDK[name]}"), name)
    except ImportError as error:
        raise missing(error, "opentelemetry.sdk", "opentelemetry-sdk", "otel") from error
