"""Item: one thing there is to see, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from progflags._printed import printable

if TYPE_CHECKING:
    from progflags.darklaunch import ShadowSummary
    from progflags.rollout import RolloutStatus

__all__ = ["Item", "Level"]


class Level(IntEnum):
    """How bad it is; also the command's exit code, where nothing is worse."""

    FINE = 0
    ATTENTION = 3  #: somebody is waited for
    TROUBLE = 1

    @property
    def mark(self) -> str:
        return {Level.FINE: "✓", Level.ATTENTION: "!", Level.TROUBLE: "✗"}[self]

    @property
    def urgency(self) -> int:
        """0 is the most urgent."""
        return (Level.TROUBLE, Level.ATTENTION, Level.FINE).index(self)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: of what `kind`, how bad, in a line; and the one thing to do about it, where there is one."""

    kind: str
    flag: str
    level: Level
    said: str
    do: str = ""
    key: str = ""  # what of it is worth another line, where that is less than all of `said`
    act: str = ""  # the verb that does it, where one alone does
    about: RolloutStatus | ShadowSummary | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return printable(f"{self.level.mark} {self.said}{f'  → {self.do}' if self.do else ''}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"kind": self.kind, "flag": self.flag, "level": self.level.name.lower(), "said": self.said, "do": self.do}
