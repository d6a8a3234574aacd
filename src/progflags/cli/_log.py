"""`log`: what was changed, when, by whom and why; `log archive`: what is long over, put into files."""

from __future__ import annotations

import argparse
import time
from typing import Any

from progflags._clock import seconds
from progflags.cli._client import anything, deadline, timed
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("log", help="what was changed, by whom and why: definitions, shares, kills, panics, steps of rollouts")
    parser.add_argument("flag", nargs="*", metavar="FLAG", help="of this flag alone; `archive FLAG --to FOLDER` archives its history")
    parser.add_argument("--to", default=None, metavar="FOLDER", help="archive: where the files go")
    parser.add_argument("--older", type=_ago, default=90 * 86_400.0, metavar="TIME", help="archive: what was so long ago (default 90d)")
    parser.add_argument("--untold", action="store_true", help="archive: also what a channel has not been told yet, and then never is")
    parser.add_argument("--by", default=None, help="archive: who; default: the login name")
    parser.add_argument("--since", type=_ago, default=None, metavar="TIME", help='how far back, as in "1d" or "30m"')
    parser.add_argument("--limit", type=_count, default=100, metavar="N", help="the last N changes (default 100)")
    timed(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the changes, newest first. Exit 0, also when there is none."""
    if arguments.to is not None or len(arguments.flag) > 1:
        return _archive(arguments)
    flag = next(iter(arguments.flag), None)
    since = None if arguments.since is None else time.time() - arguments.since
    with deadline(arguments), anything(arguments) as flags:
        changes = flags.changes(flag, since=since, limit=arguments.limit, timeout=arguments.timeout)
    if arguments.json:
        tell_json([change.to_dict() for change in changes])
        return 0
    for change in changes:
        tell(change)
    if not changes:
        tell("nothing was changed" if flag is None else f"{flag}: nothing was changed")
    return 0


def _archive(arguments: argparse.Namespace) -> int:
    match arguments.flag:
        case ["archive", flag] if arguments.to is not None:
            pass
        case _:
            raise ProgflagsError("say which flag, and where its history goes: progflags log archive FLAG --to FOLDER")
    with deadline(arguments), anything(arguments) as flags:
        done = flags.rollouts.archive(flag, arguments.to, older=arguments.older, by=arguments.by, untold=arguments.untold)
    if arguments.json:
        file = None if done.file is None else str(done.file)
        tell_json({"flag": flag, "first": done.first, "last": done.last, "file": file, "untold": done.untold})
        return 0
    if done.untold:
        names = ", ".join(done.untold)
        tell(f"{flag}: what {names} has not been told yet stays until it has; --untold for one that nobody serves any more")
    if done.file is None and not done.untold:
        tell(f"{flag}: nothing of its history is old enough; what is about its last run stays")
    elif done.file is not None:
        tell(f"{flag}: lines {done.first} to {done.last} are in {done.file}, and no longer in the store")
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
