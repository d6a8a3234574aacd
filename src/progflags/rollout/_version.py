"""Version: what somebody had before them when they decided: which run, after which step of its flag's history, killed or not."""

from __future__ import annotations

from typing import NamedTuple, Self

from progflags.errors import MovedOn
from progflags.rollout.state import Act, Record, legal

__all__ = ["Version", "about", "must_be_as_seen"]

_DOWN = frozenset({Act.PAUSE, Act.ROLLBACK, Act.ABORT})  # whoever rolls back at 1 % means it at 10 % as well


class Version(NamedTuple):
    """As text `3.17.` or, of a killed flag, `3.17.k`."""

    run: int
    step: int
    killed: bool

    def __str__(self) -> str:
        return f"{self.run}.{self.step}.{'k' if self.killed else ''}"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """None: no version of ours is written like that."""
        run, _, rest = text.partition(".")
        step, _, killed = rest.partition(".")
        found = cls(_number(run), _number(step), killed == "k")
        return found if str(found) == text else None


def must_be_as_seen(seen: str, verb: Act, record: Record, *, killed: bool) -> None:
    """
    Refuse a verb that was decided on another version than `record`'s. What only takes the candidate away is refused for another run
    alone.

    Raises:
        MovedOn: it is another by now.
    """
    now = Version(record.run, record.number, killed)
    if Version.of(seen) == now or (verb in _DOWN and about(seen, record.run)):
        return
    raise MovedOn(
        f"{record.flag} has moved on since it was looked at: look again, and decide about what is there now",
        version=str(now),
        state=record.state,
        legal=map(str, legal(record.state)),
    )


def about(seen: str | None, run: int) -> bool:
    """Whether what was seen was that run, or nobody says what was."""
    then = None if seen is None else Version.of(seen)
    return seen is None or (then is not None and then.run == run)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1
