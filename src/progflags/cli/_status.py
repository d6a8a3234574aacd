"""`status` and `watch`: everything that is under way, once or live; or one flag's rollout."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from progflags.cli import _rollout
from progflags.cli._client import anything, connect, deadline, positive, timed
from progflags.cli._follow import follow
from progflags.cli._now import Screen
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError, Problem, StoreError
from progflags.overview import Now, nothing

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["add_parser", "run", "watch"]


def add_parser(commands: Any) -> None:
    for verb, carry, text in (("status", run, "everything under way, the worst first"), ("watch", watch, "the same on one screen, live")):
        parser = commands.add_parser(verb, help=f"{text}; or the rollout of FLAG")
        parser.add_argument("flag", metavar="FLAG", nargs="?")
        parser.set_defaults(run=carry, verb=verb, watch=False)
        timed(parser, of="each look")
        if verb == "watch":
            parser.add_argument("--every", type=positive, default=1.0, metavar="SECONDS", help="between two looks (default 1)")


def run(arguments: argparse.Namespace) -> int:
    """Print it. Exit codes: 0 all is well, 1 something is wrong, 3 somebody is waited for, 2 a bad file or no store."""
    if arguments.flag is not None:
        return _rollout.run(arguments)
    with deadline(arguments):
        flags, refused = _client(arguments)
        with flags:
            now = Now.of(flags, refused)
    if arguments.json:
        tell_json([item.to_dict() for item in now.items])
    else:
        for item in now.items or (nothing(),):
            tell(item)
    return int(now.level)


def watch(arguments: argparse.Namespace) -> int:
    """Follow it until the terminal is closed or interrupted; a flag's rollout until it ends."""
    if arguments.flag is not None:
        return _rollout.run(arguments)
    with deadline(arguments):
        flags, refused = _client(arguments)
    seen = Now(())

    def look() -> Screen:
        nonlocal seen
        try:
            with deadline(arguments):
                flags.refresh()
                seen = Now.of(flags, refused)
        except StoreError as error:  # whoever watches wants to see that, and what comes after it
            seen = seen.cut_off(error)
        return Screen(seen)

    with flags:
        follow(look, every=arguments.every, as_json=arguments.json)
    return 0


def _client(arguments: argparse.Namespace) -> tuple[Flags, tuple[Problem, ...] | None]:
    """
    A client; and None, or why it is one without the application's definitions: they are refused, or none were pushed to the store.

    Neither keeps what is in the store from being seen.
    """
    try:
        return connect(arguments), None
    except DefinitionError as error:
        if not arguments.store:
            raise
        return anything(arguments), error.problems if arguments.flags else ()
