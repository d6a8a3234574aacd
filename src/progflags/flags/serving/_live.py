"""A flag's live state, as the store keeps it: Live, and its change by share, kill and unkill (see _change.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from progflags._printed import quoted
from progflags.flags.serving._edit import Edit

if TYPE_CHECKING:
    from progflags.flags._model import FlagModel

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
    `share`: how much of the traffic the candidate of the flag's rollout gets, in ppm (0 … 1_000_000), None before a start;
    `variant`: which variant that share is of, None where nobody said (then it is the file's candidate, whichever that is).
    `killed`: everybody gets `safe`. `counting`: a rollout is live, exposures are to be noted. `run` numbers the rollouts.
    `metered`: nobody is served the candidate yet, and the control's traffic is counted for the plan; never written down.

    `edit`: the last run was, or is, of another definition: then `share` is how much of the traffic is served by that, and `own` is
    the state of the flag's own rollout. A progflags that knows of no edits finds that one in the document.
    """

    key: str
    revision: int = 0
    share: int | None = None
    killed: Killed | None = None
    counting: bool = False
    run: int = 0
    variant: str | None = None
    metered: bool = False
    edit: Edit | None = None

    @property
    def own(self) -> Live:
        """The state of the flag's own rollout, whatever becomes of its definition."""
        edit = self.edit
        return self if edit is None else replace(self, share=edit.share, variant=edit.variant, counting=False, metered=False, edit=None)

    @property
    def told(self) -> dict[str, str | float]:
        """What a standard interface says beside an answer: which other definition serves, and how much of the traffic (in percent)."""
        return {"change": self.edit.name, "changePercent": self.share / 10_000} if self.edit is not None and self.share else {}

    @classmethod
    def of(cls, document: _Document | None, key: str = "") -> Live:
        """
        The state in a store's document `flag/<key>`; None is a flag nobody has touched.

        Raises:
            ValueError: the document is of another version, or not a flag's.
        """
        if document is None:
            return cls(key)
        key, body = document.key, document.body
        if body.get("v") != 1:
            raise ValueError(f"{key}: live state of version {quoted(body.get('v'))}; this progflags reads version 1")
        share, variant, run, counting = body.get("share"), body.get("variant"), body.get("run", 0), body.get("counting", False)
        if share is not None and not (type(share) is int and 0 <= share <= 1_000_000):
            raise ValueError(f"{key}: a share is 0 … 1,000,000 millionths of the traffic, not {quoted(share)}")
        if type(run) is not int or type(counting) is not bool or not (variant is None or type(variant) is str):
            found = quoted((run, counting, variant))
            raise ValueError(f"{key}: run is a number, counting true or false, variant a name: not {found}")
        live = cls(key.removeprefix("flag/"), document.revision, share, _killed(key, body.get("killed")), counting, run, variant)
        return live if body.get("edit") is None else _edited(live, body["edit"])

    def about(self, candidate: str | None) -> bool:
        """Whether the share is of this variant, as far as anybody knows."""
        return self.variant is None or self.variant == candidate

    def given(self, flag: FlagModel) -> tuple[str | None, int]:
        """
        The variant that some of the traffic gets, and how much of it (ppm); None for a flag without a rollout.

        A share says nothing about another variant than its own. If the file names another by now, that one waits for a start
        of its own, at 0. A run that has ended leaves its winner where it is, while the file has such a variant; one under way,
        which the file gave up, serves nobody: so the controller's next look will write it down. Of a flag with an edit `own` is asked.
        """
        share = self.share or 0
        if flag.candidate is None or self.about(flag.candidate):
            return flag.candidate, share
        stays = not self.counting and self.variant in flag.variants and self.variant != flag.default
        return (self.variant, share) if stays else (flag.candidate, 0)

    def body(self) -> dict[str, Any]:
        """What to write into the store; the revision is the store's to give."""
        killed, own = self.killed, self.own
        body = {
            "v": 1,
            "share": own.share,
            "killed": None if killed is None else {"reason": killed.reason, "by": killed.by, "at": killed.at},
            "counting": own.counting,
            "run": self.run,
            "variant": own.variant,
        }
        if self.edit is None:
            return body
        return {**body, "edit": {**self.edit.to_json(), "share": self.share, "counting": self.counting}}


def _edited(live: Live, written: object) -> Live:
    """With the edit that the document has beside the state of the flag's own rollout."""
    try:
        edit = Edit.of(written)
    except ValueError as error:
        raise ValueError(f"flag/{live.key}: {error}") from None
    assert isinstance(written, Mapping)
    share, counting = written.get("share"), written.get("counting")
    if type(share) is not int or not 0 <= share <= 1_000_000 or type(counting) is not bool:
        raise ValueError(f"flag/{live.key}: a change of definition has a share and says whether it counts, not {quoted((share, counting))}")
    return replace(live, share=share, variant=None, counting=counting, edit=edit)


def _killed(key: str, written: object) -> Killed | None:
    """A kill as it is written. What nobody can read is refused, and said: neither a kill nor none is to be guessed."""
    if written is None:
        return None
    if not isinstance(written, Mapping):
        raise ValueError(f"{key}: a kill is a table of reason, by and at, not {quoted(written)}")  # noqa: TRY004 - the document's fault
    by, at = written.get("by"), written.get("at", 0.0)
    if type(at) not in (int, float) or not abs(at) < 1e12:
        raise ValueError(f"{key}: a kill has the time it was thrown at in seconds, not {quoted(at)}")
    return Killed(str(written.get("reason", "")), None if by is None else str(by), float(at))


NO_LIVE: Final = Live("")
