"""`store`: what a store needs before anybody uses it."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from progflags.cli._say import tell, tell_json

__all__ = ["add_parser", "tables"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("store", help="what a store needs before anybody uses it")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    made = verbs.add_parser("tables", help="print the tables of PostgreSQL as SQL, for whoever may make them")
    made.add_argument("--role", default=None, metavar="NAME", help="a role that may then read and write their rows, and no more")
    made.set_defaults(run=tables)


def tables(arguments: argparse.Namespace) -> int:
    """Print the SQL; as often as one likes, for it makes only what is absent."""
    leaf = import_module("progflags.contrib._postgres_tables")  # by name only: leaves do not know each other
    sql = leaf.TABLES.strip() + "\n" + (leaf.granted(arguments.role) if arguments.role else "")
    if arguments.json:
        tell_json({"sql": sql})
    else:
        for line in sql.splitlines():
            tell(line)
    return 0
