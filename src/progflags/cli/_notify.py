"""`notify`: a test message to the channels of the flag file, so that nobody finds out in an emergency whom it does not reach."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from progflags._beside import said
from progflags.cli._client import inspect
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError, ProgflagsError
from progflags.flags import ChannelSpec, suggest

if TYPE_CHECKING:
    from progflags.notify import Message

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("notify", help="send a test message to the channels of the flag file's [notify]")
    parser.add_argument("channels", metavar="CHANNEL", nargs="*", help="default: all of them")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Send it to each, whatever becomes of the others. Exit codes: 0 all took it, 1 one did not, 2 there is none."""
    with inspect(arguments.flags, arguments.environment) as flags:
        snapshot, rejected = flags.definitions, flags.status().rejected
    for problem in rejected:
        if problem.key.startswith("notify"):
            tell(problem, to=sys.stderr)
    specs = {} if snapshot is None else snapshot.notify
    results = dict(_sent(_chosen(specs, arguments.channels)))
    if arguments.json:
        tell_json([{"channel": name, "ok": not why, "error": why} for name, why in results.items()])
    else:
        for name, why in results.items():
            tell(f"✗ {name}: {why}" if why else f"✓ {name} took it")
    return 1 if any(results.values()) else 0


def _chosen(specs: Mapping[str, ChannelSpec], names: Iterable[str]) -> list[ChannelSpec]:
    if not specs:
        raise ProgflagsError('the flag file names no channel: write [notify.ops] with slack = "env:SLACK_WEBHOOK"')
    for name in names:
        if name not in specs:
            raise ProgflagsError(f"there is no channel {name!r} in the flag file: {suggest(name, specs)}")
    return [specs[name] for name in (names or specs)]


def _sent(specs: Iterable[ChannelSpec]) -> Iterator[tuple[str, str]]:
    """Each channel's name, and why it did not take the message; empty where it did."""
    from progflags.notify import channel_of

    for spec in specs:
        try:
            channel_of(spec).send(_message())
        except DefinitionError as error:
            yield spec.name, str(error.problems[0])
        except Exception as error:
            yield spec.name, said(error)
        else:
            yield spec.name, ""


def _message() -> Message:
    from progflags.notify import Message, Severity

    now = time.time()
    return Message(
        id=f"test#{now:.3f}",
        kind="test",
        flag="",
        thread="test",
        severity=Severity.INFO,
        title="a test: progflags can tell you here",
        said=("Nothing has happened.",),
        do="",
        link="",
        owner="",
        tags=(),
        at=now,
        changes=(),
    )
