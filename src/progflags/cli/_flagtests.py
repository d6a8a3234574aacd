"""`test`: what the flag file promises about itself, checked before it ships."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progflags.cli._client import inspect
from progflags.cli._say import tell, tell_json
from progflags.cli._units import context_at
from progflags.context import Context
from progflags.errors import DefinitionError, Problem
from progflags.flags import Client, Live, Snapshot, decode, suggest

__all__ = ["Outcome", "add_parser", "run", "run_tests"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "test",
        help="run the flag tests in the file, and in FILE.tests.toml beside it",
        description="A test: [[flags.KEY.tests]] with key, attributes, at (percent), share, flags, expect, reason.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test that was run. `why` is empty when it passed, else what was found and how it came to be."""

    flag: str
    name: str
    why: str = ""

    @property
    def passed(self) -> bool:
        return not self.why


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when every test passes, 1 when one fails, 2 for a file that can't be loaded, 3 when there is no test at all."""
    arguments.flags = arguments.file or arguments.flags
    # The file alone: no kill or share of a live store changes what it promises.
    with inspect(arguments.flags, arguments.environment) as flags:
        rejected = flags.status().rejected
        if rejected:
            raise DefinitionError(rejected)
        outcomes = list(run_tests(flags, _beside(arguments.flags, flags.definitions)))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if arguments.json:
        tests = [{"flag": o.flag, "name": o.name, "ok": o.passed, "why": o.why} for o in outcomes]
        tell_json({"ok": bool(outcomes) and not failed, "tests": tests})
    else:
        for outcome in failed:
            tell(f"FAILED {outcome.flag}: {outcome.name}")
            for line in outcome.why.split("\n"):
                tell(f"  {line}")
        tell(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed" if outcomes else "there are no flag tests")
    return 3 if not outcomes else 1 if failed else 0


def run_tests(client: Client, more: Mapping[str, list[Mapping[str, Any]]] | None = None) -> Iterator[Outcome]:
    """The outcomes of every test of the client's definitions, and of `more` (flag → tests)."""
    snapshot = client.definitions
    for key, flag in {} if snapshot is None else snapshot.flags.items():
        for at, test in enumerate((*flag.tests, *(more or {}).get(key, ()))):
            name = str(test.get("name", f"test {at + 1}"))
            try:
                yield Outcome(key, name, _fails(client, key, test))
            except (ValueError, TypeError) as error:
                yield Outcome(key, name, str(error))


def _fails(client: Client, key: str, test: Mapping[str, Any]) -> str:
    """Empty when the test passes, else what was found and why."""
    flag = client.definitions.flags[key] if client.definitions else None
    if flag is None:
        return "there is no such flag"
    attributes = dict(test.get("attributes", {}))
    context = context_at(flag, test["at"], attributes) if "at" in test else Context(test.get("key"), attributes)
    with ExitStack() as stack:
        if "flags" in test:
            stack.enter_context(client.override(test["flags"]))
        before = client.live(key)
        if "share" in test:
            client.install(live={key: Live(key, before.revision, round(test["share"] * 10_000))})
            stack.callback(client.install, live={key: before})
        explained = client.explain(key, context)
    answer = explained.evaluation
    wanted = test["expect"]
    if answer.error_code is None and wanted not in (answer.variant, answer.value):
        return f"expected {wanted!r}\n{explained}"
    if answer.error_code is not None and wanted != answer.error_code:
        return f"expected {wanted!r}\n{explained}"
    if "reason" in test and test["reason"] != answer.reason:
        return f"expected reason {test['reason']}\n{explained}"
    return ""


def _beside(source: str, snapshot: Snapshot | None) -> dict[str, list[Mapping[str, Any]]]:
    """The tests in `NAME.tests.toml` beside the flag file: `[[tests]]` with `flag = "…"`."""
    path = Path(source)
    beside = path.with_suffix(".tests.toml")
    found: dict[str, list[Mapping[str, Any]]] = {}
    if path.is_dir() or not beside.is_file():
        return found
    document, lines = decode(beside.read_bytes(), str(beside))
    known = {} if snapshot is None else snapshot.flags
    for at, test in enumerate(document.get("tests", ())):
        key = test.get("flag") if isinstance(test, dict) else None
        if not isinstance(key, str) or key not in known or "expect" not in test:
            message = "a test says what to expect" if key in known else f"there is no flag {key!r}"
            raise DefinitionError([Problem(str(beside), lines(("tests", at)), f"tests[{at}]", message, suggest(key, known))])
        found.setdefault(key, []).append(test)
    return found
