"""`validate`: is the file right."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from progflags._printed import counted
from progflags.cli._client import everywhere, inspect
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError, Problem

__all__ = ["add_parser", "validate"]


def add_parser(commands: Any) -> None:
    check = commands.add_parser("validate", help="check a flag file; problems name file, line and key")
    check.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    check.set_defaults(run=validate)


def validate(arguments: argparse.Namespace) -> int:
    """
    Load the file exactly as an application would, without an environment and in each. Exit 0 when every flag loads and every rollout
    can start, 2 when one can't.

    An application serves a flag whose rollout can't start, with a warning, for its share may have to be taken back; nobody
    wants such a file to get that far.
    """
    source = arguments.file or arguments.flags
    count, wrong, warnings = 0, dict[Problem, None](), dict[Problem, None]()
    where = everywhere(source, arguments.environment)
    for environment in where:
        found, bad, doubtful = _looked(source, environment)
        count = count or found  # without an environment; each has as many, or more
        wrong |= dict.fromkeys(bad)
        warnings |= dict.fromkeys(doubtful)
    if wrong:
        raise DefinitionError(wrong)
    if arguments.json:
        body = {"ok": True, "flags": count, "environments": list(where[1:]), "problems": [], "warnings": [w.to_dict() for w in warnings]}
        tell_json(body)
        return 0
    for warning in warnings:
        tell(f"warning: {warning}", to=sys.stderr)
    too = ", in " + ", ".join(where[1:]) + " too" if where[1:] else ""
    tell(f"{source}: {counted(count)}, all valid{too}")
    return 0


def _looked(source: str | None, environment: str) -> tuple[int, Iterable[Problem], Iterable[Problem]]:
    """How many flags there are in one environment, what is wrong, and what is doubtful."""
    from progflags.rollout import unstartable

    try:
        with inspect(source, environment) as flags:
            status, snapshot = flags.status(), flags.definitions
    except DefinitionError as error:
        return 0, error.problems, ()
    return 0 if snapshot is None else len(snapshot.flags), (*status.rejected, *unstartable(snapshot)), status.warnings
