"""`add`: a flag more."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from progflags.cli.definitions._shown import change, options
from progflags.cli.definitions._words import assignments, table
from progflags.cli.editing import Definitions, Edit, Put, Text, empty
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("add", help="a flag more, in a file or in the store")
    parser.add_argument("flag", metavar="FLAG")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="as in percent=5, owner=search, rollout.profile=standard")
    parser.add_argument("--in", dest="into", metavar="FILE", help="in which file of a folder; one that is not there yet is made")
    options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines, and write. Exit 0; 2 when it is refused."""
    found, notes = assignments(arguments.words)
    value = table(found)
    flag: str = arguments.flag

    def plan(definitions: Definitions) -> list[tuple[Text, list[Edit]]]:
        there = definitions.holder(("flags", flag))
        if there is not None:
            raise ProgflagsError(f"{there.piece.file}: there is a flag {flag!r} already: progflags set {flag} … changes it")
        gone = definitions.retired(flag)
        if gone is not None:
            raise ProgflagsError(f"{gone.piece.file}: {flag!r} was retired: take another key, for old code may still ask for this one")
        if not arguments.environment:
            return [(_text(definitions, arguments.into), [Put(("flags", flag), value)])]
        text = definitions.environment(arguments.environment)
        return [(text, [Put(("environments", arguments.environment, "flags", flag), value)])]

    return change(arguments, plan, new=True, notes=notes)


def _text(definitions: Definitions, into: str | None) -> Text:
    """
    The file it goes into.

    Raises:
        ProgflagsError: nobody can know which.
    """
    from progflags.sources import FORMS

    files = [text.piece.file for text in definitions.texts]
    if into is None:
        if len(files) == 1:
            return definitions.texts[0]
        raise ProgflagsError(f"{definitions.name}: into which of its files? say --in FILE (known: {', '.join(files)})")
    for text in definitions.texts:
        if into in (text.piece.file, Path(text.piece.file).name) or _same(into, text.piece.file):
            return text
    folder = Path(definitions.name)
    if not folder.is_dir():
        raise ProgflagsError(f"{definitions.name}: it has no {into} (known: {', '.join(files)})")
    name = Path(into).name
    if Path(into) not in (Path(name), folder / name) or Path(name).suffix.lower() not in FORMS or name.startswith("."):
        raise ProgflagsError(f"{into}: no file of {folder}: name one in it that ends with {', '.join(FORMS)}")
    return Text.of(empty(str(folder / name)))


def _same(one: str, other: str) -> bool:
    return Path(one).exists() and Path(other).exists() and Path(one).samefile(other)
