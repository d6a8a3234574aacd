"""A message: what people are told at once of one incident, before it has any channel's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from progflags._printed import paragraph, printable

__all__ = ["Message", "Severity"]


class Severity(StrEnum):
    """
    How much a message matters. What ends something matters as much as what began it, so that the same people hear of both.

        if message.severity is pf.notify.Severity.CRITICAL:
            page(message.title)
    """

    INFO = "info"  #: it goes as it should
    WARNING = "warning"  #: somebody is waited for, or ought to look
    CRITICAL = "critical"  #: something was stopped

    @property
    def rank(self) -> int:
        """0 for the least."""
        return (Severity.INFO, Severity.WARNING, Severity.CRITICAL).index(self)

    @property
    def mark(self) -> str:
        """One character that says it without a colour."""
        return {Severity.INFO: "✓", Severity.WARNING: "!", Severity.CRITICAL: "✗"}[self]


@dataclass(frozen=True, slots=True)
class Message:
    """
    What is told of one flag (empty: of all) at once.

    `id` is the same when it is sent again, so that a receiver can tell; `kind` is that of the line that weighs most: `transition`,
    `kill`, `unkill`, `panic`, `unpanic`, `shadow`, `source` or `store`. `thread` names what belongs together: one run of a rollout, one
    kill switch.
    `said` are sentences, `do` the one thing to do about it and `link` where, either may be empty. `at` is wall time in seconds.
    `changes` are the lines of history it was made of, as plain JSON values. `first` is what the channel itself called the first message
    of this thread, empty where this is it, or where the channel has no threads.

        class Log(pf.notify.Channel):
            def send(self, message: pf.notify.Message):
                print(message.severity, message.title, *message.said, message.do, message.link)
    """

    id: str
    kind: str
    flag: str
    thread: str
    severity: Severity
    title: str
    said: tuple[str, ...]
    do: str
    link: str
    owner: str
    tags: tuple[str, ...]
    at: float
    changes: tuple[Mapping[str, Any], ...]
    first: str = ""

    @property
    def when(self) -> str:
        """Its time as ISO 8601, UTC."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def headline(self) -> str:
        """One line that says how much it matters, and what happened."""
        return printable(f"{self.severity.mark} {self.title}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "first"}
        listed = {"said": list(self.said), "tags": list(self.tags), "changes": [dict(line) for line in self.changes]}
        return {**plain, **listed, "severity": str(self.severity)}

    def __str__(self) -> str:
        """Plain text: the headline, then a line for each thing that is said."""
        rest = [*self.said, *([f"→ {self.do}"] if self.do else []), *([self.link] if self.link else [])]
        return paragraph([self.headline, *rest])
