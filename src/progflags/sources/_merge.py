"""
Several documents as one: the files of a folder, the layers of a deployment.

Within a layer nothing may be said twice; a higher layer's flag (segment, group, holdout) replaces a lower one's whole. The
merged document is parsed once, so that a flag may require one that another file defines, and each problem is then given
back to the file it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from progflags.errors import DefinitionError, Problem
from progflags.flags import Lines, Snapshot, dotted, let_go, parse
from progflags.sources._contract import Piece
from progflags.sources._decode import decode_piece
from progflags.sources._env import apply

__all__ = ["assemble", "remembering"]

_SECTIONS = ("flags", "segments", "groups", "holdouts", "context", "profiles", "notify")


def assemble(name: str, pieces: Sequence[Piece], previous: Snapshot | None) -> Snapshot:
    """
    The snapshot that all `pieces` together describe; `name` is what the source is called.

    Raises:
        DefinitionError: one of them is no document, or they contradict each other; then none applies.
    """
    texts = [piece for piece in pieces if piece.form != "env"]
    if len(texts) == 1 == len(pieces):
        alone, lines = decode_piece(texts[0])
        snapshot = parse(alone, file=texts[0].file, lines=lines, previous=previous)
        tables = [*alone["flags"].values()]
        del alone
        let_go(tables)
        return snapshot
    merged = _merge(name, texts)
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
    notify = {name: merged.placed_channel(name, spec) for name, spec in snapshot.notify.items()}
    rejected, warnings = (*merged.placed(snapshot.rejected), *wrong), merged.placed(snapshot.warnings)
    snapshot = replace(snapshot, flags=flags, notify=notify, rejected=rejected, warnings=warnings)
    del document, merged
    let_go(tables)
    return snapshot


def remembering(types: Mapping[str, str], snapshot: Snapshot | None) -> Snapshot:
    """What served before, with the types of retired keys that were written down beside it."""
    before = snapshot or Snapshot(flags={})
    return replace(before, types={**types, **before.types})


@dataclass(slots=True)
class _Merged:
    """The documents so far, and which piece each entry came from."""

    name: str
    document: dict[str, Any] = field(default_factory=dict)
    origins: dict[tuple[str, ...], tuple[Piece, Lines]] = field(default_factory=dict)

    def lines(self, path: tuple[str | int, ...]) -> int | None:
        origin = self._origin(path)
        return origin[1](path) if origin else None

    def _origin(self, path: tuple[str | int, ...]) -> tuple[Piece, Lines] | None:
        return self.origins.get(tuple(map(str, path[:2]))) or self.origins.get(tuple(map(str, path[:1])))

    def placed(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """The problems, each with the file it lies in."""
        files = {dotted(path): piece.file for path, (piece, _) in self.origins.items()}
        return tuple(replace(problem, file=_owner(problem.key, files) or problem.file) for problem in problems)

    def reworked(self, key: str, flag: Any) -> Any:
        """A flag whose rollout names the file it is in, for the problems found later."""
        origin = self.origins.get(("flags", key))
        if origin is None or flag.rollout is None or flag.rollout.file != self.name:
            return flag
        return replace(flag, rollout=replace(flag.rollout, file=origin[0].file))

    def placed_channel(self, name: str, spec: Any) -> Any:
        """Likewise a channel."""
        origin = self.origins.get(("notify", name))
        return replace(spec, file=origin[0].file) if origin is not None and spec.file == self.name else spec


def _merge(name: str, pieces: Sequence[Piece]) -> _Merged:
    merged = _Merged(name)
    problems: list[Problem] = []
    for piece in pieces:
        try:
            document, lines = decode_piece(piece)
        except DefinitionError as error:
            problems += error.problems
            continue
        for key, value in document.items():
            note = _entry if key in _SECTIONS and isinstance(value, Mapping) else _whole
            note(merged, key, value, (piece, lines), problems)
    if problems:
        raise DefinitionError(problems)
    return merged


def _entry(merged: _Merged, section: str, table: Any, origin: tuple[Piece, Lines], problems: list[Problem]) -> None:
    """The entries of one section, by name."""
    into = merged.document.get(section)
    if not isinstance(into, dict):  # not there yet, or something an earlier piece should not have said: the parser tells
        into = merged.document[section] = {} if into is None else {"": into}
    for name, value in table.items():
        before = merged.origins.get((section, str(name)))
        if before is not None and before[0].layer == origin[0].layer:
            problems.append(_again((section, str(name)), before, origin))
        into[name] = value
        merged.origins[section, str(name)] = origin


def _whole(merged: _Merged, key: str, value: Any, origin: tuple[Piece, Lines], problems: list[Problem]) -> None:
    """A key that stands for itself. `retired` lists add up; others must agree within a layer."""
    before = merged.origins.get((key,))
    there = merged.document.get(key)
    if key == "retired" and isinstance(there, list) and isinstance(value, list):
        value = [*there, *(one for one in value if one not in there)]
    elif before is not None and before[0].layer == origin[0].layer and there != value:
        problems.append(_again((key,), before, origin))
    merged.document[key] = value
    merged.origins[(key,)] = origin


def _again(path: tuple[str, ...], before: tuple[Piece, Callable[..., int | None]], now: tuple[Piece, Lines]) -> Problem:
    line = before[1](path)
    where = before[0].file if line is None else f"{before[0].file}:{line}"
    return Problem(now[0].file, now[1](path), dotted(path), f"defined already in {where}", "keep one of the two")


def _owner(key: str, files: Mapping[str, str]) -> str | None:
    """The file of the longest origin that `key` lies in."""
    found = [path for path in files if key == path or key.startswith((f"{path}.", f"{path}["))]
    return files[max(found, key=len)] if found else None
