"""Delivery: the recorder and the rollouts of one client, made when first needed. A program that only evaluates never loads them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from progflags._connect._who import signature
from progflags._process import look
from progflags._trouble import say
from progflags.events import Moved
from progflags.flags import Client
from progflags.store import MemoryStore, Store

if TYPE_CHECKING:
    from progflags.canary import Recorder
    from progflags.rollout import Rollouts

__all__ = ["Delivery"]

_IDLE: Final = 1.0  # seconds between two steps while no rollout is under way: what is put up then, is so twice a minute


class Delivery:
    """
    Makes both, once. `refresh` reads the store anew; `notify` is called when somebody wants notifications of rollouts.

    `made`: both, or None while nobody needed them; then nothing is counted. `keep`: the folder in which rollbacks outlive the process.
    """

    def __init__(self, client: Client, store: Store, *, refresh: Callable[[], object], notify: Callable[[], object]) -> None:
        self._client = client
        self._store = store
        self._refresh = refresh
        self._notify = notify
        self.keep: str | Path | None = None
        self.made: tuple[Recorder, Rollouts] | None = None
        self.renew()

    def renew(self) -> None:
        """After a fork: a lock that nobody holds."""
        self._making = threading.RLock()

    def rooms(self) -> tuple[Recorder, Rollouts]:
        look()
        made = self.made
        if made is not None:  # without the lock: requests that record come through here
            return made
        with self._making:
            if self.made is None:
                self.made = self._make()
                if isinstance(self._store, MemoryStore):
                    self._unlisten = self._client.bus.listen(Moved, self._warn_of_memory, ours=True)
            return self.made

    def step(self, *, control: bool) -> None:
        """A step of the controller, or just our window."""
        if self.made is not None:
            rollouts = self.made[1]
            if control:
                rollouts.turn()
            else:
                rollouts.publish()

    @property
    def rest(self) -> float:
        """Seconds that may lie between two steps, unless the store moves."""
        return 0.0 if self.made is not None and self.made[1].busy else _IDLE

    def carry(self) -> None:
        """Store what was decided here and waits for it, if the store can be had."""
        if self.made is not None:
            self.made[1].carry()

    @property
    def pending(self) -> tuple[str, ...]:
        """What was decided here, holds here, and is not in the store yet, as sentences."""
        return () if self.made is None else self.made[1].pending

    @property
    def saved_at(self) -> float | None:
        """When (wall) the live state that serves was saved, where it comes from the disk."""
        return None if self.made is None else self.made[1].saved_at

    def health(self) -> dict[str, str]:
        """What runs beside for either, by name."""
        return {name: said for room in self.made or () for name, said in room.health().items()}

    def close(self) -> None:
        for room in self.made or ():
            room.close()

    def _make(self) -> tuple[Recorder, Rollouts]:
        from progflags.canary import Recorder
        from progflags.rollout import Rollouts

        client = self._client
        recorder = Recorder(client.bus, client.clock, arms=self._arms, refusals=client.refusals)
        rollouts = Rollouts(
            client,
            self._store,
            recorder,
            client.clock,
            refresh=self._refresh,
            actor=signature(),
            deliveries=self._notify,
            keep=self.keep,
        )
        return recorder, rollouts

    def _arms(self, flag: str) -> dict[str, str] | None:
        """
        The arm that each variant of a flag is counted on; None of a flag that neither the file nor the store knows.

        A rollout compares two of them, and its names for these are the arms; another variant of such a flag is none. Of two definitions
        no variant is one.
        """
        snapshot = self._client.definitions
        model = None if snapshot is None else snapshot.flags.get(flag)
        if model is not None:
            live = self._client.live(flag)
            if live.edit is not None and live.counting:
                return {}
            if model.candidate is not None:
                return {model.default: "control", model.candidate: "candidate"}
            return {name: name for name in model.variants}
        return {} if self._client.live(flag).revision or (snapshot is not None and flag in snapshot.broken) else None

    def _warn_of_memory(self, moved: Moved) -> None:
        self._unlisten()
        say("rollouts", f"{moved.flag}: its state is kept in memory and ends with this process; connect(…, store='sqlite:///progflags.db')")
