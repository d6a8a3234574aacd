"""`demo`: a real application ramps a good release and rolls a bad one back."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from progflags.errors import missing

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("demo", help="watch a good release climb and a bad one fall, on real traffic (about a minute)")
    parser.add_argument(
        "--dir", type=Path, help="keep the state here; a demo that was interrupted goes on from it (default: a temporary folder)"
    )
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second (default 300)")
    parser.add_argument("--seed", type=int, default=7, help="for the order of users (default 7)")
    parser.add_argument("--no-console", dest="console", action="store_false", help="without the web console beside it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when the story went as told, 1 when it did not. The last line printed is one JSON object with the summary."""
    needed = ("fastapi", "uvicorn", *(("jinja2",) if arguments.console else ()))
    for module in needed:  # by the demo's application and the console; better said here than by a dead child
        try:
            import_module(module)
        except ImportError as error:
            raise missing(error, module, module, "demo") from error
    from progflags.cli.demo.story import tell

    return tell(arguments.dir, rate=arguments.rate, seed=arguments.seed, console=arguments.console)
