"""An edit carried out: checked by the application's own parser first, and written only if it makes nothing wrong that was right."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
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

Plan = Callable[[Definitions], tuple[Text, Sequence[Edit]]]
"""Which text of the definitions as they are now is to be edited, and how. Asked again where somebody else was quicker."""

_PLACES: Final = re.compile(r"\[\d+\]")
_LINES: Final = re.compile(r"\b(line |:)\d+")


@dataclass(frozen=True, slots=True)
class Done:
    """
    What came of an edit.

    `diff`: the lines that are others, as `diff -u` has them. `changes`: which flags answer otherwise, and who moves. `revision`: of the
    store, where it was written there.
    """

    file: str
    diff: tuple[str, ...]
    changes: tuple[Change, ...]
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
    written = draft.write
    revision = place.revision if written and isinstance(place, Kept) else None
    return Done(draft.text.piece.file, _diff(draft.before, draft.text), changes, warnings, written, revision)


def _drafted(definitions: Definitions, plan: Plan, contexts: list[Context], *, dry: bool) -> Draft:
    text, edits = plan(definitions)
    changed = definitions.edited(text, edits)
    new = next(one for one in changed.texts if one.piece.file == text.piece.file)
    before = text if text in definitions.texts else None
    facts = _judged(definitions, changed, contexts, _diff(before, new))
    return Draft(before, new, changed, write=not dry and new.piece.text != text.piece.text, facts=facts)


def _judged(
    before: Definitions, now: Definitions, contexts: list[Context], diff: tuple[str, ...]
) -> tuple[tuple[Change, ...], tuple[Problem, ...]]:
    """Who moves, and what is doubtful that was not."""
    from progflags.cli._diff import compare

    old, wrong = _snapshot(before) if any(text.document for text in before.texts) else (None, ())
    new, problems = _snapshot(now)
    if fresh := _fresh(problems, wrong):
        raise Refused(fresh, diff)
    changes = tuple(compare(old or _nothing(), new, contexts))
    return changes, tuple(_fresh(new.warnings, () if old is None else old.warnings))


def _snapshot(definitions: Definitions) -> tuple[Snapshot, tuple[Problem, ...]]:
    """What an application would make of it, and everything that it, or the start of a rollout, would refuse."""
    from progflags.rollout import unstartable
    from progflags.sources import assemble

    pieces = definitions.pieces
    name = pieces[0].file if len(pieces) == 1 else definitions.name
    snapshot = assemble(name, pieces, None)
    return snapshot, (*snapshot.rejected, *unstartable(snapshot))


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


def _diff(before: Text | None, now: Text) -> tuple[str, ...]:
    file = now.piece.file
    old = before.plain.split("\n") if before else []
    return tuple(line.rstrip("\r\n") for line in difflib.unified_diff(old, now.plain.split("\n"), file, file, lineterm="", n=1))
