"""`kill` and `unkill`: the safe variant for everybody, at once."""

from __future__ import annotations

import argparse
import json
from typing import Any

from progflags.cli._client import connect

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    for verb, text in (("kill", "serve the safe variant to everybody, at once"), ("unkill", "take that back")):
        parser = commands.add_parser(verb, help=text)
        parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("--reason", default="", help="why, for the history")
        parser.add_argument("--by", default=None, help="who; default: the login name")
        parser.set_defaults(run=run, verb=verb)


def run(arguments: argparse.Namespace) -> int:
    """Commit the change to the store; every process serves it as soon as it has looked there (within a tenth of a second)."""
    with connect(arguments, needs_store=True) as flags:
        change = flags.kill if arguments.verb == "kill" else flags.unkill
        change(arguments.flag, reason=arguments.reason, by=arguments.by)
    if arguments.json:
        print(json.dumps({"ok": True, "flag": arguments.flag, "killed": arguments.verb == "kill"}))
    else:
        print(f"{arguments.flag}: {'killed, the safe variant serves' if arguments.verb == 'kill' else 'no longer killed'}")
    return 0
