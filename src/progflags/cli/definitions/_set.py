"""`set`: other values for keys of a flag."""

from __future__ import annotations

import argparse
from typing import Any

from progflags.cli.definitions._shown import change, options
from progflags.cli.definitions._words import assignments, placed, rule_at
from progflags.cli.editing import Definitions, Edit, Path, Put, Take, Text, at
from progflags.errors import ProgflagsError

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

    def plan(definitions: Definitions) -> tuple[Text, list[Edit]]:
        text = definitions.flag(flag)
        puts: list[Edit] = [Put(_path(text, flag, path), value) for path, value in found]
        return text, [*_takes(text, flag, gone), *puts]

    return change(arguments, plan, notes=notes)


def _takes(text: Text, flag: str, gone: list[Path]) -> list[Edit]:
    """What is to be gone, the later items of a list first."""
    paths = [_path(text, flag, path) for path in gone]
    for path in paths:
        if at(text.document, path) is None:
            raise ProgflagsError(f"{flag}: there is no {'.'.join(map(str, path[2:]))} that could be taken out")
    return [Take(path) for path in sorted(paths, key=repr, reverse=True)]


def _path(text: Text, flag: str, path: Path) -> Path:
    """A path below the flag, with the places of rules that were named."""
    found: Path = ("flags", flag)
    table = text.document["flags"][flag]
    for part in path:
        if isinstance(part, str) and part.startswith("[") and found[2:] == ("rules",):
            part = rule_at(table, part[1:], flag)  # noqa: PLW2901 - the same part, found
        if isinstance(part, int):
            rows = at(text.document, found, [])
            if not 0 <= part < len(rows):
                raise ProgflagsError(f"{flag}: there is no {'.'.join(map(str, found[2:]))}[{part}]; there are {len(rows)}, from 0")
        found = (*found, part)
    return found
