"""`doctor`: what this installation can do, and whether file and store are in order."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from progflags._json import canonical
from progflags._printed import counted
from progflags.cli._client import deadline, inspect, timed
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError, ProgflagsError

if TYPE_CHECKING:
    from progflags.rollout import Process

__all__ = ["add_parser", "run"]

_PACKAGES = ("pydantic", "xxhash", "opentelemetry-api", "wrapt", "cachetools", "scipy")
_EXTRAS = {
    "yaml": "PyYAML",
    "edit": "tomlkit",
    "fastapi": "fastapi",
    "django": "Django",
    "flask": "Flask",
    "celery": "celery",
    "dramatiq": "dramatiq",
    "otel": "opentelemetry-sdk",
    "openfeature": "openfeature-sdk",
    "postgres": "psycopg",
    "sqlalchemy": "SQLAlchemy",
    "redis": "redis",
    "prometheus": "httpx",
    "http": "cryptography",
    "objects": "obstore",
    "re2": "google-re2",
    "cli": "rich",
    "demo": "uvicorn",
    "console": "Jinja2",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="what this installation can do, and whether file and store are in order")
    timed(parser, of="the look at the store")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per check. Exit 0 when nothing is wrong, 2 when the file or the store is; a missing extra is no fault."""
    checks = list(_checks(arguments))
    bad = any(state == "wrong" for state, _, _ in checks)
    if arguments.json:
        tell_json({"ok": not bad, "checks": [{"state": s, "what": w, "says": t} for s, w, t in checks]})
    else:
        for state, what, says in checks:
            tell(f"{state:<7} {what:<22} {says}")
    return 2 if bad else 0


def _checks(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    from progflags import __version__

    yield "ok", "progflags", f"{__version__} on Python {sys.version.split()[0]}"
    for package in _PACKAGES:
        found = _version(package)
        yield ("ok", package, found) if found else ("wrong", package, f"not installed: pip install {package}")
    for extra, package in _EXTRAS.items():
        found = _version(package)
        yield ("ok", f"extra {extra}", f"{package} {found}") if found else ("absent", f"extra {extra}", f"pip install 'progflags[{extra}]'")
    yield "ok", "SQLite", sqlite3.sqlite_version
    if arguments.flags:
        yield from _file(arguments.flags, arguments.environment)
    if arguments.store:
        yield from _store(arguments)


def _file(path: str, environment: str | None) -> Iterator[tuple[str, str, str]]:
    try:
        with inspect(path, environment) as flags:
            status = flags.status()
            count = len(flags.definitions.flags) if flags.definitions else 0
            within = f" in {status.environment}" if status.environment else ""
            yield "ok", "flag file", f"{path}{within}: {counted(count)}"
            yield from (("wrong", "flag file", str(problem)) for problem in status.rejected)
            yield from (("doubt", "flag file", str(problem)) for problem in status.warnings)
    except DefinitionError as error:
        yield from (("wrong", "flag file", str(problem)) for problem in error.problems)


def _store(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    from progflags.rollout import apart, living
    from progflags.store import open_store

    try:
        with deadline(arguments), closing(open_store(arguments.store)) as store:
            revision, documents = store.read()
            size = sum(len(canonical(document.body)) for document in documents.values())
            yield "ok", "store", f"{store.url}: revision {revision}, {counted(len(documents), 'document')} of {size / 1024:.0f} KiB"
            found = living(store.board)
            yield from _processes(found, revision)
            for what in apart(found):
                yield (
                    "doubt",
                    "processes",
                    f"they do not all serve the same {what}: so it is in the middle of a deployment, and should not stay so",
                )
    except (ProgflagsError, ValueError) as error:
        yield "wrong", "store", str(error)


def _processes(found: Sequence[Process], revision: int) -> Iterator[tuple[str, str, str]]:
    """Each, and what it serves."""
    yield "ok", "processes", f"{len(found)} told of themselves in the last 100 s"
    for one in found:
        behind = f", {counted(revision - one.revision, 'revision')} behind" if 0 <= one.revision < revision else ""
        serves = f"definitions {one.definitions[:12] or 'none'}, the store's revision {max(one.revision, 0)}{behind}"
        yield "ok", one.name, f"progflags {one.version} on Python {one.python}: {serves}; told {one.age:.0f} s ago"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
