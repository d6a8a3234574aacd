"""`rule add`, `rule move`, `rule remove`: which rules a flag has, and in which order they are asked."""

from __future__ import annotations

import argparse
from typing import Any

from progflags.cli.definitions._shown import change, options
from progflags.cli.definitions._spot import Spot
from progflags.cli.definitions._words import assignments, rule_at, table
from progflags.cli.editing import Definitions, Edit, Insert, Move, Take, Text
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]

_VERBS = {"add": "a rule more", "move": "ask a rule earlier or later", "remove": "a rule less"}
_WHICH = "by its name, or its number from 1"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("rule", help="the rules of a flag: add one, move it, remove it")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb, text in _VERBS.items():
        one = verbs.add_parser(verb, help=text)
        one.add_argument("flag", metavar="FLAG")
        if verb == "add":
            one.add_argument("words", nargs="+", metavar="KEY=VALUE", help="as in name=staff, serve=fast, percent=50")
        else:
            one.add_argument("rule", metavar="RULE", help=_WHICH)
        if verb != "remove":
            _where(one, required=verb == "move")
        options(one)
        one.set_defaults(run=run, verb=verb)


def _where(parser: argparse.ArgumentParser, *, required: bool) -> None:
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--first", action="store_true", help="before all others")
    where.add_argument("--last", action="store_true", help="after all others" + ("" if required else ", as without any of these"))
    where.add_argument("--before", metavar="RULE", help=_WHICH)
    where.add_argument("--after", metavar="RULE", help=_WHICH)


def run(arguments: argparse.Namespace) -> int:
    """Show the lines and who moves, and write. Exit 0; 2 when it is refused."""
    flag: str = arguments.flag
    found, notes = assignments(arguments.words) if arguments.verb == "add" else ([], [])
    value = table(found)

    def plan(definitions: Definitions) -> list[tuple[Text, list[Edit]]]:
        spot = Spot.of(definitions, flag, arguments.environment)
        return [(spot.text, [_edit(arguments, spot, value)])]

    return change(arguments, plan, notes=notes)


def _edit(arguments: argparse.Namespace, spot: Spot, value: dict[str, Any]) -> Edit:
    flag: str = arguments.flag
    path = (*spot.path, "rules")
    table = spot.rules()
    rules = table.get("rules", [])
    if not isinstance(rules, list):
        raise ProgflagsError(f"{flag}: its rules are no list; correct them first")
    if arguments.verb == "add":
        return Insert(path, _target(arguments, table, len(rules)), value)
    source = rule_at(table, arguments.rule, flag)
    if arguments.verb == "remove":
        return Take((*path, source) if len(rules) > 1 else path)
    target = _target(arguments, table, len(rules))
    return Move(path, source, target - 1 if target > source else target)


def _target(arguments: argparse.Namespace, table: Any, count: int) -> int:
    """Before which of the rules as they are now."""
    if arguments.first:
        return 0
    if arguments.before is not None:
        return rule_at(table, arguments.before, arguments.flag)
    return count if arguments.after is None else rule_at(table, arguments.after, arguments.flag) + 1
