"""
Edits: which of the changes of definition in the live state are served here, and what each says.

The file is the source of truth. A change is served as long as the file's definition still is the one it was made of; any other takes
over at once, and keeps to it: a file that goes back to the old definition means the old one. What this process can't read (another
version of progflags wrote it, a prerequisite is gone) is not served either, and `unserved` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from progflags.errors import DefinitionError, Problem
from progflags.flags._bucket import PPM
from progflags.flags._imprint import imprint
from progflags.flags._model import FlagModel
from progflags.flags.file import alone, circles, circular
from progflags.flags.serving._edit import Edit
from progflags.flags.serving._live import Live

__all__ = ["SOURCE", "Edits"]

SOURCE: Final = "<change>"
"""What stands for a file in the problems of a definition that came from the store."""


class _Read(NamedTuple):
    """What a change's definition was read as, beside which flags."""

    edit: Edit
    flags: Mapping[str, FlagModel]
    model: FlagModel | None
    why: str


class Edits:
    """One client's memory of them. Asked under the client's lock; for a flag without a change nothing is asked."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._read: dict[str, _Read] = {}
        self._marks: dict[str, tuple[FlagModel, str]] = {}
        self._since: dict[str, tuple[str, float]] = {}  # the change's salt and digest, and since when the file has been its base here
        self._left: dict[str, str] = {}  # the change that the file has left behind here
        self.whole: tuple[str, ...] = ()  # flags whose change serves everybody, for good
        self.why: Mapping[str, str] = {}  # by flag: why its change is not served here; empty where the file says otherwise

    def imprint(self, flag: FlagModel) -> str:
        """The mark of a definition that serves, worked out once."""
        known = self._marks.get(flag.key)
        if known is None or known[0] is not flag:
            known = self._marks[flag.key] = flag, imprint(flag)
        return known[1]

    def definition(self, key: str) -> FlagModel | None:
        """The new definition of a flag that serves some of the traffic here, None where there is none."""
        read = self._read.get(key)
        return None if read is None else read.model

    def served(self, flags: Mapping[str, FlagModel], lives: Mapping[str, Live], *, aside: bool = False) -> dict[str, FlagModel]:
        """
        The new definitions by flag, of those changes that are served here. `aside`: for a view that is kept, or an override, which may be
        of what served before: nothing is learnt from it.
        """
        changed = {key: live for key, live in lives.items() if live.edit is not None and key in flags}
        if not changed and not self._read and not self._left:
            return {}
        why: dict[str, str] = {}
        found: dict[str, FlagModel] = {}
        for key, live in changed.items():
            assert live.edit is not None
            if not aside:
                self._look(key, live.edit, flags[key])
            if live.share and self._stands(key, live.edit, flags[key]):
                read = self._model(key, live.edit, flags)
                if read.model is None:
                    why[key] = read.why
                else:
                    found[key] = read.model
        for key, said in _circular(flags, found).items():
            del found[key]
            why[key] = said
        if not aside:
            self._forget(changed)
            self.whole = tuple(key for key in found if (live := lives[key]).share == PPM and not live.counting)
            self.why = why
        return found

    def doubtful(self) -> tuple[Problem, ...]:
        """What a person has to look after: `unserved`, and what serves from the store alone."""
        return (*self.unserved(), *self.outstanding())

    def unserved(self) -> tuple[Problem, ...]:
        """The changes that are not served here although the file is as they want it, and why."""
        hint = "the old definition serves here: update progflags, or roll the change back"
        said = {key: f"its new definition can't be served: {why}" for key, why in self.why.items()}
        return tuple(Problem(SOURCE, None, f"flags.{key}", why, hint) for key, why in said.items())

    def outstanding(self) -> tuple[Problem, ...]:
        """The changes that serve everybody, and that the file does not have."""
        return tuple(
            Problem(SOURCE, None, f"flags.{key}", "its new definition serves everybody from the store alone", "put it into the flag file")
            for key in self.whole
        )

    def _look(self, key: str, edit: Edit, flag: FlagModel) -> None:
        """Notice whether the file still has the definition that the change was made of."""
        mark = _mark(edit)
        if self.imprint(flag) != edit.base:
            self._left[key] = mark
        elif self._since.get(key, ("", 0.0))[0] != mark:
            self._since[key] = mark, self._now()

    def _stands(self, key: str, edit: Edit, flag: FlagModel) -> bool:
        """Whether the change is of this definition, and no file has taken over since: here, or before this process began."""
        if self.imprint(flag) != edit.base or self._left.get(key) == _mark(edit):
            return False
        return edit.landed is None or self._since.get(key, ("", edit.landed))[1] < edit.landed

    def _model(self, key: str, edit: Edit, flags: Mapping[str, FlagModel]) -> _Read:
        known = self._read.get(key)
        if known is not None and known.edit.digest == edit.digest and known.flags is flags:
            return known
        try:
            model, why = alone(edit.definition, key, flags, file=SOURCE), ""
        except DefinitionError as error:
            model, why = None, "; ".join(f"{problem.key}: {problem.message}" for problem in error.problems[:3])
        before = None if known is None else known.model
        if model is not None and before is not None and before.same(model):
            model = before  # an unchanged definition stays one from reload to reload
        read = self._read[key] = _Read(edit, flags, model, why)
        return read

    def _forget(self, changed: Mapping[str, Any]) -> None:
        """Nothing is remembered of flags without a change."""
        for table in (self._read, self._marks, self._since, self._left):
            for key in table.keys() - changed.keys():
                table.pop(key, None)


def _mark(edit: Edit) -> str:
    return f"{edit.digest} {edit.salt}"


def _circular(flags: Mapping[str, FlagModel], found: Mapping[str, FlagModel]) -> dict[str, str]:
    """The changes by which prerequisites would go in a circle, each of which alone would not."""
    if not any(model.requires for model in found.values()):
        return {}
    graph = {key: [require.flag for require in (*flag.requires, *_requires(found.get(key)))] for key, flag in flags.items()}
    rings = circles({key: required for key, required in graph.items() if required})
    why = "with another change the prerequisites go in a circle"
    return {key: f"{why}: {circular(ring)}" for ring in rings for key in ring if key in found}


def _requires(model: FlagModel | None) -> Iterable[Any]:
    return () if model is None else model.requires
