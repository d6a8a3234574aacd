"""
Several documents as one: the files of a folder, the layers of a deployment.

Within a layer nothing may be said twice; a higher layer's flag (segment, group, holdout) replaces a lower one's whole. What the
files of a layer say of the environment is one overlay, which is laid over everything up to and including that layer. The
merged document is parsed once, so that a flag may require one that another file defines, and each problem is then given
back to the file, and the environment, that it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Final

from progflags._printed import cut, quoted
from progflags.errors import DefinitionError, Problem
from progflags.flags import Lines, Snapshot, dotted, let_go, parse, suggest
from progflags.sources._contract import Piece
from progflags.sources._decode import decode_piece
from progflags.sources._env import apply
from progflags.sources._overlay import ENVIRONMENTS, SECTIONS, Path, overlay

__all__ = ["assemble", "astray", "environments", "laid", "merged", "place_of", "remembering"]

_DECLARE: Final = "declare it in the flag file: [environments.{}], an empty table will do"


def assemble(name: str, pieces: Sequence[Piece], previous: Snapshot | None, environment: str = "") -> Snapshot:
    """
    The snapshot that all `pieces` together describe, in `environment` (empty: in none); `name` is what the source is called.

    Raises:
        DefinitionError: one of them is no document, or they contradict each other, or none knows the environment; then none applies.
    """
    texts = [piece for piece in pieces if piece.form != "env"]
    decoded = None
    if len(texts) == 1 == len(pieces):
        name = texts[0].file
        alone, lines = decode_piece(texts[0])
        if not environment and ENVIRONMENTS not in alone:
            snapshot = parse(alone, file=name, lines=lines, previous=previous)
            tables = [*alone["flags"].values()]
            del alone
            let_go(tables)
            return snapshot
        decoded = alone, lines
        del alone
    merged = _merge(name, texts, environment, decoded)
    del decoded
    document: Mapping[str, Any] = merged.document
    wrong: tuple[Problem, ...] = ()
    for piece in pieces:
        if piece.form == "env":
            document, more = apply(decode_piece(piece)[0], document)
            wrong = (*wrong, *more)
    try:
        snapshot = parse(document, file=name, lines=merged.lines, previous=previous)
    except DefinitionError as error:
        raise DefinitionError(merged.placed(error.problems)) from None
    tables = [*document["flags"].values(), *merged.document["flags"].values()]
    flags = {key: merged.reworked(key, flag) for key, flag in snapshot.flags.items()}
    notify = {name: merged.rehomed(("notify", name), spec) for name, spec in snapshot.notify.items()}
    own = {name: spec if isinstance(spec, str) else merged.rehomed(("profiles", name), spec) for name, spec in snapshot.profiles.items()}
    rejected, warnings = (*merged.placed(snapshot.rejected), *wrong), merged.placed(snapshot.warnings)
    snapshot = replace(snapshot, flags=flags, notify=notify, profiles=own, rejected=rejected, warnings=warnings, environment=environment)
    merged.document = {}  # rollouts remember where their parts are, and no more of it
    del document, merged
    let_go(tables)
    return snapshot


def laid(piece: Piece, environment: str) -> tuple[Mapping[str, Any], Lines]:
    """
    One piece as a document, with what it says of `environment` laid over it, if it says anything.

    Raises:
        DefinitionError: it is no document, or says something that can't be laid.
    """
    alone, lines = decode_piece(piece)
    said = alone.get(ENVIRONMENTS)
    if not environment or not isinstance(said, Mapping) or environment not in said:
        return {name: table for name, table in alone.items() if name != ENVIRONMENTS}, lines
    merged = _merge(piece.file, [piece], environment, (alone, lines))
    return merged.document, merged.lines


def merged(name: str, pieces: Sequence[Piece], environment: str = "") -> Mapping[str, Any]:
    """
    The one document that `pieces` together are in `environment`, before it is parsed.

    Raises:
        DefinitionError: as `assemble`.
    """
    return _merge(name, [piece for piece in pieces if piece.form != "env"], environment).document


def environments(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """
    The environments that `pieces` declare, in their order.

    Raises:
        DefinitionError: one of them is no document.
    """
    found: dict[str, None] = {}
    for piece in pieces:
        declared = None if piece.form == "env" else decode_piece(piece)[0].get(ENVIRONMENTS)
        found |= dict.fromkeys(map(str, declared)) if isinstance(declared, Mapping) else {}
    return tuple(found)


def astray(name: str, pieces: Sequence[Piece], snapshot: Snapshot) -> tuple[Problem, ...]:
    """What is wrong in one of the environments, and right in `snapshot`, which is without."""
    found: dict[Problem, None] = {}
    for one in environments(pieces):
        try:
            wrong = assemble(name, pieces, snapshot, one).rejected
        except DefinitionError as error:
            wrong = tuple(error.problems)
        found |= dict.fromkeys(wrong)
    return tuple(problem for problem in found if problem not in snapshot.rejected)


def place_of(name: str, pieces: Sequence[Piece], environment: str = "") -> Callable[[Path, str], Problem]:
    """What makes a problem of a path in the document that all `pieces` describe: with the file, line and key it lies at."""
    merged = _merge(name, [piece for piece in pieces if piece.form != "env"], environment)

    def problem(path: Path, message: str) -> Problem:
        line = next((found for length in range(len(path), 0, -1) if (found := merged.lines(path[:length])) is not None), None)
        file, full = merged.place(path)
        return Problem(file, line, dotted(full), message)

    return problem


def remembering(types: Mapping[str, str], snapshot: Snapshot | None) -> Snapshot:
    """What served before, with the types of retired keys that were written down beside it."""
    before = snapshot or Snapshot(flags={})
    return replace(before, types={**types, **before.types})


@dataclass(frozen=True, slots=True)
class _Origin:
    """
    Which piece an entry came from; `within`: what stands before its path there, an environment's name.

    `whole`: all that lies in it came from there too.
    """

    piece: Piece
    lines: Lines
    within: Path = ()
    whole: bool = True

    def line(self, path: Path) -> int | None:
        return self.lines((*self.within, *path))

    def problem(self, path: Path, message: str, hint: str = "") -> Problem:
        return Problem(self.piece.file, self.line(path), dotted((*self.within, *path)), message, hint)


@dataclass(slots=True)
class _Merged:
    """The documents so far, and which piece each entry came from."""

    name: str
    document: dict[str, Any] = field(default_factory=dict)
    origins: dict[tuple[str, ...], _Origin] = field(default_factory=dict)
    laid: dict[tuple[str, ...], dict[tuple[str, ...], _Origin]] = field(default_factory=dict)  # an environment's say, by entry

    # What it is made of.

    def take(self, document: Mapping[str, Any], origin: _Origin, problems: list[Problem]) -> None:
        """Add one piece's document."""
        for key, value in document.items():
            note = self._entry if key in SECTIONS and isinstance(value, Mapping) else self._whole
            note(key, value, origin, problems)

    def _entry(self, section: str, table: Any, origin: _Origin, problems: list[Problem]) -> None:
        """The entries of one section, by name."""
        into = self.document.get(section)
        if not isinstance(into, dict):  # not there yet, or something an earlier piece should not have said: the parser tells
            into = self.document[section] = {} if into is None else {"": into}
        for name, value in table.items():
            path = (section, str(name))
            before = self.origins.get(path)
            if before is not None and before.piece.layer == origin.piece.layer:
                problems.append(_again(path, before, origin))
            into[name] = value
            self._replaced(path, origin)

    def _whole(self, key: str, value: Any, origin: _Origin, problems: list[Problem]) -> None:
        """A key that stands for itself. `retired` lists add up; others must agree within a layer."""
        before = self.origins.get((key,))
        there = self.document.get(key)
        if key == "retired" and isinstance(there, list) and isinstance(value, list):
            value = [*there, *(one for one in value if one not in there)]
        elif before is not None and before.piece.layer == origin.piece.layer and there != value:
            problems.append(_again((key,), before, origin))
        self.document[key] = value
        self._replaced((key,), origin)

    def _replaced(self, path: tuple[str, ...], origin: _Origin) -> None:
        """What is at `path` comes from `origin` now, and nothing in it from a lower layer's environment."""
        self.origins[path] = origin
        self.laid.pop(path, None)

    def lay(self, over: _Merged) -> None:
        """Lay what the pieces of a layer say of the environment over everything so far."""

        def note(path: Path, whole: bool) -> None:
            origin = over.origin(path)
            if origin is not None:
                names = tuple(map(str, path))
                self.laid.setdefault(names[:2], {})[names] = replace(origin, whole=whole)
            elif whole:  # a section that was not there: its entries may be of several files
                self.laid |= {entry: {entry: one} for entry, one in over.origins.items() if entry[0] == path[0]}

        self.document = overlay(self.document, over.document, note)

    # Where its parts are.

    def origin(self, path: Path) -> _Origin | None:
        names = tuple(map(str, path))
        laid = {**self.laid.get(names[:1], {}), **self.laid.get(names[:2], {})} if self.laid else {}
        for length in range(len(names), 0, -1):
            found = laid.get(names[:length])
            if found is not None and (found.whole or length == len(names)):
                return found
        return self.origins.get(names[:2]) or self.origins.get(names[:1])

    def lines(self, path: Path) -> int | None:
        origin = self.origin(path)
        return origin.line(path) if origin else None

    def place(self, path: Path) -> tuple[str, Path]:
        """The file that has the part at `path`, and where in it."""
        origin = self.origin(path)
        return (origin.piece.file, (*origin.within, *path)) if origin else (self.name, path)

    def placed(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """The problems, each with the file it lies in, and where in it."""
        problems = tuple(problems)
        if not problems:
            return ()
        laid = [each for entry in self.laid.values() for each in entry.items()]
        places = {dotted(path): origin for path, origin in (*self.origins.items(), *laid) if origin.whole}
        shared = {dotted(path): origin for path, origin in laid if not origin.whole}
        return tuple(_placed(problem, shared.get(problem.key) or _owner(problem.key, places)) for problem in problems)

    def reworked(self, key: str, flag: Any) -> Any:
        """A flag whose rollout names the file it is in, for the problems found later."""
        origin = self._home(("flags", key))
        if origin is None or flag.rollout is None or flag.rollout.file != self.name:
            return flag
        return replace(flag, rollout=replace(flag.rollout, file=origin.piece.file, place=self.place))

    def _home(self, path: tuple[str, ...]) -> _Origin | None:
        """Where an entry was defined, whoever says something else of it: the file by which a flag's profile is chosen."""
        return self.origins.get(path) or self.laid.get(path, {}).get(path)

    def rehomed(self, path: tuple[str, ...], spec: Any) -> Any:
        """Likewise a channel, or a profile."""
        origin = self._home(path)
        return replace(spec, file=origin.piece.file, place=self.place) if origin is not None and spec.file == self.name else spec


def _merge(name: str, pieces: Sequence[Piece], environment: str, decoded: tuple[Mapping[str, Any], Lines] | None = None) -> _Merged:
    """`decoded`: the one piece there is, where it has been."""
    merged = _Merged(name)
    problems: list[Problem] = []
    declared: dict[str, None] = {}
    for _, layer in groupby(pieces, key=lambda piece: piece.layer):
        over = _Merged(name)
        for piece in layer:
            try:
                document, lines = decoded or decode_piece(piece)
            except DefinitionError as error:
                problems += error.problems
                continue
            origin = _Origin(piece, lines)
            merged.take({key: value for key, value in document.items() if key != ENVIRONMENTS}, origin, problems)
            for found, table in _declared(document, origin, problems):
                declared[found] = None
                if found == environment and _may_be_laid(table, origin, found, problems):
                    over.take(table, replace(origin, within=(ENVIRONMENTS, found)), problems)
        merged.lay(over)
    if environment and environment not in declared and not problems:
        hint = suggest(environment, declared) or _DECLARE.format(cut(dotted((environment,)), 80))
        problems.append(Problem(name, None, ENVIRONMENTS, f"there is no environment {quoted(environment)}", hint))
    if problems:
        raise DefinitionError(problems)
    return merged


def _declared(document: Mapping[str, Any], origin: _Origin, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    table = document.get(ENVIRONMENTS, {})
    if not isinstance(table, Mapping):
        problems.append(
            origin.problem((ENVIRONMENTS,), "a table of environments is wanted here", "write [environments.staging.flags.my-flag]")
        )
        return
    yield from ((str(name), own) for name, own in table.items())


def _may_be_laid(table: Any, origin: _Origin, name: str, problems: list[Problem]) -> bool:
    """Whether what is said of an environment is a document's worth of tables."""
    path: Path = (ENVIRONMENTS, name)
    if not isinstance(table, Mapping):
        problems.append(origin.problem(path, "a table is wanted here", f"write [{dotted(path)}.flags.my-flag]"))
    elif ENVIRONMENTS in table:
        problems.append(origin.problem((*path, ENVIRONMENTS), "an environment has no environments of its own", "take it out"))
    else:
        return True
    return False


def _again(path: Path, before: _Origin, now: _Origin) -> Problem:
    line = before.line(path)
    where = before.piece.file if line is None else f"{before.piece.file}:{line}"
    return now.problem(path, f"defined already in {where}", "keep one of the two")


def _placed(problem: Problem, origin: _Origin | None) -> Problem:
    """The problem with the file it lies in, and the environment."""
    if origin is None:
        return problem
    within = f"{dotted(origin.within)}." if origin.within else ""
    return replace(problem, file=origin.piece.file, key=f"{within}{problem.key}")


def _owner(key: str, places: Mapping[str, _Origin]) -> _Origin | None:
    """The longest origin that `key` lies in."""
    ends = [len(key), *(at for at in range(len(key) - 1, 0, -1) if key[at] in ".[")]
    return next((places[key[:end]] for end in ends if key[:end] in places), None)
