"""How well a client is supplied: State in a word, Status in full."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from progflags._printed import paragraph
from progflags.errors import Problem
from progflags.flags import Killed

__all__ = ["State", "Status"]


class State(StrEnum):
    """How well a client is supplied."""

    READY = "READY"  #: the present document serves
    STALE = "STALE"  #: the present document was refused or is gone; the last good one serves
    #: some flags were rejected, the store is out of reach or takes no writes, or something in the background does not run
    DEGRADED = "DEGRADED"
    ERROR = "ERROR"  #: nothing was ever loaded
    NOT_READY = "NOT_READY"  #: closed before anything was loaded


@dataclass(frozen=True, slots=True)
class Status:
    """
    What serves, and what is wrong.

    `revision` names the document served, `age` is seconds since it was last found unchanged or loaded; where the persisted last
    known good serves, because its source was never found in order since the start, since that was written. `rejected` are the
    problems of single flags, `problems` those of a document that was refused, `warnings` what is legal and doubtful.
    `store` is the store's name, `store_problem` why it could not be reached, empty when it could. `writable`: whether it takes
    writes too, by the last one that was tried; `write_problem` says why not (a full disk, a server that is read-only, a permission
    that is gone; or that it is a published snapshot, which is no trouble). `saved_at`: wall time at which what serves was saved, while
    that is the last known good from the disk, of the definitions or of the live state; else None. `pending`: what was decided here,
    holds here, and is not in the store yet (kills, panics, rollbacks), as sentences.

    `panic`: who threw the switch of all flags, in this process or any other that shares the store, why and when; None while nobody
    has. `panicking`: every flag answers `safe`, for that reason or by this process's own `PROGFLAGS_PANIC`.

    `threads`: what runs in the background, by name: `running` (perhaps with how), or why not; then the state is DEGRADED. Empty
    where nothing does (`poll=None`, a ManualClock, a closed client).

    `environment`: the one whose tables are laid over the definitions; empty, none is.

        status = flags.status()
        if status.state in {"DEGRADED", "ERROR", "NOT_READY"}:
            print(*status.rejected, *status.problems, status.store_problem)
        status.revision, status.age, status.pending
    """

    state: State
    revision: str
    age: float
    rejected: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    source: str = ""
    store: str = ""
    store_problem: str = ""
    writable: bool = True
    write_problem: str = ""
    saved_at: float | None = None
    pending: tuple[str, ...] = ()
    panic: Killed | None = None
    panicking: bool = False
    threads: dict[str, str] = field(default_factory=dict)
    environment: str = ""

    @property
    def _source(self) -> str:
        return f"{self.source or 'no source'}{f' in {self.environment}' if self.environment else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        listed = {name: [problem.to_dict() for problem in plain[name]] for name in ("rejected", "problems", "warnings")}
        panic = None if self.panic is None else asdict(self.panic)
        return {**plain, "state": str(self.state), **listed, "panic": panic, "pending": list(self.pending)}

    def __str__(self) -> str:
        """What serves in a line, and a line for each thing that is wrong; `to_dict` has the same values, whole."""
        head = f"{self.state}: {self.revision[:12] or 'nothing'} of {self._source}, {self.age:.1f} s old; store {self.store}"
        switch = f"panic by {self.panic.by or 'somebody'}: {self.panic.reason}" if self.panic else "panic" if self.panicking else ""
        wrong = [f"{name}: {problem}" for name in ("problems", "rejected", "warnings") for problem in getattr(self, name)]
        wrong += [f"store: {self.store_problem}"] if self.store_problem else []
        wrong += [f"store takes no writes: {self.write_problem}"] if self.write_problem else []
        wrong += [f"not stored yet: {one}" for one in self.pending]
        wrong += [f"thread {name}: {how}" for name, how in self.threads.items() if not how.startswith("running")]
        wrong += ["what serves was saved by an earlier process"] if self.saved_at is not None else []
        return paragraph([head, *([switch] if switch else []), *wrong])
