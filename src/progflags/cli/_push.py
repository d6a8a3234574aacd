"""`push`: put a flag file's definitions into the store, for applications that read them from there."""

from __future__ import annotations

import argparse
import json
from typing import Any

from progflags.cli._client import counted
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("push", help="put the flag file's definitions into the store")
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    parser.add_argument("--by", default=None, help="who; default: the login name")
    parser.add_argument("--force", action="store_true", help="also when more than half of the flags would be gone")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Push the file if every flag in it is good; processes connected with `pf.connect(store=…)` alone serve it."""
    from progflags._connect._flags import login
    from progflags.sources import push, source_of
    from progflags.store import open_store

    file = arguments.file or arguments.flags
    if not file or not arguments.store:
        raise ProgflagsError("say which file and which store: progflags push FILE --store URL")
    store = open_store(arguments.store)
    try:
        revision, snapshot = push(store, source_of(file).read(), by=arguments.by or login(), force=arguments.force)
    finally:
        store.close()
    if arguments.json:
        print(json.dumps({"ok": True, "revision": revision, "digest": snapshot.digest, "flags": len(snapshot.flags)}))
    else:
        print(f"{store.url}: {counted(len(snapshot.flags))} pushed, store revision {revision}")
    return 0
