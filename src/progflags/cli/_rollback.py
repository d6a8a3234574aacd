"""`rollback`: everybody gets the control, of one flag's rollout or of all that bear a tag or belong to an owner."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from progflags._printed import quoted
from progflags.cli._client import connect, deadline, timed
from progflags.cli._rollout import unstored
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError

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
    timed(parser, of="each flag's rollback")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Roll back each, whatever becomes of the others. Said again it changes nothing, so that an alert may say it as often as it likes.

    Exit codes: 0 the candidates of all of them serve nobody, 2 one was refused, or is not stored: run it again.
    """
    if arguments.flag is None and arguments.tag is None and arguments.owner is None:
        raise ProgflagsError("roll back what? name a FLAG, a --tag or an --owner")
    with deadline(arguments):
        flags = connect(arguments, needs_store=True)
    done: list[RolloutStatus] = []
    failed: dict[str, str] = {}
    with flags:
        with deadline(arguments):
            chosen = _chosen(flags, arguments)
        for flag in chosen:
            try:
                with deadline(arguments):
                    done.append(flags.rollouts.rollback(flag, reason=arguments.reason, by=arguments.by, timeout=arguments.timeout))
            except ProgflagsError as error:
                failed[flag] = str(error)
    _say(done, failed, as_json=arguments.json)
    return 2 if failed or [status for status in done if unstored(status)] else 0


def _say(done: Sequence[RolloutStatus], failed: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        refused = ({"ok": False, "flag": flag, "error": why} for flag, why in failed.items())
        tell_json([*(status.to_dict() for status in done), *refused], default=str)
        return
    for status in done:
        tell(status)
    for flag, why in failed.items():
        tell(f"progflags: {flag}: {why}", to=sys.stderr)
    if not done and not failed:
        tell("none of them is being rolled out: nothing is changed")


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
