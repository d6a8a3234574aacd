"""A channel: where messages go, and which of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from progflags._names import must_be_named
from progflags._printed import quoted
from progflags.notify._message import Message, Severity
from progflags.notify._telling import Known

__all__ = ["Busy", "Channel", "Only", "Refused"]


class Refused(Exception):  # noqa: N818 - a state of one message, told to whoever sends
    """The channel was reached and will not have this message, now or later."""


class Busy(Exception):  # noqa: N818 - likewise
    """The channel wants to be left alone for `after` seconds."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Only:
    """
    What a channel is told: everything, unless this says less.

    `flags` are patterns as of a shell (`pay-*`), one of which the flag's key matches; `owners` and `tags` one of which the flag has;
    `severity` is the least that is told. What is about every flag, a panic or a stale source, passes all but `severity`.

        payments = pf.notify.Only(flags=["pay-*"], owners=["payments"], severity="warning")
        pf.notify.Webhook(url="https://hooks.example.com/payments", only=payments)
    """

    flags: Sequence[str] = ()
    owners: Sequence[str] = ()
    tags: Sequence[str] = ()
    severity: Severity | str = Severity.INFO

    def __post_init__(self) -> None:
        for name in ("flags", "owners", "tags"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "severity", Severity(self.severity))

    @property
    def least(self) -> int:
        """The rank of what matters enough."""
        return Severity(self.severity).rank

    def about(self, flag: str, known: Known) -> bool:
        """Whether what happens to a flag (empty: to all) is for this channel."""
        if not flag:
            return True
        return (
            (not self.flags or any(fnmatchcase(flag, pattern) for pattern in self.flags))
            and (not self.owners or known.owner in self.owners)
            and (not self.tags or not set(self.tags).isdisjoint(known.tags))
        )


@dataclass(frozen=True, kw_only=True)
class Channel:
    """
    What all channels have; make one of your own by deriving from it and writing `send`.

    `name` must stay the same over restarts and differ from the others': how far the channel was told is kept under it. Left out, it
    is made of the kind and of where it leads. `only`: which messages. `console_url`: where the console is, for links. `timeout`:
    seconds that one attempt may take.

        class Pager(pf.notify.Channel):
            def send(self, message):
                page(message.title, *message.said, message.link)

        pager = Pager(name="pager", only=pf.notify.Only(severity="critical"))
        flags = pf.connect("flags.toml", notify=[pager])

    Raises:
        ValueError: a name that can't be one, or a `timeout` that is not a number above 0.
    """

    name: str = ""
    only: Only = field(default_factory=Only)
    console_url: str = ""
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"timeout is a number of seconds above 0, not {quoted(self.timeout)}")
        object.__setattr__(self, "name", self.name or f"{type(self).__name__.lower()}-{_hashed(self.where)}")
        must_be_named(self.name, "a channel")

    @property
    def where(self) -> str:
        """Where it leads; may hold a secret."""
        return ""

    @property
    def threaded(self) -> bool:
        """Whether messages can be put below the first of what belongs together: then `send` says what that one is called."""
        return False

    def send(self, message: Message) -> str | None:
        """
        Bring one message there, below `message.first` where there is one; where the channel is `threaded`, what it calls the first
        message of the thread.

        Raises:
            Refused: it will never be taken; after three tries it is dropped and counted.
            Busy: try again later, not before what it says.
            Exception: try again, later and later, for a day.
        """
        raise NotImplementedError

    def about(self) -> Mapping[str, Any]:
        """What may be shown of it: no secrets."""
        return {"name": self.name, "kind": type(self).__name__.lower()}


def _hashed(where: str) -> str:
    return hashlib.sha256(where.encode()).hexdigest()[:12]
