"""`publish`: put definitions and live state where a fleet of any size can fetch them, once or after every change."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import closing
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from progflags._printed import counted
from progflags.cli._client import positive
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("publish", help="put definitions and live state where a fleet of any size can fetch them")
    parser.add_argument("to", metavar="TO", help="a file, a folder, or s3://bucket/key, gs://…, az://container/…")
    parser.add_argument("--follow", action="store_true", help="stay, and publish after every change")
    parser.add_argument("--key", metavar="FILE", help="an Ed25519 private key in PEM, to sign with")
    parser.add_argument("--beat", type=positive, default=300.0, metavar="SECONDS", help="with --follow: as often at least (default 300)")
    parser.add_argument("--force", action="store_true", help="also over a newer snapshot, which is another store's, or another document")
    parser.add_argument("--manifest", action="store_true", help="OpenFeature's manifest as well, as openfeature/v0/manifest beside it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Publish once; or, with `--follow`, until it is interrupted or told to end (SIGTERM)."""
    if not arguments.store:
        raise ProgflagsError("live state is published from the store that the application shares: say --store URL, or set PROGFLAGS_STORE")
    made: Any = import_module("progflags.contrib.publish").Publisher  # by name only: nothing in the house imports a leaf
    key = None if arguments.key is None else Path(arguments.key).read_bytes()
    how = {"key": key, "beat": arguments.beat, "manifest": arguments.manifest}
    with closing(made(arguments.flags or None, store=arguments.store, to=arguments.to, **how)) as publisher:

        def told(snapshot: Any) -> None:
            _say(publisher.name, snapshot, arguments)

        if not arguments.follow or arguments.force:
            told(publisher.publish(force=arguments.force))
        if arguments.follow:
            publisher.follow(_until_told(), told)
    return 0


def _until_told() -> threading.Event:
    """What is set once somebody wants us to end."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _say(name: str, snapshot: Any, arguments: argparse.Namespace) -> None:
    if arguments.json:
        what = {"revision": snapshot.revision, "at": snapshot.at, "documents": len(snapshot.documents)}
        tell_json({"ok": True, "to": name, **what}, flush=True)
    else:
        at = datetime.fromtimestamp(snapshot.at, UTC)
        live = counted(len(snapshot.documents), "document")
        tell(f"{at:%H:%M:%S} {name}: store revision {snapshot.revision}, {live} of live state", flush=True)
