"""The definitions that one client is supplied with: looks at its source, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from progflags._clock import Clock
from progflags._connect._turns import Turns
from progflags._trouble import say
from progflags.errors import Problem
from progflags.events import Change, SourceFailed
from progflags.flags import Client, declared, mismatches
from progflags.sources import Defined, Loader

if TYPE_CHECKING:
    from progflags.flags import Snapshot

__all__ = ["Definitions", "has_rollouts"]

_SAID: Final = 10  # rejected flags that the log names one by one


class Definitions:
    """
    Looks at what `loader` reads and installs in `client` what is there; what is refused leaves the last good one serving.

    `refused`: what is wrong with the present document, empty where it serves. `saved_at`: set while a persisted last known good
    serves, to when (wall) it was written. `notes`, where there are any, are told of every other definition that serves. `also`: what
    others have to say of what serves, beside the parser.
    """

    def __init__(self, client: Client, loader: Loader, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._looked_at = clock.monotonic()
        self.loader = loader
        self.notes: Defined | None = None
        self.refused: tuple[Problem, ...] = ()
        self.saved_at: float | None = None
        self.also: Callable[[], tuple[Problem, ...]] = tuple
        self._planned: tuple[Snapshot | None, tuple[Problem, ...]] = None, ()
        self.renew()

    def renew(self) -> None:
        """After a fork: a turn that nobody has."""
        self._turns = Turns()

    def first(self) -> None:
        """
        Install what there is to begin with.

        Raises:
            DefinitionError: nothing can be served.
        """
        self._install(self.loader.first())

    def look(self) -> None:
        """Install the definitions if the source has others. One thread at a time, so that an older look never overtakes a newer."""
        with self._turns.take() as ours:
            if ours:
                self._look()

    def look_until_settled(self) -> None:
        """Where flags are gone from a file that was just touched, wait: once it is left alone, they are."""
        self.look()
        if self.loader.unsettled:
            time.sleep(self.loader.unsettled)
            self.look()

    def changes(self, flag: str | None, since: float | None) -> tuple[Change, ...]:
        """What only this process knows of `flag`, or of all; see Defined."""
        return () if self.notes is None else tuple(self.notes.of(flag, since))

    @property
    def age(self) -> float:
        """Since the source was last found in order; what a folder kept is as old as it was when it was written."""
        if self.saved_at is not None:
            return max(0.0, self._clock.now() - self.saved_at)
        return self._clock.monotonic() - self._looked_at

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is legal and doubtful in what serves."""
        snapshot = self._client.definitions
        if snapshot is None:
            return ()
        return (*snapshot.warnings, *self._unstartable(snapshot), *_of_other_types(snapshot), *self._client.uncompared, *self.also())

    def _unstartable(self, snapshot: Snapshot) -> tuple[Problem, ...]:
        """
        Rollout tables that are well-formed and can't be carried out: starting them would be refused, so say it at load.

        Found once per document: a status is asked for every second, and hundreds of plans take a while.
        """
        if not has_rollouts(snapshot):
            return ()
        if self._planned[0] is not snapshot:
            from progflags.rollout import unstartable

            self._planned = snapshot, unstartable(snapshot)
        return self._planned[1]

    def _look(self) -> None:
        loaded = self.loader.load()
        if loaded.snapshot is not None:
            self._install(loaded.snapshot)
        if loaded.problems != self.refused:
            self._refuse(loaded.problems)
        self.saved_at = loaded.saved_at
        if not loaded.stale:
            self._looked_at = self._clock.monotonic()

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        self.refused = problems
        self._client.set_stale(bool(problems))
        if problems:
            self._client.bus.tell(SourceFailed(self.loader.name, str(problems[0]), problems))
            say("source", f"the last known good serves on: {problems[0]}", cause=f"refused {problems[0].key}")

    def _install(self, snapshot: Snapshot) -> None:
        self._client.install(snapshot)
        if self.notes is not None:
            self.notes.serves(snapshot)
        for problem in snapshot.rejected[:_SAID]:
            say("source", f"a flag was rejected: {problem}", cause=f"rejected {problem.key}")
        if len(snapshot.rejected) > _SAID:
            say("source", f"{len(snapshot.rejected) - _SAID:,} more of its flags were rejected; status() has all of them")


def has_rollouts(snapshot: Snapshot | None) -> bool:
    return snapshot is not None and any(flag.rollout is not None for flag in snapshot.flags.values())


def _of_other_types(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Where the code's typed flags want another type than this file has. One the file lacks may be another client's: `lint` says those."""
    return mismatches(snapshot, [flag for flag in declared() if flag.key in snapshot.flags])
