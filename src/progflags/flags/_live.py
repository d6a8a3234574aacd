"""A flag's live state, as the store keeps it: Live, and its change by share, kill and unkill (see _change.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

__all__ = ["NO_LIVE", "Killed", "Live"]


class _Document(Protocol):
    """What a store hands out; floor 2 does not import its neighbour."""

    @property
    def key(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Killed:
    """Who threw the kill switch, why, and when (seconds since the epoch)."""

    reason: str = ""
    by: str | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Live:
    """
    What changes while a flag serves, apart from its definition.

    `revision` is the document's, 0 when there is none; every change is a new one and counting begins anew there.
    `share`: how much of the traffic the candidate of the flag's rollout gets, in ppm (0 … 1_000_000), None before a start.
    `killed`: everybody gets `safe`. `counting`: a rollout is live, exposures are to be noted. `run` numbers the rollouts.
    """

    key: str
    revision: int = 0
    share: int | None = None
    killed: Killed | None = None
    counting: bool = False
    run: int = 0

    @classmethod
    def of(cls, document: _Document | None, key: str = "") -> Live:
        """
        The state in a store's document `flag/<key>`; None is a flag nobody has touched.

        Raises:
            ValueError: the document is of another version, or not a flag's.
        """
        if document is None:
            return cls(key)
        name, body = document.key.removeprefix("flag/"), document.body
        share, killed = body.get("share"), body.get("killed")
        if body.get("v") != 1:
            raise ValueError(f"{document.key}: live state of version {body.get('v')!r}; this progflags reads version 1")
        if share is not None and not (type(share) is int and 0 <= share <= 1_000_000):
            raise ValueError(f"{document.key}: a share is 0 … 1,000,000 ppm, not {share!r}")
        return cls(
            name,
            document.revision,
            share,
            None if killed is None else Killed(str(killed.get("reason", "")), killed.get("by"), float(killed.get("at", 0.0))),
            bool(body.get("counting", False)),
            int(body.get("run", 0)),
        )

    def body(self) -> dict[str, Any]:
        """What to write into the store; the revision is the store's to give."""
        killed = self.killed
        return {
            "v": 1,
            "share": self.share,
            "killed": None if killed is None else {"reason": killed.reason, "by": killed.by, "at": killed.at},
            "counting": self.counting,
            "run": self.run,
        }


NO_LIVE: Final = Live("")
