"""What several commands begin with: a client of the file and store the user named."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from progflags.errors import ProgflagsError

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["attributes", "connect", "context", "inspect", "positive", "rate"]

_WHICH: Final = "which flag file? say --flags FILE, or set PROGFLAGS_FILE"


def connect(arguments: argparse.Namespace, *, needs_store: bool = False) -> Flags:
    """
    A client that looks once and runs nothing in the background.

    Raises:
        ProgflagsError: no `--flags`, or no `--store` where the command changes live state that others must see.
        DefinitionError: the file can't be loaded.
    """
    from progflags._connect import connect as connect_

    if not arguments.flags:
        raise ProgflagsError(_WHICH)
    if needs_store and not arguments.store:
        raise ProgflagsError("live state is kept in a store that the application shares: say --store URL, or set PROGFLAGS_STORE")
    return connect_(arguments.flags, store=arguments.store, poll=None, control=False)


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
