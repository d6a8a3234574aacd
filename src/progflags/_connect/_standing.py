"""Standing: how well one client is supplied just now, from all that supplies it."""

from __future__ import annotations

from progflags._beside import LOGGING, RUNNING
from progflags._connect._background import Background
from progflags._connect._definitions import Definitions
from progflags._connect._delivery import Delivery
from progflags._connect._status import State, Status
from progflags._connect._supply import Supply
from progflags.errors import Problem
from progflags.flags import EVERYTHING, Client

__all__ = ["Standing"]


class Standing:
    """Reads what the parts of a client say of themselves."""

    def __init__(self, client: Client, definitions: Definitions, supply: Supply, delivery: Delivery, background: Background) -> None:
        self._client = client
        self._definitions = definitions
        self._supply = supply
        self._delivery = delivery
        self._background = background

    def now(self, threads: dict[str, str]) -> Status:
        """The status, with `threads` as their health was found."""
        client, supply = self._client, self._supply
        snapshot = client.definitions
        return Status(
            state=self._state(threads),
            revision="" if snapshot is None else snapshot.digest,
            age=self._definitions.age,
            rejected=() if snapshot is None else snapshot.rejected,
            problems=self._definitions.refused,
            warnings=(*self._definitions.warnings, *self._client.edits.doubtful(), *self._refusals()),
            source=self._definitions.loader.name,
            environment=self._definitions.loader.environment,
            store=supply.name,
            store_problem=supply.problem,
            writable=not (supply.problem or supply.write_problem or supply.read_only),
            write_problem=supply.write_problem or supply.read_only,
            saved_at=self._saved_at(),
            pending=self._delivery.pending,
            panic=client.live(EVERYTHING).killed,
            panicking=client.panicking,
            threads=threads,
        )

    def health(self) -> dict[str, str]:
        """By name, for all that runs in the background: `running` (and how, if not in a thread), or why not."""
        if self._supply.ended:
            return {}
        told = self._background.health()
        told |= self._client.bus.health()
        told |= self._delivery.health()
        for thing in self._client.supervised:
            told |= thing()
        written = LOGGING.health()
        return told if written == RUNNING or not told else {**told, "log": written}

    def _state(self, threads: dict[str, str]) -> State:
        snapshot, supply = self._client.definitions, self._supply
        if snapshot is None:
            return State.NOT_READY if supply.ended else State.ERROR
        if self._definitions.refused:
            return State.STALE
        ill = snapshot.rejected or supply.problem or supply.write_problem
        return State.DEGRADED if ill or any(not said.startswith(RUNNING) for said in threads.values()) else State.READY

    def _saved_at(self) -> float | None:
        """When (wall) what serves was saved, definitions or live state, where either comes from the disk; of both the older."""
        return min((at for at in (self._definitions.saved_at, self._delivery.saved_at) if at is not None), default=None)

    def _refusals(self) -> tuple[Problem, ...]:
        return tuple(Problem(f"<{where}>", None, "", why, _times(n)) for where, why, n in self._client.refusals.read())


def _times(n: int) -> str:
    return "once so far" if n == 1 else f"{n} times so far"
