"""Telling: the notifier of one client, made when code or flag file first name a channel. A program that tells nobody never loads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from progflags._connect._definitions import Definitions
from progflags._connect._delivery import Delivery
from progflags.errors import Problem
from progflags.flags import Client

if TYPE_CHECKING:
    from progflags.flags import Snapshot
    from progflags.notify import Channel, CutOff, Notifier, Observed

__all__ = ["Telling"]


class Telling:
    """
    `channels` are those that code names; `away` says why the store can't be used, empty where it can; `on` whether this client tells
    anybody at all.
    """

    def __init__(
        self, client: Client, definitions: Definitions, delivery: Delivery, channels: Sequence[Channel], *, away: Callable[[], str]
    ) -> None:
        self._client = client
        self._definitions = definitions
        self._delivery = delivery
        self._channels = tuple(channels)
        self._away = away
        self._seen: Snapshot | None = None
        self._notifier: Notifier | None = None
        self._observed: Observed | None = None
        self._cut_off: CutOff | None = None
        self.on = False

    def begin(self) -> None:
        """From now on, what happens is told: from the very next step, even to a channel that is new."""
        self.on = True
        self.notice()
        self.look()

    def notice(self) -> None:
        """Whether there is anybody to tell by now. Asks no store, for kills in the file arrive where this is called."""
        snapshot = self._client.definitions
        if self.on and self._notifier is None and snapshot is not None and (self._channels or snapshot.notify):
            self._notifier = self._make()
            self.deliver()

    def look(self) -> None:
        """Serve the channels that the flag file names now, where they are others than before."""
        snapshot = self._client.definitions
        if self._notifier is None or snapshot is None or snapshot is self._seen:
            return
        new, self._seen = self._seen is None or self._seen.notify != snapshot.notify, snapshot
        if new:
            self._notifier.heed(snapshot.notify)
            self._delivery.rooms()[1].outbox.begin()

    def round(self) -> None:
        """Notice what nobody did and is worth telling, then tell what waits. Never raises."""
        self.look()
        self.observe()
        self._delivery.rooms()[1].deliver()

    def observe(self) -> None:
        """Notice what nobody did."""
        if self._cut_off is not None:
            self._cut_off.look()
        if self._observed is not None:
            self._observed.look(shadows=self._delivery.rooms()[1].outbox.serves)

    def deliver(self) -> None:
        """Have what waits delivered from now on, where there is anybody to tell."""
        if self._notifier is not None:
            self._delivery.rooms()[1].deliveries()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Channels of the file that can't be used in this process."""
        return () if self._notifier is None else self._notifier.problems

    def _make(self) -> Notifier:
        from progflags.notify import CutOff, Notifier, Observed

        rollouts, source = self._delivery.rooms()[1], self._definitions
        self._observed = Observed(
            rollouts.outbox.store,
            self._client.clock,
            source.loader.name,
            refused=lambda: source.refused,
            dark_launches=rollouts.dark_launches,
        )
        notifier = Notifier(self._client, rollouts.outbox, self._channels, status=rollouts.status)
        self._cut_off = CutOff(rollouts.outbox.store.url, self._client.clock, away=self._away, ours=lambda: notifier.ours)
        return notifier
