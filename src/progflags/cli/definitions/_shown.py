"""What every command that changes definitions takes and shows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from progflags._printed import printable, several
from progflags.cli._client import timed
from progflags.cli._diff import people, sentences, units, who
from progflags.cli._say import tell, tell_json
from progflags.cli.editing import Done, Plan, Refused, carry_out, place

__all__ = ["change", "options"]

_TIMEOUT = 30.0  # seconds, as `push` has: the definitions are compared as a whole


def options(parser: Any) -> None:
    """What all of them take, in any order."""
    parser.any_order = True
    parser.add_argument("--dry-run", action="store_true", help="show what it would do, and write nothing")
    parser.add_argument("--by", default=None, help="who, for the store's history; default: the login name")
    people(parser)
    timed(parser, _TIMEOUT)


def change(
    arguments: argparse.Namespace,
    plan: Plan,
    *,
    new: bool = False,
    notes: Sequence[str] = (),
    besides: Callable[[], Mapping[str, Any]] = dict,
    told: Callable[[], Iterable[str]] = tuple,
) -> int:
    """
    Carry out what `plan` says, and show it. `new`: the file need not be there yet.

    `besides` and `told` are what there is to say besides, as JSON and in lines, once `plan` was asked. Exit 0 when it was written, or
    would be; 2 when it is refused, and then nothing was.
    """
    contexts = who(arguments)
    try:
        with place(arguments, new=new) as where:
            done = carry_out(where, plan, contexts, dry=arguments.dry_run)
            name = where.name
    except Refused as refused:
        if not arguments.json:
            _lines((*told(), *refused.diff))
            tell("refused, nothing was written:", to=sys.stderr)
        raise
    if arguments.json:
        tell_json({**_facts(done, name, notes, len(contexts)), **besides()}, default=str)
        return 0
    for note in notes:
        tell(f"note: {note}")
    _lines((*told(), *done.diff, *_moves(done)))
    for warning in done.warnings:
        tell(f"warning: {warning}", to=sys.stderr)
    if any(one.kind == "changed" for changes in done.changes.values() for one in changes):
        tell(f"by {units(arguments, contexts)}")
    tell(_end(done, name, dry=arguments.dry_run))
    return 0


def _moves(done: Done) -> Iterator[str]:
    """Who moves; in an environment only where that is something else."""
    everywhere = done.changes.get("", ())
    yield from sentences(everywhere)
    for environment, changes in done.changes.items():
        if changes != everywhere:
            yield f"in {environment}:" + ("" if changes else " nothing changes")
            yield from (f"  {line}" for line in sentences(changes))


def _facts(done: Done, name: str, notes: Sequence[str], count: int) -> dict[str, object]:
    changes = {where: [one.to_dict() for one in found] for where, found in done.changes.items()}
    stored = {} if done.revision is None else {"revision": done.revision}
    said = {
        "ok": True,
        "source": name,
        "files": list(done.files),
        "written": done.written,
        **stored,
        "diff": list(done.diff),
        "units": count,
    }
    warnings = [one.to_dict() for one in done.warnings]
    return {**said, "changes": changes.pop("", []), "environments": changes, "warnings": warnings, "notes": list(notes)}


def _end(done: Done, name: str, *, dry: bool) -> str:
    files = several(done.files)
    if not files:
        return f"{printable(name)}: it says so already, nothing was written"
    if dry:
        return f"{files}: nothing was written (--dry-run)"
    return f"{files}: written" if done.revision is None else f"{printable(name)}: {files} written, store revision {done.revision}"


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        tell(line)
