"""How well a client is supplied: State in a word, Status in full."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from progflags.errors import Problem

__all__ = ["State", "Status"]


class State(StrEnum):
    """How well a client is supplied."""

    READY = "READY"  #: the present document serves
    STALE = "STALE"  #: the present document was refused or is gone; the last good one serves
    DEGRADED = "DEGRADED"  #: some flags were rejected, or the store is out of reach
    ERROR = "ERROR"  #: nothing was ever loaded
    NOT_READY = "NOT_READY"  #: closed before anything was loaded


@dataclass(frozen=True, slots=True)
class Status:
    """
    What serves, and what is wrong.

    `revision` names the document served, `age` is seconds since it was last found unchanged or loaded. `rejected` are the
    problems of single flags, `problems` those of a document that was refused, `warnings` what is legal and doubtful.
    `store` is the store's name, `store_problem` why it could not be reached, empty when it could.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        listed = {name: [problem.to_dict() for problem in plain[name]] for name in ("rejected", "problems", "warnings")}
        return {**plain, "state": str(self.state), **listed}
