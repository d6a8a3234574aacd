"""`push`: put a flag file's definitions into the store, for applications that read them from there."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any, Final

from progflags._printed import counted
from progflags.cli._client import deadline, everywhere, inspect, timed
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError, Problem, ProgflagsError

__all__ = ["add_parser", "run"]

_TIMEOUT: Final = 30.0  # seconds: between reading and writing, tens of thousands of flags are compared with those that serve


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("push", help="put the flag file's definitions into the store")
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    parser.add_argument("--by", default=None, help="who; default: the login name")
    parser.add_argument("--force", action="store_true", help="also when more than half of the flags would be gone")
    timed(parser, _TIMEOUT)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Push the file if every flag and rollout in it is good; processes connected with `pf.connect(store=…)` alone serve it."""
    from progflags._connect import login
    from progflags.rollout import unstartable
    from progflags.sources import push, source_of
    from progflags.store import open_store

    file = arguments.file or arguments.flags
    if not file or not arguments.store:
        raise ProgflagsError("say which file and which store: progflags push FILE --store URL")
    wrong: dict[Problem, None] = {}
    for environment in everywhere(file):
        with inspect(file, environment) as flags:
            wrong |= dict.fromkeys(unstartable(flags.definitions))
    if wrong:
        raise DefinitionError(wrong)
    with deadline(arguments), closing(open_store(arguments.store)) as store:
        revision, snapshot = push(store, source_of(file).read(), by=arguments.by or login(), force=arguments.force)
    if arguments.json:
        tell_json({"ok": True, "store": store.url, "revision": revision, "digest": snapshot.digest, "flags": len(snapshot.flags)})
    else:
        tell(f"{store.url}: {counted(len(snapshot.flags))} pushed, store revision {revision}")
    return 0
