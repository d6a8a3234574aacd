"""`evaluate` and `explain`: what one unit gets, and why."""

from __future__ import annotations

import argparse
from typing import Any

from progflags.cli._client import connect, context, deadline, timed
from progflags.cli._say import tell_all, tell_json

__all__ = ["add_parser", "evaluate", "explain"]


def add_parser(commands: Any) -> None:
    for name, run, text in (
        ("evaluate", evaluate, "what one unit gets"),
        ("explain", explain, "why: every rule, the bucket and its threshold"),
    ):
        parser = commands.add_parser(name, help=text)
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("--key", help="the targeting key")
        parser.add_argument("--attr", action="append", default=[], metavar="NAME=VALUE", help="an attribute; repeat for more")
        timed(parser)
        parser.set_defaults(run=run)


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the value; with --json the Evaluation's fields. Exit 2 when the flag is unknown or can't be evaluated."""
    with deadline(arguments), connect(arguments) as flags:
        answer = flags.evaluate(arguments.flag, None, context(arguments))
    tell_json(answer.to_dict() if arguments.json else answer.value)
    return 0 if answer.error_code is None else 2


def explain(arguments: argparse.Namespace) -> int:
    """Print every rule and why it did or did not match. Exit 2 when there is no such flag, or it was rejected."""
    with deadline(arguments), connect(arguments) as flags:
        answer = flags.explain(arguments.flag, context(arguments))
    if arguments.json:
        tell_json(answer.to_dict())
    else:
        tell_all(answer)
    return 2 if answer.evaluation.error_code in ("FLAG_NOT_FOUND", "PARSE_ERROR") else 0
