"""`validate` and `schema`: is the file right, and what may it say."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from progflags.cli._client import counted, inspect
from progflags.errors import DefinitionError

__all__ = ["add_parser", "schema", "validate"]


def add_parser(commands: Any) -> None:
    check = commands.add_parser("validate", help="check a flag file; problems name file, line and key")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    check.set_defaults(run=validate)
    commands.add_parser("schema", help="print the JSON Schema of the flag file").set_defaults(run=schema)


def validate(arguments: argparse.Namespace) -> int:
    """Load the file exactly as an application would. Exit 0 when every flag loads, 2 when one does not."""
    source = arguments.file or arguments.flags
    with inspect(source) as flags:
        status = flags.status()
        if status.rejected:
            raise DefinitionError(status.rejected)
        warnings = status.warnings
        count = len(flags.definitions.flags) if flags.definitions else 0
    if arguments.json:
        print(json.dumps({"ok": True, "flags": count, "problems": [], "warnings": [w.to_dict() for w in warnings]}))
        return 0
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{source}: {counted(count)}, all valid")
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema (draft 2020-12) that editors can check a flag file against."""
    from progflags.flags import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0
