"""`kill` and `unkill`, `panic` and `unpanic`: the safe variant for everybody, at once, of one flag or of all."""

from __future__ import annotations

import argparse
from typing import Any

from progflags.cli._client import anything, connect, deadline, timed
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]

_VERBS = {
    "kill": "serve the safe variant to everybody, at once",
    "unkill": "take that back",
    "panic": "serve the safe variant of every flag to everybody, at once",
    "unpanic": "take that back; flags that were killed one by one stay killed",
}
_SAID = {
    "kill": "killed, the safe variant serves",
    "unkill": "no longer killed",
    "panic": "panic, every flag's safe variant serves",
    "unpanic": "no longer in panic",
}


def add_parser(commands: Any) -> None:
    for verb, text in _VERBS.items():
        parser = commands.add_parser(verb, help=text)
        if verb.endswith("kill"):
            parser.add_argument("flag", metavar="FLAG")
        parser.add_argument("--reason", default="", help="why, for the history")
        parser.add_argument("--by", default=None, help="who; default: the login name")
        timed(parser)
        parser.set_defaults(run=run, verb=verb)


def run(arguments: argparse.Namespace) -> int:
    """Commit the change to the store; every process serves it as soon as it has looked there (within a tenth of a second)."""
    verb: str = arguments.verb
    flag: str | None = getattr(arguments, "flag", None)
    with deadline(arguments), connect(arguments, needs_store=True) if flag is not None else anything(arguments) as flags:
        turn = getattr(flags, verb)
        turn(*([] if flag is None else [flag]), reason=arguments.reason, by=arguments.by, timeout=arguments.timeout)
        pending = flags.status().pending
    if pending:
        # This process is about to end, and with it the only one that knows: say so, loudly.
        raise ProgflagsError(f"the store is out of reach, so this is NOT stored; run it again. {'; '.join(pending)}")
    if arguments.json:
        done = {"panic": verb == "panic"} if flag is None else {"flag": flag, "killed": verb == "kill"}
        tell_json({"ok": True, **done})
    else:
        tell(f"{'all flags' if flag is None else flag}: {_SAID[verb]}")
    return 0
