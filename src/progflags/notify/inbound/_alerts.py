"""
Alerts: what Alertmanager, Grafana, Datadog, PagerDuty and programs of one's own say, in our words. Told apart by their shape.

Only what begins is an alert: that something is resolved, acknowledged or merely a warning leaves everything as it is. Which flags an
alert is about, it says by labels (`progflags_flag`, `progflags_tag`, `progflags_owner`; `progflags_action` is `rollback` or `pause`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from progflags._json import digest
from progflags._printed import printable
from progflags.errors import ProgflagsError
from progflags.notify.inbound._wire import DatadogEvent, Fired, Group, Ours, PagerDutyEvent
from progflags.rollout import Act, Which

__all__ = ["Alert", "Unmeant", "alerts"]

_ACTS: Final = {"rollback": Act.ROLLBACK, "pause": Act.PAUSE}
_FIRING: Final = "firing"
_TRIGGERED: Final = frozenset({"triggered", "re-triggered"})
_INCIDENT: Final = "incident.triggered"
_HOW: Final = "label it with progflags_flag, progflags_tag or progflags_owner"

Services = Mapping[str, Mapping[str, str]]


class Unmeant(Exception):  # noqa: N818 - an answer on its way out
    """An alert that says nothing of flags, or nothing that can be done."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One reason to do something: `id` is the same however often it is sent; `at` when it was, by itself, None where it does not say."""

    id: str
    which: Which
    act: Act
    reason: str
    by: str
    at: float | None = None


def alerts(document: Mapping[str, Any], services: Services) -> Iterator[Alert | Unmeant]:
    """
    What in `document` has begun. `services`: what PagerDuty's services, by name or id, are about.

    Raises:
        pydantic.ValidationError: it has one of the shapes, and not what belongs into it.
    """
    if isinstance(document.get("event"), Mapping):
        return _pagerduty(document, services)
    if "alerts" in document:
        return _grouped(document, "grafana" if "orgId" in document else "alertmanager")
    return (_datadog if "alert_transition" in document else _ours)(document)


def _ours(document: Mapping[str, Any]) -> Iterator[Alert | Unmeant]:
    said = Ours.model_validate(document)
    words = {f"progflags_{name}": value for name in ("flag", "tag", "owner", "action") if (value := getattr(said, name)) is not None}
    yield _alert(said.id, words, said.reason, "alert")


def _grouped(document: Mapping[str, Any], by: str) -> Iterator[Alert | Unmeant]:
    for fired in Group.model_validate(document).alerts:
        if fired.status.lower() == _FIRING:
            words, name = {**fired.annotations, **fired.labels}, fired.labels.get("alertname", "")
            summary = fired.annotations.get("summary") or fired.annotations.get("description", "")
            yield _alert(f"{by}/{_print(fired)}/{fired.startsAt}", words, f"{name}: {summary}".strip(": "), f"{by} {name}".strip())


def _print(fired: Fired) -> str:
    """An Alertmanager before 0.19 sends no fingerprint."""
    return fired.fingerprint or digest(dict(fired.labels))[:32]


def _datadog(document: Mapping[str, Any]) -> Iterator[Alert | Unmeant]:
    event = DatadogEvent.model_validate(document)
    if event.alert_transition.lower() in _TRIGGERED:
        tags = event.tags.split(",") if isinstance(event.tags, str) else event.tags
        words = dict(tag.strip().split(":", 1) for tag in tags if ":" in tag)
        yield _alert(f"datadog/{event.alert_cycle_key or event.id}", words, event.title, "datadog")


def _pagerduty(document: Mapping[str, Any], services: Services) -> Iterator[Alert | Unmeant]:
    event = PagerDutyEvent.model_validate(document).event
    if event.event_type == _INCIDENT:
        service = event.data.service
        words = services.get(service.summary) or services.get(service.id)
        if words is None:
            yield Unmeant(f"the service {printable(service.summary or service.id, 120)!r} is none of the hook's `services`")
        else:
            named = {f"progflags_{name}": value for name, value in words.items()}
            yield _alert(
                f"pagerduty/{event.data.id}", named, event.data.title, f"pagerduty {service.summary}".strip(), _moment(event.occurred_at)
            )


def _moment(text: str) -> float:
    """Not a number where it is no time: no window is wide enough for that."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _alert(id_: str, words: Mapping[str, str], reason: str, by: str, at: float | None = None) -> Alert | Unmeant:
    act = _ACTS.get(words.get("progflags_action", "rollback"))
    if act is None:
        return Unmeant(f"progflags_action is one of {', '.join(_ACTS)}")
    try:
        which = Which(words.get("progflags_flag"), words.get("progflags_tag"), words.get("progflags_owner"))
    except ProgflagsError:
        return Unmeant(f"it says nothing of flags: {_HOW}")
    return Alert(id_, which, act, printable(reason, 400), printable(by, 120), at)
