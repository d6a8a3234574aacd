"""The installed `progflags` program, for frameworks that have a command line of their own."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any

__all__ = ["arguments", "run"]


def arguments(source: Any, store: Any, environment: Any = None) -> list[str]:
    """
    `--flags`, `--store` and `--environment` for what an application is configured with.

    Raises:
        ValueError: the source is no file (a dict in the settings), so there is nothing the program could open.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(  # noqa: TRY004 - a setting, not a type, is at fault
            "the command line works on flag files, and the source configured here is none"
        )
    where = {"--store": store, "--environment": environment}
    return ["--flags", os.fspath(source), *(word for name, said in where.items() if isinstance(said, str) for word in (name, said))]


def run(words: list[str]) -> int:
    """Run the program with these arguments in this process, and return its exit code."""
    (program,) = entry_points(group="console_scripts", name="progflags")
    return int(program.load()(words))
