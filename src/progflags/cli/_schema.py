"""`schema`: what the flag file may say, for editors."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from progflags._printed import json_text
from progflags.cli._say import tell_json
from progflags.cli._whole import check, write
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("schema", help="print the JSON Schema of the flag file, for editors")
    said = "a module that declares typed flags: their values have its models' schema; repeat for more"
    parser.add_argument("--code", action="append", default=[], metavar="MODULE", help=said)
    parser.add_argument("-o", "--output", metavar="PATH", help="write it there instead")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when PATH is not up to date")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the schema (draft 2020-12). With --check: exit 0 when the file is what would be written, else 1 and the difference."""
    from progflags.flags import declared, json_schema

    _import(arguments.code)
    flags = declared() if arguments.code else ()
    if arguments.code and not flags:
        raise ProgflagsError(f"no typed flag (pf.Flag) is declared in {', '.join(arguments.code)}")
    schema = json_schema(flags)
    if arguments.output is None:
        if arguments.check:
            raise ProgflagsError("which schema? say --check -o PATH")
        tell_json(schema, indent=2)
        return 0
    path, text = Path(arguments.output), json_text(schema, indent=2) + "\n"
    if arguments.check:
        code = "".join(f" --code {module}" for module in arguments.code)
        return check(path, text, f"progflags schema{code} -o {path}", as_json=arguments.json)
    write(path, text)
    return 0


def _import(modules: list[str]) -> None:
    """As `python -m` would: what lies in the present folder is found."""
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.insert(0, here)
    for module in modules:
        try:
            import_module(module)
        except Exception as error:  # whatever the user's module raises: it is told, and nothing is written
            raise ProgflagsError(f"--code {module}: it can't be imported: {type(error).__name__}: {error}") from error
