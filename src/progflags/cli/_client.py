"""What several commands begin with: a client of the file and store the user named."""

from __future__ import annotations

import argparse
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from progflags._deadline import spent, within
from progflags.errors import DefinitionError, Problem, ProgflagsError, StoreError

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = [
    "anything",
    "attributes",
    "connect",
    "context",
    "deadline",
    "defaults",
    "everywhere",
    "inspect",
    "positive",
    "require",
    "share",
    "timed",
]

_STORE: Final = "live state is kept in a store that the application shares: say --store URL, or set PROGFLAGS_STORE"
_WHICH: Final = "which flag file? say --flags FILE, or set PROGFLAGS_FILE"


def defaults() -> argparse.Namespace:
    """What the environment says where the command line does not."""
    return argparse.Namespace(json=False, flags=os.environ.get("PROGFLAGS_FILE"), store=os.environ.get("PROGFLAGS_STORE"), environment=None)


def connect(arguments: argparse.Namespace, *, needs_store: bool = False) -> Flags:
    """
    A client that looks once and runs nothing in the background. Without a file: of the definitions pushed to the store.

    Raises:
        ProgflagsError: neither `--flags` nor `--store`, or no `--store` where a command changes what others must see.
        DefinitionError: the file can't be loaded, or the store has no definitions.
    """
    from progflags._connect import connect as connect_

    require(arguments)
    if needs_store and not arguments.store:
        raise ProgflagsError(_STORE)
    try:
        where = {"store": arguments.store, "environment": arguments.environment}
        return connect_(arguments.flags or None, poll=None, control=False, require_store=True, **where)
    except DefinitionError as error:
        if arguments.flags:
            raise
        raise DefinitionError(_or_a_file(problem) for problem in error.problems) from None


def require(arguments: argparse.Namespace) -> None:
    """Raise ProgflagsError where neither a file nor a store was named."""
    if not arguments.flags and not arguments.store:
        raise ProgflagsError(_WHICH)


def anything(arguments: argparse.Namespace) -> Flags:
    """
    A client of the store alone, for what is about every flag there is: no file is needed, and a broken one is no hindrance.

    Raises:
        ProgflagsError: no `--store`.
    """
    from progflags._connect import connect as connect_

    if not arguments.store:
        raise ProgflagsError(_STORE)
    return connect_({"flags": {"any": {}}}, store=arguments.store, environment="", poll=None, control=False, require_store=True)


def _or_a_file(problem: Problem) -> Problem:
    """An empty store may be one that was never pushed to, or a `--flags` that was forgotten."""
    return replace(problem, hint=f"{problem.hint}; or say --flags FILE".removeprefix("; "))


@contextmanager
def inspect(source: str | None, environment: str | None = None) -> Iterator[Flags]:
    """
    A client of the file alone, for a command that prints the file's problems itself: the log doesn't say them again.

    `environment`: None, the one that `PROGFLAGS_ENVIRONMENT` names; empty, none.

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
        with connect_(source, poll=None, control=False, environment=environment) as flags:
            yield flags
    finally:
        log.setLevel(level)


def everywhere(source: str | None, environment: str | None = None) -> tuple[str, ...]:
    """The environments that what a command checks must be right in: none (empty), those that are declared, and the one that was named."""
    from progflags.sources import Loader, environments, source_of

    if not source:
        raise ProgflagsError(_WHICH)
    loader = Loader(source_of(source))
    loader.load()
    found = environments(loader.pieces)
    loader.close()
    return tuple(dict.fromkeys(("", *found, *([environment] if environment else []))))


def timed(parser: argparse.ArgumentParser, seconds: float = 2.0, *, of: str = "the whole operation") -> None:
    """Give a command that talks to a store its `--timeout`, which `deadline` heeds."""
    said = f"the time {of} has, whatever the store does not answer (default {seconds:g})"
    parser.add_argument("--timeout", type=positive, default=seconds, metavar="SECONDS", help=said)


@contextmanager
def deadline(arguments: argparse.Namespace) -> Iterator[None]:
    """
    A block that has `--timeout` seconds for all it asks of the store.

    Raises:
        StoreError: one of the block's own, and what to say for more time where that was why.
    """
    with within(arguments.timeout):
        try:
            yield
        except StoreError as error:
            if not spent():
                raise
            raise StoreError(f"{error} (the {arguments.timeout:g} s are over: --timeout SECONDS gives it more)") from error


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


def finite(text: str) -> float:
    """An option's number, of either sign."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"a finite number is wanted here, not {text!r}")
    return number


def share(text: str) -> float:
    """An option's share of all, from 0 and below 1."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"a share is at least 0 and below 1, not {text!r}")
    return number
