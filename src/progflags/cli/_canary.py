"""`canary`: two files of measurements in, a verdict and an exit code out."""

from __future__ import annotations

import argparse
from typing import Any

from progflags.cli._say import tell_all, tell_json
from progflags.errors import ProgflagsError

__all__ = ["EXIT", "add_parser", "run"]

#: 0 pass, 1 rollback, 3 hold; 2 is for usage and bad files, as everywhere.
EXIT = {"PASS": 0, "ROLLBACK": 1, "HOLD": 3}

_EPILOG = """\
gates: metric<=+10% (against the baseline) · metric>=-2% · metric<=0.1% or <=500ms (absolute) · '*' (no anomaly in any
       metric); a suffix !warning holds and never rolls back
files: CSV with a header, or JSON lines. One row per request (seconds, error 0/1, any other numeric column by name), or rows
       metric,events,trials (several rows of one metric are batches in time order)
exit codes: 0 pass · 1 rollback · 2 usage or a bad file · 3 hold"""


def add_parser(subparsers: Any) -> None:
    parser = command(subparsers, "canary", "judge a canary from two files of measurements", _EPILOG)
    parser.add_argument("baseline", metavar="BASELINE", help="the control's measurements")
    parser.add_argument("canary", metavar="CANARY", help="the candidate's measurements")
    options(parser)
    parser.add_argument("--method", choices=("sequential", "fixed", "kayenta"), default="sequential", help="default: sequential")
    parser.add_argument("--look", action="store_true", help="the files end where it was planned: spend most of alpha on one exact look")
    parser.set_defaults(run=run)


def command(subparsers: Any, name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    """A parser whose last words keep their lines."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return parser


def options(parser: argparse.ArgumentParser) -> None:
    """What `canary` and `replay` have in common."""
    parser.add_argument("--gate", action="append", default=[], metavar="GATE", help="a condition, as often as needed")
    parser.add_argument("--alpha", type=float, default=0.05, help="probability of rolling back a healthy candidate (0.05)")
    parser.add_argument("--min-samples", type=int, default=100, metavar="N", help="of each side, before a gate may pass (100)")
    parser.add_argument("--policy", choices=("no_alarm", "observed", "detectable", "proven"), help="what lets a gate pass (detectable)")
    parser.add_argument("--html", metavar="FILE", help="also write the report as one HTML page")


def gates(arguments: argparse.Namespace) -> list[Any]:
    """The gates that were typed; at least one."""
    from progflags.canary import parse_gate

    if not arguments.gate:
        raise ProgflagsError("which gates? say --gate 'error_rate<=+10%', for example")
    extra = {"policy": arguments.policy} if arguments.policy else {}
    return [parse_gate(text, **extra) for text in arguments.gate]


def run(arguments: argparse.Namespace) -> int:
    """Print the verdict; the exit code says the same."""
    from progflags.canary import CanaryAnalyzer, CanaryConfig

    try:
        config = CanaryConfig(gates(arguments), arguments.method, arguments.alpha, arguments.min_samples, look=arguments.look)
        report = CanaryAnalyzer(config).analyze(arguments.baseline, arguments.canary)
    except (ValueError, TypeError, UnicodeError) as error:
        raise ProgflagsError(str(error)) from error
    return told(report, arguments)


def told(report: Any, arguments: argparse.Namespace) -> int:
    """Print a report the way it was asked for."""
    if arguments.html:
        report.to_html(arguments.html)
    if arguments.json:
        tell_json(report.to_dict(), allow_nan=False)
    else:
        tell_all(report)
    return EXIT[str(report.decision)]
