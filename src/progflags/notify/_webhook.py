"""A webhook: every message as a CloudEvent, signed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from progflags._printed import json_text
from progflags.notify._channel import Channel
from progflags.notify._message import Message
from progflags.notify._post import must_be_url, post_bytes
from progflags.rollout import signature

__all__ = ["Webhook", "cloud_event"]


@dataclass(frozen=True, kw_only=True)
class Webhook(Channel):
    """
    A URL that is sent each message by POST as a CloudEvent 1.0 in its structured JSON form; `data` is the message.

    With a `secret` the header `X-Progflags-Signature` is `t=<seconds>,v1=<hex>`, an HMAC-SHA256 over `<seconds>.<body>`. Any 2xx is a
    receipt. One that is sent again has the `id` it had. `source` says who speaks, where several applications do.

        hook = pf.notify.Webhook(url="https://hooks.example.com/flags", secret=SECRET, source="shop")
        flags = pf.connect("flags.toml", notify=[hook])
    """

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    source: str = "progflags"

    def __post_init__(self) -> None:
        must_be_url(self.url, "the address of a webhook")
        Channel.__post_init__(self)

    @property
    def where(self) -> str:
        return self.url

    def send(self, message: Message) -> None:
        body = json_text(cloud_event(message, self.source)).encode()
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        if self.secret:
            headers["X-Progflags-Signature"] = signature(self.secret, body, int(time.time()))
        post_bytes(self.url, body, headers, self.timeout)


def cloud_event(message: Message, source: str) -> dict[str, Any]:
    """The message in its envelope. `subject` is left out of what is about every flag, for it may not be empty."""
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": source,
        "type": f"progflags.{message.kind}",
        **({"subject": message.flag} if message.flag else {}),
        "time": message.when,
        "datacontenttype": "application/json",
        "data": message.to_dict(),
    }
