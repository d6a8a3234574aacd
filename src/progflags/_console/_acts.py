"""What people do in the console: verbs with a reason, by somebody with the role for it, to what they were looking at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from progflags._console._view import View, plain
from progflags._console._viewer import Role, Viewer
from progflags.errors import MovedOn, ProgflagsError, StoreError, TransitionRefused

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["ACTS", "Act", "Refused", "after", "tried"]


@dataclass(frozen=True, slots=True)
class Act:
    """
    A verb: its name on a button, what it does in a sentence, who may. `down`: it only ever takes the candidate away. `typed`: the
    flag's name is to be typed. `switch`: it turns a kill switch; the others are a rollout's.
    """

    label: str
    does: str
    role: Role = Role.OPERATOR
    down: bool = False
    typed: bool = False
    switch: bool = False


ACTS: Final[Mapping[str, Act]] = {
    "start": Act("Start", "begins the climb with the plan the file has now"),
    "approve": Act("Approve", "agrees to the step it waits for", Role.APPROVER),
    "resume": Act("Resume", "goes on where it was stopped"),
    "retry": Act("Retry", "begins again from the first stage"),
    "pause": Act("Pause", "stops the climb here; it can still be rolled back", down=True),
    "promote": Act("Promote", "takes the next step now, before the gates have said so", typed=True),
    "rollback": Act("Roll back", "gives everybody the control, now", down=True),
    "abort": Act("Abort", "gives it up; everybody gets the control", down=True),
    "kill": Act("Kill", "serves the safe variant to everybody, whatever else happens", down=True, switch=True),
    "unkill": Act("Take the kill back", "lets the flag answer as before", switch=True),
    "panic": Act("Panic", "serves every flag's safe variant to everybody", down=True, typed=True, switch=True),
    "unpanic": Act("End the panic", "lets every flag answer as before", switch=True),
}
"""By name, in the order the buttons have."""

EVERYTHING: Final = frozenset({"panic", "unpanic"})
_TIMEOUT: Final = 2.0


class Refused(Exception):  # noqa: N818 - a signal inside the room, drawn as a page
    """What was asked is not done, and the page that says why."""

    def __init__(self, status: int, why: str, more: Mapping[str, Any] | None = None) -> None:
        self.status = status
        self.view = View("Not done", "refused.html", {"ok": False, "error": why, **(more or {})}, status=status)
        super().__init__(why)


def act(flags: Flags, verb: str, form: Mapping[str, str], viewer: Viewer) -> dict[str, Any]:
    """
    Do it, in the name of `viewer`. `form`: `flag`, `reason`, `seen` (the version that was looked at), `confirm` (what was typed).

    Raises:
        Refused: with the status and the page: no such verb (404), not theirs to do (403), no reason or not confirmed (422), or it has
            moved on meanwhile, or can't be done from where it stands (409).
        StoreError: the store is out of reach.
    """
    wanted, flag, reason = ACTS.get(verb), form.get("flag", ""), form.get("reason", "").strip()
    if wanted is None:
        raise Refused(404, f"there is no verb {verb!r}; there are {', '.join(ACTS)}")
    if not viewer.may(wanted.role):
        raise Refused(403, f"{verb} needs the role {wanted.role}, and {viewer.name} has {', '.join(sorted(viewer.roles)) or 'none'}")
    if not reason:
        raise Refused(422, "say why: the reason is kept in the history, and whoever comes after you reads it")
    if wanted.typed and form.get("confirm", "") != (name := flag or "panic"):
        raise Refused(422, f"type {name!r} to confirm it, exactly as it is written")
    try:
        return _do(flags, verb, form, {"reason": reason[:1000], "by": viewer.name, "timeout": _TIMEOUT})
    except TransitionRefused as error:
        raise Refused(409, str(error), {"state": error.state, "legal": list(error.legal), "flag": flag}) from error


def tried(flags: Flags, verb: str, form: Mapping[str, str], viewer: Viewer) -> dict[str, Any]:
    """
    As `act`, and whatever else stands in the way is a refusal with a page as well.

    Raises:
        Refused: as there; the store is out of reach (503), or it can't be done (422).
    """
    try:
        return act(flags, verb, form, viewer)
    except StoreError as error:
        raise Refused(503, f"the store is out of reach: {error}") from error
    except (ProgflagsError, ValueError) as error:
        raise Refused(422, str(error)) from error


def after(done: Mapping[str, Any]) -> tuple[str, str]:
    """The page to look at when it is done, and the flag it is about."""
    return ("rollout" if done.get("status") else "flag" if done["flag"] else ""), str(done["flag"])


def _do(flags: Flags, verb: str, form: Mapping[str, str], said: Mapping[str, Any]) -> dict[str, Any]:
    flag = form.get("flag", "")
    if verb in EVERYTHING:
        getattr(flags, verb)(**said)
        return {"ok": True, "verb": verb, "flag": ""}
    if not flag:
        raise Refused(422, f"{verb} which flag? say flag")
    if ACTS[verb].switch:  # a kill and its end are what they are, whatever the rollout does
        getattr(flags, verb)(flag, **said)
        return {"ok": True, "verb": verb, "flag": flag}
    if not (seen := form.get("seen", "")):
        flags.rollouts.status(flag)  # what there is not is said first
        raise Refused(422, "say which version of it you have seen: the page and GET /api/rollout have it as `version`")
    try:
        status = getattr(flags.rollouts, verb)(flag, seen=seen, **said)
    except MovedOn as error:
        raise _moved_on(flags, flag, seen, error) from error
    return {"ok": not status.pending, "verb": verb, "flag": flag, "status": plain(status.to_dict())}


def _moved_on(flags: Flags, flag: str, seen: str, error: MovedOn) -> Refused:
    """With what has changed since."""
    status, step = flags.rollouts.status(flag), seen.split(".")[1:2]
    last = int(step[0]) if step and step[0].isascii() and step[0].isdecimal() and len(step[0]) < 12 else 0
    since = [move.to_dict() for move in status.history if move.revision > last]
    now = {"flag": flag, "version": status.version, "standing": status.standing, "percent": status.percent, "changes": plain(since)}
    return Refused(409, str(error), now)
