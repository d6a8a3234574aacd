"""
The archive: lines about runs of rollouts that are long over, put into files and then cut from the store.

First the file is on disk; then a line of the chain says that it holds so many lines, and the hash of the last; then these are cut. Whoever
dies in between has lost nothing: the next one finds the line, and cuts what it speaks of. Lines of the present run always stay, and so
does what a sink is still to be told, for it is told from the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from progflags import _disk
from progflags.errors import ConflictError, StoreError
from progflags.rollout.run._history import ARCHIVED
from progflags.rollout.run._ledger import Ledger

__all__ = ["Archived", "archive", "archived"]

_VERSION: Final = 1
_TRIES: Final = 5  # against others who write the same rollout meanwhile


@dataclass(frozen=True, slots=True)
class Archived:
    """
    What became of one flag's lines: `first` to `last` are in `file` and no longer in the store. Nothing was old enough: no file.

    `untold`: the sinks (`notify/NAME` of a channel) that have not been told lines which were old enough; those stay until they have.
    """

    flag: str
    first: int = 0
    last: int = 0
    file: Path | None = None
    untold: tuple[str, ...] = ()


def archive(ledger: Ledger, flag: str, folder: Path, *, until: float, actor: str, untold: bool = False) -> Archived:
    """
    Archive what ended before `until` (wall time) in `folder`, which is made when absent; `untold`, although a sink was not told of it.

    Raises:
        StoreError: out of reach, not a store that forgets anything, or others write this rollout all the time.
        OSError: the file could not be written; nothing was cut.
    """
    for _ in range(_TRIES):
        first, page = ledger.begins(flag), ledger.page(flag)
        lines = list(ledger.history.lines(flag))
        said = next((int(line["through"]) for line in reversed(lines) if line.get("act") == ARCHIVED), 0)
        if said >= first:  # somebody died before the cut
            ledger.begins(flag, said)
            continue
        over = [] if page.record is None else list(_over(lines, page.record.run, until))
        waits = {} if untold or not over else {sink: at for sink, at in ledger.told(flag).items() if at < int(over[-1]["number"])}
        old = [line for line in over if int(line["number"]) <= min(waits.values(), default=int(line["number"]))]
        if not old:
            return Archived(flag, untold=tuple(sorted(waits)))
        last, file = int(old[-1]["number"]), _put(folder, flag, old)
        try:
            reason = f"lines {first} to {last} of its history were archived"
            ledger.note(page, ARCHIVED, actor=actor, reason=reason, through=last, head=old[-1]["hash"])
        except ConflictError:
            continue
        ledger.begins(flag, last)
        return Archived(flag, first, last, file, tuple(sorted(waits)))
    raise StoreError(f"others write the rollout of {flag} all the time: try again")


def archived(folder: Path, flag: str) -> list[Mapping[str, Any]]:
    """
    The lines of a flag that lie in a folder, in order; each once.

    Raises:
        ValueError: a file is torn, was edited or is another program's; it is named.
        OSError: the folder can't be read.
    """
    found = {line["number"]: line for file in sorted(folder.iterdir()) if _is_of(file, flag) for line in _lines(file)}
    return [found[number] for number in sorted(found)]


def _over(lines: Sequence[Mapping[str, Any]], run: int, until: float) -> Iterator[Mapping[str, Any]]:
    """The first lines, as far as they are about earlier runs and old enough."""
    return takewhile(lambda line: int(line["run"]) < run and float(line["at"]) < until, lines)


def _put(folder: Path, flag: str, lines: Sequence[Mapping[str, Any]]) -> Path:
    file = folder / f"{quote(flag, safe='')}.{lines[0]['number']}-{lines[-1]['number']}.json"
    _disk.put(file, {"v": _VERSION, "flag": flag, "lines": lines})
    return file


def _is_of(file: Path, flag: str) -> bool:
    name, _, numbers = file.name.removesuffix(".json").rpartition(".")
    return file.suffix == ".json" and name == quote(flag, safe="") and numbers.replace("-", "").isdecimal()


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        body = _disk.get(file, _VERSION)
        yield from sorted(body["lines"], key=lambda line: int(line["number"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is no archive of ours: {error}") from error
