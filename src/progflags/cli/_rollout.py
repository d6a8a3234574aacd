"""`rollout …`: plan, start, watch and steer the climb of a flag."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from progflags.cli._change import propose
from progflags.cli._client import connect, deadline, positive, share, timed
from progflags.cli._diff import people
from progflags.cli._say import tell, tell_all, tell_json
from progflags.errors import TransitionRefused

if TYPE_CHECKING:
    from progflags.rollout import Rollouts, RolloutStatus

__all__ = ["add_parser", "code", "run", "unstored"]

_VERBS = {
    "start": "begin the climb",
    "pause": "stop the climb where it is; it can still be rolled back",
    "resume": "go on after a pause",
    "approve": "agree to the step it is waiting for",
    "promote": "take the next step now",
    "skip": "waive the rest of this stage's bake; the gates still decide",
    "rollback": "everybody gets the control, now",
    "abort": "give it up; everybody gets the control",
    "retry": "begin again after a rollback",
    "change": "deliver another definition of the flag: its rules, segments or values",
}
_OPTIONS = {"promote": ("full", "force"), "retry": ("force", "wait"), "change": ("force",)}
_HELP = {
    "full": "straight to 100 %%",
    "force": "over a freeze, a dependency or a cool-down",
    "wait": "as soon as the cool-down is over",
}
_GONE_WRONG = frozenset({"rolling_back", "rolled_back", "cooling_down", "aborted"})
_OVER = frozenset({"completed", "rolled_back", "cooling_down", "aborted", "superseded", "draft"})


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("rollout", help="the climb of a flag: plan, start, watch, steer")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb, text in _VERBS.items():
        one = _flag(verbs, verb, text)
        one.add_argument("--reason", default="", help="why, for the history")
        one.add_argument("--by", default=None, help="who; default: the login name")
        one.add_argument("--seen", default=None, metavar="VERSION", help="refuse it where the status has another `version` by then")
        for option in _OPTIONS.get(verb, ()):
            one.add_argument(f"--{option}", action="store_true", help=_HELP[option])
        if verb == "change":
            one.add_argument("--to", required=True, metavar="FILE", help="a flag file that has the new definition")
            one.add_argument("--dry-run", action="store_true", help="say what differs, who would move and by which stages; begin nothing")
            people(one)
    plan = _flag(verbs, "plan", "what the climb will be: stages, times, what each can detect, what looks unwise")
    plan.add_argument("--rps", type=positive, default=None, help="requests per second of the whole application; default: those counted")
    plan.add_argument("--error-rate", type=share, default=0.01, help="the control's error rate (default 0.01)")
    status = _flag(verbs, "status", "where it stands")
    status.add_argument("-w", "--watch", action="store_true", help="stay, and follow it")
    status.add_argument("--every", type=positive, default=1.0, help=argparse.SUPPRESS)
    watch = _flag(verbs, "watch", "follow it on one screen until it ends")
    watch.add_argument("--every", type=positive, default=1.0, metavar="SECONDS", help="between two looks (default 1)")
    _flag(verbs, "history", "every step it took")
    verify = _flag(verbs, "verify", "check that nobody has edited its history")
    verify.add_argument("--archive", default=None, metavar="FOLDER", help="where lines were put by `log archive`: they are checked as well")


def _flag(verbs: Any, verb: str, text: str) -> Any:
    parser = verbs.add_parser(verb, help=text)
    parser.add_argument("flag", metavar="FLAG")
    timed(parser, of="each look" if verb == "watch" else "the whole operation")
    parser.set_defaults(run=run, verb=verb)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Carry out one verb. Exit codes: 0 on its way or done, 1 rolled back or aborted, 2 refused or a bad file, 3 held."""
    if arguments.verb == "watch" or (arguments.verb == "status" and arguments.watch):
        return _watch(arguments)
    asks = arguments.verb == "plan" or getattr(arguments, "dry_run", False)
    with deadline(arguments), connect(arguments, needs_store=not asks) as flags:
        if arguments.verb in _READS:
            return _READS[arguments.verb](arguments, flags.rollouts)
        try:
            return propose(arguments, flags) if asks else _steer(arguments, flags.rollouts)
        except TransitionRefused as refused:
            if arguments.json:
                tell_json({"ok": False, "error": str(refused), "state": refused.state, "legal": list(refused.legal)})
            else:
                tell(f"progflags: {refused}", to=sys.stderr)
            return 2


