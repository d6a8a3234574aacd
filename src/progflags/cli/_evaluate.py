"""`evaluate` and `explain`: what one unit gets, and why."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from progflags._clock import seconds
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
        if run is explain:
            parser.add_argument("--at", type=_moment, metavar="TIME", help='as of a past moment: "2026-11-29T10:00" (UTC), or "2h" ago')
        timed(parser)
        parser.set_defaults(run=run)


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the value; with --json the Evaluation's fields. Exit 2 when the flag is unknown or can't be evaluated."""
    with deadline(arguments), connect(arguments) as flags:
        answer = flags.evaluate(arguments.flag, None, context(arguments))
    tell_json(answer.to_dict() if arguments.json else answer.value)
    return 0 if answer.error_code is None else 2


def explain(arguments: argparse.Namespace) -> int:
    """Print every rule and why it did or did not match, or did at `--at`. Exit 2 when there is no such flag, or it was rejected."""
    with deadline(arguments), connect(arguments) as flags:
        answer = flags.explain(arguments.flag, context(arguments), at=arguments.at, timeout=arguments.timeout)
    if arguments.json:
        tell_json(answer.to_dict())
    else:
        tell_all(answer)
    return 2 if answer.evaluation.error_code in ("FLAG_NOT_FOUND", "PARSE_ERROR") else 0


def _moment(text: str) -> float:
    """A time of ISO 8601, in UTC unless it says otherwise, or how long ago."""
    try:
        return time.time() - seconds(text)
    except ValueError:
        pass
    try:
        said = datetime.fromisoformat(text)
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f'{text!r} is no time: write "2026-11-29T10:00" (in UTC), or "2h" for two hours ago') from None
