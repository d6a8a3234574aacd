"""A channel that keeps what it is sent."""

from __future__ import annotations

from progflags.notify import Channel


class Kept(Channel):
    def __init__(self, **options):
        super().__init__(**{"name": "kept", **options})
        object.__setattr__(self, "messages", [])

    def send(self, message):
        self.messages.append(message)
