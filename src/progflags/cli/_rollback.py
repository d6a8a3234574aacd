"""`rollback`: everybody gets the control, of one flag's rollout or of all that bear a tag or belong to an owner."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from progflags.cli._client import connect, deadline, timed
from progflags.cli._rollout import unstored
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError

if TYPE_CHECKING:
    from progflags.rollout import Dealt, RolloutStatus

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("rollback", help="everybody gets the control, now: of one flag, or of all with a tag or an owner")
    parser.add_argument("flag", metavar="FLAG", nargs="?")
    parser.add_argument("--tag", default=None, help="every flag with this tag that is being rolled out")
    parser.add_argument("--owner", default=None, help="every flag of this owner that is being rolled out")
    parser.add_argument("--reason", default="", help="why, for the history")
    parser.add_argument("--by", default=None, help="who; default: the login name")
    timed(parser, of="each flag's rollback")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Roll back each, whatever becomes of the others. Said again it changes nothing, so that an alert may say it as often as it likes.

    Exit codes: 0 the candidates of all of them serve nobody, 2 one was refused, or is not stored: run it again.
    """
    from progflags.rollout import Act, Which, deal

    if arguments.flag is None and arguments.tag is None and arguments.owner is None:
        raise ProgflagsError("roll back what? name a FLAG, a --tag or an --owner")
    which = Which(arguments.flag, arguments.tag, arguments.owner)
    with deadline(arguments):
        flags = connect(arguments, needs_store=True)

    def rollback(flag: str) -> RolloutStatus:
        with deadline(arguments):
            return flags.rollouts.rollback(flag, reason=arguments.reason, by=arguments.by, timeout=arguments.timeout)

    with flags:
        with deadline(arguments):
            chosen = which.flags(flags.definitions, flags.rollouts, Act.ROLLBACK)
        dealt = deal(chosen, rollback)
    _say(dealt, as_json=arguments.json)
    return 2 if dealt.failed or [status for status in dealt.done if unstored(status)] else 0


def _say(dealt: Dealt, *, as_json: bool) -> None:
    if as_json:
        refused = ({"ok": False, "flag": flag, "error": why} for flag, why in dealt.failed.items())
        tell_json([*(status.to_dict() for status in dealt.done), *refused], default=str)
        return
    for status in dealt.done:
        tell(status)
    for flag, why in dealt.failed.items():
        tell(f"progflags: {flag}: {why}", to=sys.stderr)
    if not dealt.done and not dealt.failed:
        tell("none of them is being rolled out: nothing is changed")
