"""An intent: what somebody wants of the store, has here already, and the store does not have yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Intent"]


@dataclass(frozen=True, slots=True)
class Intent:
    """
    A rollback, or the turn of a switch, that is wanted and not stored yet: why, by whom.

    A rollback is of `run`; `braked`: by the process itself. A switch's is `on` (kill, panic) or off, was wanted `at` (wall time),
    and decided on the document's revision `seen`.
    """

    run: int
    reason: str
    actor: str
    braked: bool = False
    on: bool = True
    at: float = 0.0
    seen: int = 0

    def later_than(self, other: Intent) -> bool:
        """Whether it was wanted after another word about the same: of a later run, or by the wall clock."""
        return (self.run, self.at) > (other.run, other.at)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Intent:
        """From its fields as they were written; those that an older progflags did not have may be missing."""
        return cls(
            int(body["run"]),
            str(body["reason"]),
            str(body["actor"]),
            braked=bool(body["braked"]),
            on=bool(body.get("on", True)),
            at=float(body.get("at", 0.0)),
            seen=int(body.get("seen", 0)),
        )
