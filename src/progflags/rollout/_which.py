"""Which: the flags that somebody means by name, tag or owner, and what became of each when something was done to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from progflags._printed import quoted
from progflags.errors import ProgflagsError
from progflags.flags import FlagModel, Snapshot
from progflags.rollout._status import RolloutStatus
from progflags.rollout.state import Act, legal

if TYPE_CHECKING:
    from progflags.rollout._rollouts import Rollouts

__all__ = ["Dealt", "Which", "deal"]


@dataclass(frozen=True, slots=True)
class Which:
    """
    One flag, or those that have a tag, an owner, or both.

    Raises:
        ProgflagsError: none of the three is said.
    """

    flag: str | None = None
    tag: str | None = None
    owner: str | None = None

    def __post_init__(self) -> None:
        if self.flag is None and self.tag is None and self.owner is None:
            raise ProgflagsError("which flags? Name one, a tag or an owner")

    def flags(self, snapshot: Snapshot | None, rollouts: Rollouts, act: Act) -> tuple[str, ...]:
        """
        The flag that was named; or of those that fit, the ones whose rollout stands where `act` is legal.

        Raises:
            ProgflagsError: no flag has that tag or owner; it says which was perhaps meant.
        """
        if self.flag is not None:
            return (self.flag,)
        models = {} if snapshot is None else snapshot.flags
        fitting = {key for key, model in models.items() if self.fits(model)}
        if not fitting:
            raise ProgflagsError(self._none(models))
        return tuple(status.flag for status in rollouts.every() if status.flag in fitting and act in legal(status.state))

    def fits(self, model: FlagModel) -> bool:
        """Whether a flag has the tag and the owner that are wanted."""
        return (self.tag is None or self.tag in model.tags) and (self.owner is None or self.owner == model.owner)

    def _none(self, models: Mapping[str, FlagModel]) -> str:
        asked = [f"{name} {quoted(value)}" for name, value in (("tag", self.tag), ("owner", self.owner)) if value is not None]
        known = {word for model in models.values() for word in (*model.tags, model.owner or "") if word}
        near = get_close_matches(self.tag or self.owner or "", known, 1)
        return f"no flag has the {' and the '.join(asked)}" + (f": did you mean {quoted(near[0])}?" if near else "")


@dataclass(frozen=True, slots=True)
class Dealt:
    """What became of each flag: where it stands now, or why it was refused."""

    done: tuple[RolloutStatus, ...]
    failed: Mapping[str, str]

    @property
    def unstored(self) -> tuple[RolloutStatus, ...]:
        """Those for which it holds in this process, and the store does not have it yet."""
        return tuple(status for status in self.done if status.pending)


def deal(flags: Iterable[str], verb: Callable[[str], RolloutStatus]) -> Dealt:
    """Do it to each, whatever becomes of the others."""
    done: list[RolloutStatus] = []
    failed: dict[str, str] = {}
    for flag in flags:
        try:
            done.append(verb(flag))
        except ProgflagsError as error:
            failed[flag] = str(error)
    return Dealt(tuple(done), failed)
