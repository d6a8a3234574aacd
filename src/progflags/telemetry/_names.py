"""
Every name telemetry uses, once: attributes, metrics, events.

`feature_flag.*` and `error.type` are OpenTelemetry's own and follow its semantic conventions to the letter (a test compares
them with the `opentelemetry-semantic-conventions` package). What those have no word for is in our own namespace,
`progflags.*`, by their rules: dots between namespaces, snake_case words, durations in seconds, UCUM units, no `_total`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["METRICS", "Metric", "error_type", "reason"]

SCOPE: Final = "progflags"  # the instrumentation scope, and feature_flag.provider.name
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

# OpenTelemetry's
KEY: Final = "feature_flag.key"
VARIANT: Final = "feature_flag.result.variant"
REASON: Final = "feature_flag.result.reason"
PROVIDER: Final = "feature_flag.provider.name"
VERSION: Final = "feature_flag.version"
SET: Final = "feature_flag.set.id"
ERROR_TYPE: Final = "error.type"
SYNTHETIC: Final = "user_agent.synthetic.type"

# ours
ROLLOUT: Final = "progflags.rollout.name"
STATE: Final = "progflags.rollout.state"
SOURCE: Final = "progflags.transition.from"
TARGET: Final = "progflags.transition.to"
CAUSE: Final = "progflags.transition.reason"
GATE: Final = "progflags.gate.name"
VERDICT: Final = "progflags.gate.verdict"
OUTCOME: Final = "progflags.shadow.outcome"
SHED: Final = "progflags.shadow.shed.reason"
SIDE: Final = "progflags.shadow.side"
CANDIDATE: Final = "progflags.shadow.candidate"
SHADOW: Final = "progflags.shadow"
EXTENT: Final = "progflags.rollback.scope"
STORE: Final = "progflags.store.name"
#: One span attribute per flag the request met, `progflags.flag.<key>` = the variant: a span can meet several flags, and the
#: conventions have no attribute for that.
SPAN_FLAG: Final = "progflags.flag."

#: What the HTTP conventions advise for `http.server.request.duration`; shadows are compared on the same axis.
HTTP_BOUNDARIES: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
#: A rollback takes one tick (tenths of a second) when all is well, and minutes when the store is away.
ROLLBACK_BOUNDARIES: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: A judgement is arithmetic: fractions of a millisecond to tenths of a second.
SCORE_BOUNDARIES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
GATE_BOUNDARIES: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument: its name, the kind of instrument, its UCUM unit, what it tells, and advisory boundaries."""

    name: str
    kind: str
    unit: str
    description: str
    boundaries: tuple[float, ...] = ()


EVALUATIONS: Final = Metric(
    "progflags.flag.evaluations", "observable_counter", "{evaluation}", "Flag evaluations, by flag, variant and reason."
)
EXPOSURES: Final = Metric("progflags.flag.exposures", "observable_counter", "{exposure}", "Units that met an arm for the first time.")
STATUS: Final = Metric("progflags.rollout.status", "observable_up_down_counter", "1", "1 for the state a rollout is in, 0 for the others.")
EXPOSURE: Final = Metric("progflags.rollout.exposure", "observable_gauge", "1", "The share of traffic a candidate gets, 0 to 1.")
TRANSITIONS: Final = Metric("progflags.rollout.transitions", "counter", "{transition}", "Transitions committed by this process.")
ROLLBACK: Final = Metric(
    "progflags.rollback.duration", "histogram", "s", "From the first bad sign to nobody being served the candidate.", ROLLBACK_BOUNDARIES
)
GATES: Final = Metric("progflags.gate.evaluations", "counter", "{evaluation}", "Gates looked at, by what they said.")
GATE_DURATION: Final = Metric("progflags.gate.duration", "histogram", "s", "How long a rollout's judgement took.", GATE_BOUNDARIES)
SHADOWS: Final = Metric("progflags.shadow.comparisons", "observable_counter", "{comparison}", "Dark-launched calls, by outcome.")
SHADOW_DURATION: Final = Metric(
    "progflags.shadow.duration", "histogram", "s", "Duration of both sides of dark-launched calls, live and shadow.", HTTP_BOUNDARIES
)
SHADOW_SCORE: Final = Metric(
    "progflags.shadow.score", "histogram", "1", "How close the two answers of dark-launched calls are.", SCORE_BOUNDARIES
)
SNAPSHOT_AGE: Final = Metric(
    "progflags.store.snapshot.age", "observable_gauge", "s", "Seconds since flags and store were last read successfully."
)

METRICS: Final = (
    EVALUATIONS,
    EXPOSURES,
    STATUS,
    EXPOSURE,
    TRANSITIONS,
    ROLLBACK,
    GATES,
    GATE_DURATION,
    SHADOWS,
    SHADOW_DURATION,
    SHADOW_SCORE,
    SNAPSHOT_AGE,
)

EVALUATED: Final = "feature_flag.evaluation"
MOVED: Final = "progflags.rollout.transition"
JUDGED: Final = "progflags.gate.verdict"
MISMATCHED: Final = "progflags.shadow.mismatch"


def reason(word: str) -> str:
    """
    Our reason in OpenTelemetry's spelling: its well-known values are ours in lower case.

    `pinned` (an override, the brake) is the one it has no word for; the conventions allow a value of one's own then.
    """
    return str(word).lower()


def error_type(word: str) -> str:
    """Our error code in OpenTelemetry's spelling."""
    return str(word).lower()
