"""A proposal: another definition of a flag, as somebody gave it, read beside what serves, with the plan it is delivered by."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from progflags._json import canonical
from progflags._printed import quoted
from progflags.errors import DefinitionError, Problem, TransitionRefused
from progflags.flags import Edit, FlagModel, Lines, Live, RolloutSpec, Snapshot, alone, excerpt, imprint, within
from progflags.rollout._chosen import Plans, plan_of
from progflags.rollout.plan import Plan
from progflags.sources import FileSource, Piece, laid

__all__ = ["Given", "Proposal", "propose"]

Given = Mapping[str, Any] | str | os.PathLike[str]
"""A flag's table as in a file, a document that has the flag, or the path of a flag file."""

_LARGEST: Final = 256 * 1024  # characters; it is read by every process, and written with every step
_GIVEN: Final = "<new definition>"


@dataclass(frozen=True, slots=True)
class Proposal:
    """
    `old` is what the file says, `new` what was given, and `parts` names what of them differs; `plan` is how it would be delivered.
    `edit` has no salt yet, for that is a run's.
    """

    old: FlagModel
    new: FlagModel
    edit: Edit
    plan: Plan
    parts: tuple[str, ...]

    @property
    def said(self) -> str:
        """What it is, as the history says it."""
        return f"new definition {self.edit.name} ({', '.join(self.parts)})"

    def of(self, live: Live, run: int) -> Edit:
        """As the edit of that run, made where the flag's own rollout stands as in `live`."""
        own = live.own
        return replace(self.edit, salt=f"{self.old.salt}#{run}", share=own.share, variant=own.variant)


def propose(plans: Plans, snapshot: Snapshot | None, flag: str, given: Given) -> Proposal:
    """
    `given` as a change of the definition that serves.

    Raises:
        DefinitionError: it is wrong, or does not fit among the other flags; the problems name file, line and key.
        TransitionRefused: no such flag, or there is nothing to change.
    """
    plans.known(flag)
    old = None if snapshot is None else snapshot.flags.get(flag)
    if snapshot is None or old is None:
        raise TransitionRefused(f"{quoted(flag)} has no definition that serves, so there is none to change: see status()")
    document, lines, file = _document(given, flag, snapshot.environment)
    if not isinstance(document.get("flags"), Mapping) or flag not in document["flags"]:
        raise DefinitionError([Problem(file, None, f"flags.{flag}", "the new definition of the flag is missing", "write it there, whole")])
    whole = within(document, flag, snapshot.shared)
    new = alone(whole, flag, snapshot.flags, file=file, lines=lines)
    definition = excerpt(whole, new)
    _fits(old, new, definition, Problem(file, lines(("flags", flag)), f"flags.{flag}", ""))
    if imprint(alone(definition, flag, snapshot.flags, file=file)) != imprint(new):  # pragma: no cover - a promise of `excerpt`
        raise AssertionError(f"{flag}: its definition is another once it is written as JSON")
    table = new.rollout or old.rollout or RolloutSpec(flag, {}, snapshot.source)
    plan = plan_of(replace(new, rollout=table, tags=old.tags), snapshot.profiles)
    parts = tuple(name for name in _PARTS if getattr(old, name) != getattr(new, name))
    return Proposal(old, new, Edit.made(definition, imprint(old), imprint(new)), replace(plan, variant=""), parts)


_PARTS: Final = ("variants", "default", "safe", "unit", "salt", "rules", "requires", "slot", "holdout", "enabled", "skips")


def _document(given: Given, flag: str, environment: str) -> tuple[Mapping[str, Any], Lines, str]:
    """As it is in this process's environment, where it says anything of that."""
    if isinstance(given, Mapping):
        document = given if isinstance(given.get("flags"), Mapping) else {"flags": {flag: given}}
        piece = Piece(_GIVEN, "data", b"", document)
    else:
        piece = FileSource(given).read()[0]
    return *laid(piece, environment), piece.file


def _fits(old: FlagModel, new: FlagModel, definition: Mapping[str, Any], at: Problem) -> None:
    """Refuse what can't be delivered as a change of `old`."""
    if new.type != old.type:
        message = f"it is {_a(new.type)} flag, and the one that serves is {_a(old.type)}"
        raise DefinitionError([replace(at, message=message, hint="whoever asks for it wants that type: give it another key")])
    if imprint(new) == imprint(old):
        raise TransitionRefused(
            f"{quoted(old.key)}: the new definition decides as the one that serves does, so there is nothing to deliver"
        )
    if (size := len(canonical(definition))) > _LARGEST:
        message = f"{size:,} characters; a change of at most {_LARGEST:,} is kept in the store"
        raise DefinitionError([replace(at, message=message, hint="ask for an attribute instead of a list of ids")])


def _a(kind: str) -> str:
    return f"a {kind}"
