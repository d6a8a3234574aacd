"""`replay`: recompute a decision from the batches it was made on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from progflags._json import rows
from progflags.cli._canary import EXIT, command, gates, options, told
from progflags.cli._say import tell, tell_json
from progflags.cli._shadow_replay import is_shadow_record, shadow_replay
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]

_EPILOG = """\
The file holds JSON lines: windows (one batch each, in time order), or decisions as a rollout records them:
{"evidence": …, "baked": …, "bake": …, "min_samples": …, "fresh": …, "share": …, "digest": …}, or whole documents of rollouts out
of the store. Windows are judged by the gates given; a decision is judged again by its own, and its digest must come out the
same. Or it is what a dark launch recorded
(`record=`): then both sides run again with the recorded arguments, and the exit code says whether they agree now.
exit codes: 0 pass, or every digest agrees · 1 rollback, or one disagrees · 2 usage or a bad file · 3 hold"""


def add_parser(subparsers: Any) -> None:
    parser = command(subparsers, "replay", "recompute decisions from recorded windows", _EPILOG)
    parser.add_argument("file", metavar="FILE", help="recorded windows or decisions, JSON lines")
    options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what comes out; the exit code says whether it is what was recorded, or what the windows say."""
    from progflags.canary import CanaryAnalyzer, CanaryConfig

    recorded = _rows(Path(arguments.file))
    if is_shadow_record(recorded[0]):
        return shadow_replay(arguments.file, as_json=arguments.json)
    try:
        if all("evidence" in row for row in recorded):
            return _decisions(recorded, arguments)
        config = CanaryConfig(gates(arguments), alpha=arguments.alpha, min_samples=arguments.min_samples)
        return told(CanaryAnalyzer(config).analyze_windows(recorded), arguments)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProgflagsError(f"{arguments.file}: {error}") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        found = rows(path.read_text(encoding="utf-8").splitlines(), str(path))
    except ValueError as error:
        raise ProgflagsError(str(error)) from error
    if not found:
        raise ProgflagsError(f"{path}: nothing recorded")
    return found


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    """A decision, out of a rollout's document if need be: what the judge was asked and said stands under its verdict."""
    verdict = row.get("verdict")
    return {**row, **verdict, **verdict["asked"]} if isinstance(verdict, dict) else row


def _decisions(recorded: list[dict[str, Any]], arguments: argparse.Namespace) -> int:
    from progflags.canary import Evidence, judge

    answers, agree = [], True
    verdict = None
    for row in map(_decision, recorded):
        asked = {name: row[name] for name in ("baked", "bake", "min_samples", "fresh", "share", "asking") if name in row}
        if row["evidence"].get("v") == 1:  # a rollout goes on with it, but what was said on it another rule has said
            raise ValueError("a decision on evidence of version 1 can't be made again here: replay it with progflags 0.1")
        verdict = judge(Evidence.from_json(row["evidence"]), **asked)
        same = row.get("digest") in {None, verdict.digest} and row.get("decision") in {None, str(verdict.decision)}
        agree = agree and same
        answers.append({"decision": str(verdict.decision), "digest": verdict.digest, "agrees": same, "reason": verdict.reason})
    if arguments.json:
        tell_json({"ok": agree, "decisions": answers})
    else:
        for answer in answers:
            tell(f"{'=' if answer['agrees'] else '≠'} {answer['decision']}: {answer['reason']} ({str(answer['digest'])[:12]})")
    if not agree:
        return 1
    return EXIT[str(verdict.decision)] if verdict is not None and not any("digest" in row or "verdict" in row for row in recorded) else 0
