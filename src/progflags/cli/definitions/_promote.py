"""`promote`: what staging has otherwise becomes production's."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from progflags.cli.definitions._promotion import Promotion
from progflags.cli.definitions._shown import change, options
from progflags.cli.editing import Definitions, Edit, Text
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("promote", help="make flags in one environment what they are in another: every difference, and who moves")
    parser.add_argument("source", metavar="FROM", help="the environment that has it, as in staging")
    parser.add_argument("target", metavar="TO", help="the environment that is to have it, as in production")
    parser.add_argument("names", nargs="*", metavar="FLAG", help="these alone; default: every flag that FROM has")
    options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show every difference, the lines and who moves, and write. Exit 0, also when nothing differs; 2 when it is refused."""
    if arguments.environment:
        raise ProgflagsError("promote names its two environments itself: leave --environment out")
    asked: list[Promotion] = []

    def plan(definitions: Definitions) -> list[tuple[Text, list[Edit]]]:
        asked[:] = [Promotion(definitions, arguments.source, arguments.target, arguments.names)]
        return asked[0].edits

    def told() -> Iterator[str]:
        for promotion in asked:
            yield from (one.sentence for one in promotion.differences)
            for flag in promotion.alone:
                yield f"note: only {arguments.target} has {flag}, and keeps it; name it to take it away"
            for part in promotion.elsewhere:
                yield f"note: {part} differs too, and stays as it is in {arguments.target}"

    def besides() -> dict[str, Any]:
        (promotion,) = asked
        differences = [one.to_dict() for one in promotion.differences]
        return {"differences": differences, "kept": [*promotion.alone, *promotion.elsewhere]}

    return change(arguments, plan, besides=besides, told=told)
