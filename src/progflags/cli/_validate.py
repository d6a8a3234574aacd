"""`validate` and `schema`: is the file right, and what may it say."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from progflags._printed import counted
from progflags.cli._client import inspect
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError

__all__ = ["add_parser", "schema", "validate"]


def add_parser(commands: Any) -> None:
    check = commands.add_parser("validate", help="check a flag file; problems name file, line and key")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    check.set_defaults(run=validate)
    commands.add_parser("schema", help="print the JSON Schema of the flag file").set_defaults(run=schema)


def validate(arguments: argparse.Namespace) -> int:
    """
    Load the file exactly as an application would. Exit 0 when every flag loads and every rollout can start, 2 when one can't.

    An application serves a flag whose rollout can't start, with a warning, for its share may have to be taken back; nobody
    wants such a file to get that far.
    """
    from progflags.rollout import unstartable

    source = arguments.file or arguments.flags
    with inspect(source) as flags:
        status = flags.status()
        wrong = (*status.rejected, *unstartable(flags.definitions))
        if wrong:
            raise DefinitionError(wrong)
        warnings = status.warnings
        count = len(flags.definitions.flags) if flags.definitions else 0
    if arguments.json:
        tell_json({"ok": True, "flags": count, "problems": [], "warnings": [w.to_dict() for w in warnings]})
        return 0
    for warning in warnings:
        tell(f"warning: {warning}", to=sys.stderr)
    tell(f"{source}: {counted(count)}, all valid")
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema (draft 2020-12) that editors can check a flag file against."""
    from progflags.flags import json_schema

    tell_json(json_schema(), indent=2)
    return 0
