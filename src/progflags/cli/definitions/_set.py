"""`set`: other values for keys of a flag."""

from __future__ import annotations

import argparse
from typing import Any

from progflags.cli.definitions._shown import change, options
from progflags.cli.definitions._spot import Spot
from progflags.cli.definitions._words import assignments, placed, rule_at, table
from progflags.cli.editing import Definitions, Edit, Path, Put, Take, Text, at
from progflags.errors import ProgflagsError
from progflags.flags import dotted

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("set", help="change keys of a flag in its file, or in the store it was pushed to")
    parser.add_argument("flag", metavar="FLAG")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="as in percent=20, rollout.profile=high, rules[staff].serve=fast")
    parser.add_argument("--unset", action="append", default=[], metavar="KEY", help="take a key out; repeat for more")
    options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines and who moves, and write. Exit 0; 2 when it is refused."""
    if not arguments.words and not arguments.unset:
        raise ProgflagsError(f"say what is to be: progflags set {arguments.flag} percent=20")
    found, notes = assignments(arguments.words)
    gone = [placed(key) for key in arguments.unset]
    flag: str = arguments.flag

    def plan(definitions: Definitions) -> list[tuple[Text, list[Edit]]]:
        spot = Spot.of(definitions, flag, arguments.environment)
        takes = _takes(spot, gone)
        if spot.table is None:  # the first that is said of it in that environment
            return [(spot.text, [Put(spot.path, table(found))])]
        return [(spot.text, [*takes, *(Put(_path(spot, path), value) for path, value in found)])]

    return change(arguments, plan, notes=notes)


def _takes(spot: Spot, gone: list[Path]) -> list[Edit]:
    """What is to be gone, the later items of a list first."""
    paths = [_path(spot, path) for path in gone]
    for path in paths:
        if at(spot.text.document, path) is None:
            raise ProgflagsError(f"{spot.path[-1]}: there is no {dotted(path[len(spot.path) :])} that could be taken out")
    return [Take(path) for path in sorted(paths, key=_order, reverse=True)]


def _order(path: Path) -> list[tuple[str, int]]:
    """By name, and by place in a list; what lies within something is behind it."""
    return [("", part) if isinstance(part, int) else (part, 0) for part in path]


def _path(spot: Spot, path: Path) -> Path:
    """A path below the flag, with the places of rules that were named."""
    inside: Path = ()
    flag = spot.path[-1]
    for part in path:
        place = part
        if isinstance(part, str) and part.startswith("[") and inside == ("rules",):
            place = rule_at(spot.rules(), part[1:], str(flag))
        if isinstance(place, int):
            rows = at(spot.table, inside, [])
            if not 0 <= place < len(rows):
                raise ProgflagsError(f"{flag}: there is no {dotted((*inside, place))}; there are {len(rows)}, from 0")
        inside = (*inside, place)
    return (*spot.path, *inside)
