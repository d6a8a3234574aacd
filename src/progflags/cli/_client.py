"""What several commands begin with: a client of the file and store the user named."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from progflags.errors import DefinitionError, Problem, ProgflagsError

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["attributes", "connect", "context", "counted", "inspect", "positive", "rate"]

_WHICH: Final = "which flag file? say --flags FILE, or set PROGFLAGS_FILE"


def connect(arguments: argparse.Namespace, *, needs_store: bool = False) -> Flags:
    """
    A client that looks once and runs nothing in the background. Without a file: of the definitions pushed to the store.

    Raises:
        ProgflagsError: neither `--flags` nor `--store`, or no `--store` where a command changes what others must see.
        DefinitionError: the file can't be loaded, or the store has no definitions.
    """
    from progflags._connect import connect as connect_

    if not arguments.flags and not arguments.store:
        raise ProgflagsError(_WHICH)
    if needs_store and not arguments.store:
        raise ProgflagsError("live state is kept in a store that the application shares: say --store URL, or set PROGFLAGS_STORE")
    try:
        return connect_(arguments.flags or None, store=arguments.store, poll=None, control=False)
    except DefinitionError as error:
        if arguments.flags:
            raise
        raise DefinitionError(_or_a_file(problem) for problem in error.problems) from None


def _or_a_file(problem: Problem) -> Problem:
    """An empty store may be one that was never pushed to, or a `--flags` that was forgotten."""
    return replace(problem, hint=f"{problem.hint}; or say --flags FILE".removeprefix("; "))


@contextmanager
def inspect(source: str | None) -> Iterator[Flags]:
    """
    A client of the file alone, for a command that prints the file's problems itself: the log doesn't say them again.

    Raises:
        ProgflagsError: no file was named.
        DefinitionError: the file can't be loaded.
    """
    from progflags._connect import connect as connect_

    if not source:
        raise ProgflagsError(_WHICH)
    log = logging.getLogger("progflags")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with connect_(source, poll=None, control=False) as flags:
            yield flags
    finally:
        log.setLevel(level)


def context(arguments: argparse.Namespace) -> Any:
    """The context described by `--key` and `--attr`."""
    from progflags.context import Context

    return Context(arguments.key, attributes(arguments.attr))


def attributes(pairs: list[str]) -> dict[str, Any]:
    """
    `name=value` words as attributes: a value that is JSON (a number, true, a list) is that, any other text is a string.

    Raises:
        ProgflagsError: a word without `=`.
    """
    import json

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ProgflagsError(f"--attr takes name=value, not {pair!r}")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def counted(number: int, noun: str = "flag") -> str:
    """`1 flag`, `2 flags`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def positive(text: str) -> float:
    """An option's number above zero; argparse says the rest."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is wanted here, not {text!r}")
    return number


def rate(text: str) -> float:
    """An option's share of all, above 0 and below 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"a rate is above 0 and below 1, not {text!r}")
    return number