def _steer(arguments: argparse.Namespace, rollouts: Rollouts) -> int:
    given = {"reason": arguments.reason, "by": arguments.by, "timeout": arguments.timeout, "seen": arguments.seen}
    options = {name: True for name in _OPTIONS.get(arguments.verb, ()) if getattr(arguments, name)}
    what = (arguments.flag, arguments.to) if arguments.verb == "change" else (arguments.flag,)
    status = getattr(rollouts, arguments.verb)(*what, **given, **options)
    if unstored(status):
        return 2
    _say(arguments, status)
    return 0


def unstored(status: RolloutStatus) -> bool:
    """Whether a rollback is not in the store; this process is about to end, and with it the only one that knows: it is said, loudly."""
    if status.pending:
        why = status.waiting or "the store is out of reach"
        tell(f"progflags: {status.flag}: the rollback is NOT stored, run this again: {why}", to=sys.stderr)
    return status.pending


def _say(arguments: argparse.Namespace, status: RolloutStatus) -> int:
    if arguments.json:
        tell_json(status.to_dict(), default=str)
    else:
        tell(status)
        for finding in status.findings:
            tell(f"  {finding.get('decision', ''):<8} {finding.get('metric', '')}: {finding.get('reason', '')}")
        for note in status.notes:
            tell(f"  note: {note}")
    return code(status)


def code(status: RolloutStatus) -> int:
    """The exit code that says where a rollout stands."""
    return 1 if status.state in _GONE_WRONG else 3 if status.state == "held" else 0


def _status(arguments: argparse.Namespace, rollouts: Rollouts) -> int:
    return _say(arguments, rollouts.status(arguments.flag))


def _watch(arguments: argparse.Namespace) -> int:
    """As long as it takes; each look has a deadline of its own."""
    from progflags.cli._watch import watch

    with deadline(arguments):
        flags = connect(arguments, needs_store=True)

    def look() -> RolloutStatus:
        with deadline(arguments):
            return flags.rollouts.status(arguments.flag)

    with flags:
        last = watch(look, over=lambda status: status.state in _OVER and not status.pending, every=arguments.every, as_json=arguments.json)
    return code(last)


def _history(arguments: argparse.Namespace, rollouts: Rollouts) -> int:
    from progflags.cli._watch import line

    steps = rollouts.history(arguments.flag)
    if arguments.json:
        tell_json([step.to_dict() for step in steps])
    else:
        for step in steps:
            tell(line(step))
    return 0


def _verify(arguments: argparse.Namespace, rollouts: Rollouts) -> int:
    problems = rollouts.verify(arguments.flag, archive=arguments.archive)
    if arguments.json:
        tell_json({"ok": not problems, "flag": arguments.flag, "problems": list(problems)})
    else:
        for line in problems or (f"{arguments.flag}: every line of the history is as it was written",):
            tell(line)
    return 1 if problems else 0


def _plan(arguments: argparse.Namespace, rollouts: Rollouts) -> int:
    from progflags.rollout import lint

    plan = rollouts.plan(arguments.flag)
    said = rollouts.forecast(arguments.flag, rps=arguments.rps, error_rate=arguments.error_rate)
    advice = lint(plan)
    if arguments.json:
        tell_json({"plan": plan.to_dict(), "forecast": said.to_dict(), "advice": [str(one) for one in advice]})
    else:
        tell_all(said)
        for one in advice:
            tell(f"  advice: {one}")
    return 0


#: What changes nothing. Every other verb steers.
_READS: Final = {"plan": _plan, "status": _status, "history": _history, "verify": _verify}
