"""`log`: what was changed, when, by whom and why."""

from __future__ import annotations

import argparse
import time
from typing import Any

from progflags._clock import seconds
from progflags.cli._client import anything, deadline, timed
from progflags.cli._say import tell, tell_json

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("log", help="what was changed, by whom and why: definitions, shares, kills, panics, steps of rollouts")
    parser.add_argument("flag", nargs="?", metavar="FLAG", help="of this flag alone")
    parser.add_argument("--since", type=_ago, default=None, metavar="TIME", help='how far back, as in "1d" or "30m"')
    parser.add_argument("--limit", type=_count, default=100, metavar="N", help="the last N changes (default 100)")
    timed(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the changes, newest first. Exit 0, also when there is none."""
    since = None if arguments.since is None else time.time() - arguments.since
    with deadline(arguments), anything(arguments) as flags:
        changes = flags.changes(arguments.flag, since=since, limit=arguments.limit, timeout=arguments.timeout)
    if arguments.json:
        tell_json([change.to_dict() for change in changes])
        return 0
    for change in changes:
        tell(change)
    if not changes:
        tell("nothing was changed" if arguments.flag is None else f"{arguments.flag}: nothing was changed")
    return 0


def _ago(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is wanted here, not {text!r}")
    return number
