"""`rollback`: everybody gets the control, of one flag's rollout or of all that bear a tag or belong to an owner."""

from __future__ import annotations

import argparse
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from progflags._printed import quoted
from progflags.cli._client import connect, deadline, timed
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError, TransitionRefused

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.flags import FlagModel
    from progflags.rollout import RolloutStatus

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("rollback", help="everybody gets the control, now: of one flag, or of all with a tag or an owner")
    parser.add_argument("flag", metavar="FLAG", nargs="?")
    parser.add_argument("--tag", default=None, help="every flag with this tag that is being rolled out")
    parser.add_argument("--owner", default=None, help="every flag of this owner that is being rolled out")
    parser.add_argument("--reason", default="", help="why, for the history")
    parser.add_argument("--by", default=None, help="who; default: the login name")
    timed(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Roll back each. Said again it changes nothing, so that an alert may say it as often as it likes.

    Exit codes: 0 the candidates of all of them serve nobody, 2 refused, or not stored: run it again.
    """
    if arguments.flag is None and arguments.tag is None and arguments.owner is None:
        raise ProgflagsError("roll back what? name a FLAG, a --tag or an --owner")
    with deadline(arguments), connect(arguments, needs_store=True) as flags:
        done = [_one(flags, flag, arguments) for flag in _chosen(flags, arguments)]
    if arguments.json:
        tell_json([status.to_dict() for status in done], default=str)
    else:
        for status in done:
            tell(status)
        if not done:
            tell("none of them is being rolled out: nothing is changed")
    for status in done:
        if status.pending:
            # This process is about to end, and with it the only one that knows: say so, loudly.
            tell(f"progflags: {status.flag}: the store is out of reach, the rollback is NOT stored; run this again", to=sys.stderr)
    return 2 if any(status.pending for status in done) else 0


def _one(flags: Flags, flag: str, arguments: argparse.Namespace) -> RolloutStatus:
    try:
        return flags.rollouts.rollback(flag, reason=arguments.reason, by=arguments.by, timeout=arguments.timeout)
    except TransitionRefused:
        status = flags.rollouts.status(flag)
        if arguments.flag is not None or status.percent:
            raise
        return status  # another was quicker


def _chosen(flags: Flags, arguments: argparse.Namespace) -> list[str]:
    """The flag that was named; or of those that fit, the ones whose candidate serves somebody, or will by itself."""
    if arguments.flag is not None:
        return [arguments.flag]
    snapshot = flags.definitions
    models = {} if snapshot is None else snapshot.flags
    fitting = {key for key, model in models.items() if _fits(model, arguments)}
    if not fitting:
        raise ProgflagsError(_none(models, arguments))
    from progflags.rollout import legal

    return [status.flag for status in flags.rollouts.every() if status.flag in fitting and "rollback" in map(str, legal(status.state))]


def _fits(model: FlagModel, arguments: argparse.Namespace) -> bool:
    return (arguments.tag is None or arguments.tag in model.tags) and (arguments.owner is None or arguments.owner == model.owner)


def _none(models: Any, arguments: argparse.Namespace) -> str:
    asked = [f"{name} {quoted(value)}" for name, value in (("tag", arguments.tag), ("owner", arguments.owner)) if value is not None]
    known = {word for model in models.values() for word in (*model.tags, model.owner or "") if word}
    near = get_close_matches(arguments.tag or arguments.owner or "", known, 1)
    return f"no flag has the {' and the '.join(asked)}" + (f": did you mean {quoted(near[0])}?" if near else "")
