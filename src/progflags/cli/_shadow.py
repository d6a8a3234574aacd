"""`shadow status`, `shadow report`: what the dark launches of all processes have found, and why."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from progflags._printed import counted
from progflags.cli._client import anything, deadline, finite, share, timed
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError
from progflags.overview import headline

if TYPE_CHECKING:
    from progflags.darklaunch import DarkLaunchVerdict, Latency, ShadowSummary

__all__ = ["add_parser", "run"]

_FEW: Final = 3  # causes of each kind that `status` names

#: Why a call was left out, for somebody who has not read the reference.
_SHED: Final = {
    "breaker": "the candidate failed too often, and is tried again in a while",
    "stuck": "too many candidates that never ended are still running",
    "adaptive": "the rate was lowered to spare the control",
    "probe": "a short pause in which the control is timed alone",
    "inflight": "too many shadows at once",
    "queue": "the queue was full",
    "bytes": "too many bytes were waiting",
    "cpu": "the shadows' share of the processor was used up",
    "stale": "waited too long in the queue",
    "isolation": "the arguments can't be copied",
    "result_isolation": "the control's answer can't be copied",
    "request_body": "the request's body was too large",
    "response_body": "the response's body was too large",
    "control_cancelled": "the control was cancelled",
    "hook": "key=, run_if= or another function of yours failed",
    "no_loop": "a coroutine, and no loop to run it",
    "rolled_back": "the caller's transaction was rolled back",
    "not_started": "the candidate application has not started",
    "closed": "the process was ending",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("shadow", help="what dark launches have found, over all processes that share the store")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb, text in {"status": "a verdict for each, and why", "report": "everything that was counted"}.items():
        one = verbs.add_parser(verb, help=text)
        one.add_argument("flag", metavar="FLAG", nargs="?", help="only the dark launches under this flag")
        one.add_argument("--max-mismatch", type=share, default=0.001, metavar="SHARE", help="of calls that may differ (default 0.001)")
        one.add_argument("--confidence", type=share, default=0.95, metavar="SHARE", help="of the verdict (default 0.95)")
        one.add_argument("--min-score", type=finite, metavar="M", help="that the mean of scored answers has to reach; see score=")
        one.add_argument("--margin", type=finite, default=0.0, metavar="D", help="by which it may stay below (default 0)")
        timed(one)
        one.set_defaults(run=run, verb=verb)


def run(arguments: argparse.Namespace) -> int:
    """Print them. Exit codes: 0 all are SAFE, 1 one is UNSAFE, 3 one is undecided, or no process has told of any."""
    if not arguments.store:
        raise ProgflagsError("each process tells what it found in a store that they share: say --store URL, or set PROGFLAGS_STORE")
    with deadline(arguments), anything(arguments) as flags:
        every = flags.rollouts.dark_launches()
    found = [one for one in every if arguments.flag in (None, one.flag)]
    judged = [(one, _verdict(one, arguments)) for one in found]
    if arguments.json:
        tell_json([one.to_dict(verdict) for one, verdict in judged], allow_nan=False)
    elif not found:
        tell(f"no process has told of a dark launch{'' if arguments.flag is None else f' under {arguments.flag}'} yet")
    else:
        for one, verdict in judged:
            _say(one, verdict, whole=arguments.verb == "report")
    return _code([str(verdict.state) for _, verdict in judged])


def _verdict(one: ShadowSummary, arguments: argparse.Namespace) -> DarkLaunchVerdict:
    """Of a launch whose answers are not scored no score is asked."""
    least = None if one.scored is None else arguments.min_score
    return one.verdict(arguments.max_mismatch, arguments.confidence, min_score=least, margin=arguments.margin)


def _code(states: list[str]) -> int:
    if "UNSAFE" in states:
        return 1
    return 3 if not states or "UNDECIDED" in states else 0


def _say(one: ShadowSummary, verdict: DarkLaunchVerdict, *, whole: bool) -> None:
    tell(headline(one, verdict))
    for line in _why(one, verdict, None if whole else _FEW):
        tell(f"    {line}")
    if whole:
        for line in _counts(one, verdict):
            tell(f"    {line}")


def _why(one: ShadowSummary, verdict: DarkLaunchVerdict, most: int | None) -> Iterator[str]:
    if one.scores:
        between = one.to_dict(verdict)["score"]["interval"]
        true = f"; the true one is between {between[0]:.4g} and {between[1]:.4g}" if between else ""
        yield f"mean score {one.mean:.4g} of {counted(one.scores, 'call')}{true}"
    elif verdict.score_interval is not None:
        yield "no call has a score yet"
    yield from (f"failed with {name}: {n:,}" for name, n in _first(one.failures, most))
    yield from (f"differ at {path}: {n:,}" for path, n in _first(one.mismatches, most))
    for outcome in ("timeout", "abandoned", "guard_blocked", "compare_error", "incomplete"):
        if one.outcomes[outcome]:
            yield f"{outcome.replace('_', ' ')}: {one.outcomes[outcome]:,}"
    if one.runaways["stopped"]:
        yield f"ended by stop_runaways: {one.runaways['stopped']:,}"
    if one.runaways["unstoppable"]:
        yield f"can't be ended, and hold a thread each: {one.runaways['unstoppable']:,}"
    yield from (f"left out, {_SHED.get(reason, reason)} ({reason}): {n:,}" for reason, n in _first(one.shed, most))
    yield from (f"can't be copied: {name}: {n:,}" for name, n in _first(one.not_isolated, most))
    for state in ("open", "half-open"):
        if one.breaker[state]:
            yield f"the breaker is {state} in {one.breaker[state]} of {one.processes}"


def _first(counts: Counter[str], most: int | None) -> list[tuple[str, int]]:
    shown = counts.most_common(most)
    left = counts.total() - sum(n for _, n in shown)
    return [*shown, ("(others)", left)] if left else shown


def _counts(one: ShadowSummary, verdict: DarkLaunchVerdict) -> Iterator[str]:
    low, high = verdict.interval
    yield f"the true rate is between {low:.4%} and {high:.4%}" + (
        f"; {verdict.needed:,} more matching calls needed" if verdict.needed else ""
    )
    yield "outcomes: " + ", ".join(f"{name} {n:,}" for name, n in one.outcomes.most_common() if n)
    for side, durations in (("control", one.control), ("candidate", one.shadow)):
        yield f"{side}: {_latency(durations.read())}"


def _latency(read: Latency) -> str:
    if read.p50 is None or read.p95 is None or read.p99 is None:
        return "never timed"
    return f"p50 {read.p50 * 1e3:.3g} ms, p95 {read.p95 * 1e3:.3g} ms, p99 {read.p99 * 1e3:.3g} ms of {counted(read.n, 'call')}"
