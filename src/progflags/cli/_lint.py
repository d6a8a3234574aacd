"""`lint`: what is valid and still not as it should be; and whether the code and the file speak of the same flags."""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from progflags._printed import counted
from progflags.cli._advice import advice
from progflags.cli._client import inspect
from progflags.cli._say import tell, tell_json
from progflags.cli._scan import scan
from progflags.errors import Problem, ProgflagsError
from progflags.flags import Snapshot, decode, meant

__all__ = ["add_parser", "run"]

_KeyPath = tuple[str | int, ...]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("lint", help="expired, ownerless, unreachable, undeclared: what to tidy up")
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    parser.add_argument(
        "--code", action="append", default=[], metavar="PATH", help="Python source to compare with the file; repeat for more"
    )
    parser.add_argument("--days", type=int, default=30, metavar="N", help="how long a release flag may stand at 100 %% (default 30)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print every finding as file:line: key: message [rule]. Exit 0 without any, 1 with some, 2 for a file that can't be loaded."""
    arguments.flags = arguments.file or arguments.flags
    with inspect(arguments.flags, arguments.environment) as flags:
        snapshot, rejected = flags.definitions, flags.status().rejected
    if snapshot is None:
        return 2
    found = [*(("invalid", problem) for problem in rejected), *_found(snapshot, arguments)]
    if arguments.json:
        problems = [{"rule": rule, **problem.to_dict()} for rule, problem in found]
        tell_json({"ok": not found, "flags": len(snapshot.flags), "problems": problems})
    else:
        for rule, problem in found:
            tell(f"{problem} [{rule}]")
        if not found:
            tell(f"{arguments.flags}: {counted(len(snapshot.flags))}, nothing to tidy up")
    return 2 if rejected else 1 if found else 0


def _found(snapshot: Snapshot, arguments: argparse.Namespace) -> Iterator[tuple[str, Problem]]:
    from progflags.rollout import lint_snapshot
    from progflags.sources import place_of, source_of

    lines = _lines(arguments.flags)
    today = datetime.now(UTC).date()
    problem = place_of(snapshot.source, source_of(arguments.flags).read(), snapshot.environment)
    for each in advice(snapshot, today, _age(arguments.flags, lines), arguments.days):
        yield each.rule, problem(each.path, each.message)
    wrong, reconsider = lint_snapshot(snapshot)
    yield from (("invalid", each) for each in wrong)
    yield from ((each.hint or "rollout", replace(each, hint="")) for each in reconsider)
    if arguments.code:
        yield from _code(snapshot, arguments.code, problem)


def _code(snapshot: Snapshot, paths: list[str], problem: Callable[[_KeyPath, str], Problem]) -> Iterator[tuple[str, Problem]]:
    missing = next((path for path in paths if not Path(path).exists()), None)
    if missing is not None:
        raise ProgflagsError(f"--code {missing}: there is no such file or folder")
    uses = scan(paths)
    known = snapshot.flags.keys() | snapshot.broken
    for use in uses:
        if use.sure and use.key not in known:
            what = "was retired" if use.key in snapshot.retired else "is in no flag file"
            yield "undeclared", Problem(use.file, use.line, use.key, f"the code asks for a flag that {what}", meant(use.key, known))
    used = {use.key for use in uses}
    for key in snapshot.flags:
        if key not in used:
            yield "unused", problem(("flags", key), "no code asks for this flag: take it out, and name it in `retired`")


def _lines(source: str) -> Callable[[_KeyPath], int | None]:
    path = Path(source)
    if path.suffix in (".toml", ".json") and path.is_file():
        return decode(path.read_bytes(), source)[1]
    return lambda _: None


def _age(source: str, lines: Callable[[_KeyPath], int | None]) -> Callable[[_KeyPath], int | None]:
    """Days since a key's line was last committed, by git's account; None where git has none."""

    def age(path: _KeyPath) -> int | None:
        line = lines(path)
        if line is None:
            return None
        file = Path(source).resolve()
        command = ["git", "-C", str(file.parent), "blame", "--porcelain", "-L", f"{line},{line}", "--", file.name]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603 - fixed words, a path after --
        except (OSError, subprocess.SubprocessError):
            return None
        at = next((int(word.split()[1]) for word in told.splitlines() if word.startswith("committer-time ")), None)
        return None if at is None else int((time.time() - at) // 86_400)

    return age
