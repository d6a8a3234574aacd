"""What comes over the wire, and what it is checked by. Imported with the first alert: pydantic takes 60 ms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["DatadogEvent", "Fired", "Group", "Ours", "PagerDutyEvent"]

Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Text = Annotated[str, StringConstraints(max_length=8_192)]
Words = Annotated[dict[str, Text], Field(max_length=256)]


class _Wire(BaseModel):
    """Others say more than we need, and add to it: the rest is left alone."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Ours(BaseModel):
    """
    What a program of one's own sends: which flags (one of `flag`, `tag`, `owner`, or the last two together), and what to do. `id`:
    the same for the same reason to do it, however often it is sent.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    id: Word
    action: Literal["rollback", "pause"] = "rollback"
    flag: Word | None = None
    tag: Word | None = None
    owner: Word | None = None
    reason: Text = ""


class Fired(_Wire):
    """One alert of Alertmanager's or Grafana's."""

    status: Text
    labels: Words = {}
    annotations: Words = {}
    startsAt: Text = ""  # noqa: N815 - theirs
    fingerprint: Text = ""


class Group(_Wire):
    """What both send: alerts that were grouped."""

    alerts: Annotated[list[Fired], Field(max_length=100)]


class DatadogEvent(_Wire):
    """A payload that was written for us, with the variables of Datadog's webhooks."""

    id: Word | int
    alert_transition: Text
    alert_cycle_key: Text = ""
    title: Text = ""
    tags: Text | Annotated[list[Text], Field(max_length=256)] = ""


class _Service(_Wire):
    id: Text = ""
    summary: Text = ""


class _Incident(_Wire):
    id: Word
    title: Text = ""
    service: _Service = _Service()


class _Event(_Wire):
    id: Word
    event_type: Text
    occurred_at: Text
    data: _Incident


class PagerDutyEvent(_Wire):
    """A webhook of version 3."""

    event: _Event
