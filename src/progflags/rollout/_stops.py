"""Stops: why nothing may be promoted whatever the evidence, and who wanted it so."""

from __future__ import annotations

from progflags._clock import Clock
from progflags.flags import EVERYTHING, Client, Live
from progflags.rollout.run import Shadows
from progflags.rollout.state import Record

__all__ = ["Stops", "said_by"]


class Stops:
    """Everything is stopped, or one flag is, or its shadow is not safe yet."""

    def __init__(self, client: Client, shadows: Shadows, clock: Clock) -> None:
        self._client = client
        self._shadows = shadows
        self._clock = clock

    def closed(self, record: Record) -> str:
        """Why this rollout may not climb; empty where none of these keeps it."""
        panic, killed = self.panic(), said_by(self._client.live(record.flag))
        if panic or killed:
            return f"panic by {panic}" if panic else f"killed by {killed}"
        return self._switched_off(record.flag) or self._shadows.closed(record)

    def _switched_off(self, flag: str) -> str:
        """Everybody gets `safe`, so there is nothing to judge."""
        definitions = self._client.definitions
        model = None if definitions is None else definitions.flags.get(flag)
        on = model is None or model.active(self._clock.now())
        return "" if on else "switched off in its file: it climbs again when `enabled` is true there"

    def panic(self) -> str:
        """Who wants all flags to answer `safe`, and why: somebody, or this process by itself."""
        return said_by(self._client.live(EVERYTHING)) or ("this process alone: PROGFLAGS_PANIC" if self._client.panicking else "")


def said_by(live: Live) -> str:
    """Who killed it, and why; empty where nobody did."""
    return "" if live.killed is None else f"{live.killed.by or 'somebody'}: {live.killed.reason or 'no reason given'}"
