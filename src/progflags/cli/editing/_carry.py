"""An edit carried out: checked by the application's own parser first, and written only if it makes nothing wrong that was right."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from progflags.cli.editing._definitions import Definitions
from progflags.cli.editing._edit import Edit
from progflags.cli.editing._form import Text
from progflags.cli.editing._place import Draft, Kept, Place
from progflags.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from progflags.cli._diff import Change
    from progflags.context import Context
    from progflags.flags import Snapshot

__all__ = ["Done", "Plan", "Refused", "carry_out"]

Plan = Callable[[Definitions], Sequence[tuple[Text, Sequence[Edit]]]]
"""Which texts of the definitions as they are now are to be edited, and how. Asked again where somebody else was quicker."""

Facts = tuple["Mapping[str, tuple[Change, ...]]", tuple[Problem, ...]]

_PLACES: Final = re.compile(r"\[\d+\]")
_LINES: Final = re.compile(r"\b(line |:)\d+")


@dataclass(frozen=True, slots=True)
class Done:
    """
    What came of an edit.

    `diff`: the lines that are others, as `diff -u` has them. `changes`: which flags answer otherwise, and who moves, without an
    environment (the empty name) and in each. `revision`: of the store, where it was written there.
    """

    files: tuple[str, ...]
    diff: tuple[str, ...]
    changes: Mapping[str, tuple[Change, ...]]
    warnings: tuple[Problem, ...]
    written: bool
    revision: int | None = None


class Refused(DefinitionError):  # noqa: N818 - what became of the edit
    """The definitions would be wrong after it; `diff` says what was tried. The lines of the problems are those it would have."""

    def __init__(self, problems: Sequence[Problem], diff: tuple[str, ...]) -> None:
        self.diff = diff
        super().__init__(problems)


def carry_out(place: Place, plan: Plan, contexts: list[Context], *, dry: bool) -> Done:
    """
    Edit what is at `place` as `plan` says, for the eyes of `contexts`; nothing is written where that is `dry`.

    Raises:
        Refused: something would be wrong that was right before.
        ProgflagsError: there is nothing such to edit, or it can't be done.
    """
    draft = place.hold(lambda definitions: _drafted(definitions, plan, contexts, dry=dry))
    changes, warnings = draft.facts
    revision = place.revision if draft.write and isinstance(place, Kept) else None
    files = tuple(text.piece.file for _, text in draft.changed)
    return Done(files, _diff(draft.changed), changes, warnings, draft.write, revision)


def _drafted(definitions: Definitions, plan: Plan, contexts: list[Context], *, dry: bool) -> Draft:
    changed, now = list[tuple[Text | None, Text]](), definitions
    for text, edits in plan(definitions):
        new = text.edited(edits)
        now = now.with_(text, new)
        if new.piece.text != text.piece.text:
            changed.append((text if text in definitions.texts else None, new))
    facts = _judged(definitions, now, contexts, _diff(changed))
    return Draft(tuple(changed), now, write=not dry and bool(changed), facts=facts)


def _judged(before: Definitions, now: Definitions, contexts: list[Context], diff: tuple[str, ...]) -> Facts:
    """Who moves where, and what is doubtful that was not."""
    from progflags.cli._diff import compare

    old, new = _looked(before), _looked(now)
    wrong, doubtful = _problems(old), _problems(new)
    if old[""].snapshot is None and not before.empty:
        raise DefinitionError(wrong)  # nobody can know what an edit does to what no application would load
    if fresh := _fresh(doubtful, wrong):
        raise Refused(fresh, diff)
    changes = {}
    for environment, look in new.items():
        there = old.get(environment, old[""]).snapshot
        if look.snapshot is not None:
            changes[environment] = tuple(compare(there or _nothing(), look.snapshot, contexts))
    return changes, tuple(_fresh(_warnings(new), _warnings(old)))


@dataclass(frozen=True, slots=True)
class _Look:
    """What an application would make of the definitions, and everything that it, or the start of a rollout, would refuse."""

    snapshot: Snapshot | None
    problems: Sequence[Problem]


def _looked(definitions: Definitions) -> dict[str, _Look]:
    """Without an environment, and in each."""
    from progflags.sources import environments

    return {environment: _look(definitions, environment) for environment in ("", *environments(definitions.pieces))}


def _look(definitions: Definitions, environment: str) -> _Look:
    from progflags.rollout import unstartable
    from progflags.sources import assemble

    pieces = definitions.pieces
    name = pieces[0].file if len(pieces) == 1 else definitions.name
    try:
        snapshot = assemble(name, pieces, None, environment)
    except DefinitionError as error:
        return _Look(None, error.problems)
    return _Look(snapshot, (*snapshot.rejected, *unstartable(snapshot)))


def _problems(looks: Mapping[str, _Look]) -> list[Problem]:
    return list(dict.fromkeys(problem for look in looks.values() for problem in look.problems))


def _warnings(looks: Mapping[str, _Look]) -> list[Problem]:
    return list(dict.fromkeys(problem for look in looks.values() if look.snapshot for problem in look.snapshot.warnings))


def _nothing() -> Snapshot:
    from progflags.flags import Snapshot

    return Snapshot(flags={})


def _fresh(problems: Sequence[Problem], known: Sequence[Problem]) -> list[Problem]:
    """Those that were not there before, though on another line and in another place of a list."""
    left = Counter(map(_kind, known))
    found = []
    for problem in problems:
        kind = _kind(problem)
        if left[kind]:
            left[kind] -= 1
        else:
            found.append(problem)
    return found


def _kind(problem: Problem) -> tuple[Any, ...]:
    return problem.file, _PLACES.sub("[]", problem.key), _LINES.sub(r"\1", problem.message)


def _diff(changed: Iterable[tuple[Text | None, Text]]) -> tuple[str, ...]:
    found: list[str] = []
    for before, now in changed:
        file = now.piece.file
        old = before.plain.split("\n") if before else []
        found += difflib.unified_diff(old, now.plain.split("\n"), file, file, lineterm="", n=1)
    return tuple(line.rstrip("\r\n") for line in found)
