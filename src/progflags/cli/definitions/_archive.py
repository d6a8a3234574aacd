"""`archive`: a flag that is over leaves the file, and its key is remembered."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from progflags._printed import printable
from progflags.cli.definitions._shown import change, options
from progflags.cli.editing import Definitions, Edit, Insert, Take, Text, at
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("archive", help="take a flag out of its file, and name its key in `retired`")
    parser.add_argument("flag", metavar="FLAG")
    parser.add_argument("--reason", default="", help="why, as a comment beside the key")
    options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines, and write. Exit 0; 2 when it is refused, as where another flag requires this one."""
    flag: str = arguments.flag
    if arguments.environment:
        raise ProgflagsError("a flag is archived in every environment at once: leave --environment out")

    def plan(definitions: Definitions) -> list[tuple[Text, list[Edit]]]:
        if definitions.holder(("flags", flag)) is None and (gone := definitions.retired(flag)) is not None:
            raise ProgflagsError(f"{gone.piece.file}: {flag!r} was retired already")
        text = definitions.flag(flag)
        path = ("flags", flag)
        reason = (f"# {printable(arguments.reason)}",) if arguments.reason else ()
        keys = at(text.document, ("retired",), [])
        edits: list[Edit] = [Take(path)]
        if flag not in keys:
            edits.append(Insert(("retired",), len(keys), flag, (*text.notes(path), *reason)))
        overlays = {one.piece.file: (one, _overlays(one, flag)) for one in definitions.texts}
        overlays[text.piece.file] = (text, [*_overlays(text, flag), *edits])
        return [(one, found) for one, found in overlays.values() if found]

    return change(arguments, plan)


def _overlays(text: Text, flag: str) -> list[Edit]:
    """What environments say of the flag goes with it."""
    declared = at(text.document, ("environments",), {})
    paths = [("environments", name, "flags", flag) for name in (declared if isinstance(declared, Mapping) else ())]
    return [Take(path) for path in paths if at(text.document, path) is not None]
