"""The live state that one client is supplied with: looks at its store, and what is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from progflags._connect._jumps import Jumps
from progflags._connect._reach import Reach
from progflags._connect._turns import Turns
from progflags._trouble import swallow
from progflags.errors import StoreError, WentBackError
from progflags.events import SourceFailed
from progflags.flags import Client
from progflags.store import Store, read_only

if TYPE_CHECKING:
    from progflags.rollout import Rollouts

__all__ = ["Supply"]

_GONE: Final = 0.5  # seconds after which what a store has lost is lost for good: a replica that lags has caught up by then


class Supply:
    """
    Looks at `store` and installs in `client` what is there. `rollouts` makes the rollouts, `made` says whether that was done.

    `away`: why the store did not answer the last look, empty where it did. `ended`: nobody looks any more.
    """

    def __init__(self, client: Client, store: Store, *, rollouts: Callable[[], Rollouts], made: Callable[[], bool]) -> None:
        self._client = client
        self._store = store
        self._jumps = Jumps(client.clock)
        self._reach = store if isinstance(store, Reach) else None
        self._rollouts = rollouts
        self._made = made
        self._revision = -1  # of the store, when what serves was read
        self._back_since: float | None = None  # when (monotonic) the store was first seen to have less than it once had
        self.away = ""
        self.ended = False
        self.moved: Callable[[], object] = bool  # is called when another live state serves
        self.left: Callable[[], object] = bool  # is called when a look was left to whoever is at one just now
        self.renew()

    def renew(self) -> None:
        """After a fork: a turn that nobody has."""
        self._turns = Turns()

    @property
    def name(self) -> str:
        """The store's."""
        return self._store.url

    @property
    def problem(self) -> str:
        """Why the store can't be read: not reached, or reached and refused."""
        return self.away or ("" if self._reach is None else self._reach.read_problem)

    @property
    def trouble(self) -> str:
        """Why the store can't be read, or takes no writes."""
        return self.problem or self.write_problem

    @property
    def write_problem(self) -> str:
        """Why the last write to it failed."""
        return "" if self._reach is None else self._reach.write_problem

    @property
    def read_only(self) -> str:
        """Why nobody can write to it from here."""
        return read_only(self._store)

    def look(self) -> None:
        """Install the live state if the store has moved. One thread at a time, so that an older look never overtakes a newer."""
        self._jumps.look()
        if self._reach is not None:
            self._reach.glance.forget()
        self._look()

    def look_when_due(self) -> None:
        """
        The background's look: at what is known of the store without asking, as long as that will do; ever more seldom at one that does
        not answer, and where it does, whether it takes writes too.
        """
        self._jumps.look()
        if self._reach is not None and not self._reach.due:
            return
        self._look()
        if self._reach is not None and not self.away and self._reach.calm:
            self._reach.probe()

    @property
    def calm(self) -> bool:
        """Whether the store may be asked for what nobody waits for."""
        return self._reach is None or self._reach.calm

    def check(self) -> None:
        """Whether what failed is in order by now."""
        if self._reach is not None and self._reach.troubled and not self.away:
            self._reach.probe()

    def serve_last(self) -> None:
        """The live state that a process before this one saved, while the store is out of reach."""
        rollouts = self._rollouts()
        if rollouts.saved_at is not None:
            self._client.install(live=rollouts.last())

    def _look(self) -> None:
        with self._turns.take() as ours:
            if self.ended:
                return
            if not ours:
                self.left()
                return
            try:
                self._read()
            except StoreError as error:
                self._missed(error)
            else:
                self.away, self._back_since = "", None
                if self._reach is not None:
                    self._reach.met()

    def _read(self) -> None:
        if self._reach is not None and self._reach.missed:
            self._reach.knock()
        revision = self._store.revision()
        if revision != self._revision or self.away:
            if revision or self._made():
                self._client.install(live=self._rollouts().live())
            self._revision = revision
            self.moved()

    def _missed(self, error: StoreError) -> None:
        if not self.away:
            self._client.bus.tell(SourceFailed(self._store.url, str(error)))
        self.away = str(error)
        swallow("store", error)
        if self._reach is not None and isinstance(error, WentBackError):
            self._went_back(self._reach)
        elif self._reach is not None:
            self._back_since = None
            self._reach.miss()

    def _went_back(self, reach: Reach) -> None:
        """Go on with what there is, once that is all there will be."""
        now = time.monotonic()
        self._back_since = now if self._back_since is None else self._back_since
        if now - self._back_since >= _GONE:
            reach.accept()
            self._rollouts().forget()
            self._revision = -1
