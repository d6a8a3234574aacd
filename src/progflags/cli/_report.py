"""`report`: the evidence of a rollout, as a table or as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from progflags.cli._client import connect, deadline, timed
from progflags.cli._rollout import code
from progflags.cli._say import tell, tell_all, tell_json

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("report", help="a rollout's evidence: a table, or one self-contained HTML page")
    parser.add_argument("flag", metavar="FLAG")
    parser.add_argument("--html", metavar="FILE", help="write the page there instead of printing the table")
    timed(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the report. Exit codes as `rollout status`: 0 on its way or done, 1 rolled back or aborted, 3 held."""
    with deadline(arguments), connect(arguments, needs_store=True) as flags:
        report = flags.rollouts.report(arguments.flag)
        status = flags.rollouts.status(arguments.flag)
    if arguments.html:
        report.to_html(arguments.html)
    if arguments.json:
        tell_json(report.to_dict(), allow_nan=False)
    elif arguments.html:
        tell(f"{arguments.html}: {Path(arguments.html).stat().st_size:,} bytes")
    else:
        tell(status)
        tell_all(report)
    return code(status)
