"""`codegen`: a typed module from the flag file, so that a misspelt key is a type error."""

from __future__ import annotations

import argparse
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from pprint import pformat
from typing import Any

from progflags.cli._client import inspect
from progflags.cli._whole import check, write
from progflags.errors import DefinitionError, ProgflagsError
from progflags.flags import FlagModel, Snapshot, thaw

__all__ = ["add_parser", "module", "run"]


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("codegen", help="print a typed Python module of the flags")
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: --flags")
    parser.add_argument("-o", "--output", metavar="PATH", help="write it there instead")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when PATH is not up to date")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the module. With --check: exit 0 when the file is what would be written, 1 when it is not, and how it differs."""
    arguments.flags = arguments.file or arguments.flags
    with inspect(arguments.flags, arguments.environment) as flags:
        if rejected := flags.status().rejected:
            raise DefinitionError(rejected)  # a module without one of them would be a type error far from its cause
        source = module(flags.definitions) if flags.definitions else ""
    if arguments.output is None:
        if arguments.check:
            raise ProgflagsError("which module? say --check -o PATH")
        print(source, end="")
        return 0
    path = Path(arguments.output)
    if arguments.check:
        return check(path, source, f"progflags codegen {arguments.flags} -o {path}", as_json=arguments.json)
    write(path, source)
    return 0


def module(snapshot: Snapshot) -> str:
    """The source of a module with one typed flag per definition, in the file's order."""
    names: set[str] = set()
    parts = ['"""The flags of this application. Written by `progflags codegen`; edit the flag file instead."""', ""]
    parts += ["from __future__ import annotations", ""]
    if any("Any" in _type(flag) for flag in snapshot.flags.values()):
        parts += ["from typing import Any", ""]
    parts += ["from progflags import Flag", ""]
    for flag in snapshot.flags.values():
        parts += _lines(flag, _name(flag.key, names))
    return "\n".join(parts).rstrip() + "\n"


def _name(key: str, taken: set[str]) -> str:
    """`new-checkout` → NEW_CHECKOUT; a second of that name gets a number."""
    name = re.sub(r"\W+", "_", key).upper().strip("_") or "FLAG"
    if name[0].isdigit() or keyword.iskeyword(name):
        name = f"FLAG_{name}"
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate


def _type(flag: FlagModel) -> str:
    values = flag.variants.values()
    if flag.type in ("boolean", "string"):
        return {"boolean": "bool", "string": "str"}[flag.type]
    if flag.type == "number":
        return "int" if all(isinstance(value, int) for value in values) else "float"
    if all(isinstance(value, dict) for value in values):
        return "dict[str, Any]"
    return "list[Any]" if all(isinstance(value, list) for value in values) else "Any"


def _lines(flag: FlagModel, name: str) -> Iterator[str]:
    value: Any = thaw(flag.variants[flag.default])
    if _type(flag) == "float":
        value = float(value)
    default = pformat(value, width=100, sort_dicts=False)
    described = f", description={_quoted(flag.description)}" if flag.description else ""
    yield f"{name}: Flag[{_type(flag)}] = Flag({_quoted(flag.key)}, default={default}{described})"
    facts = (("Owner:", flag.owner), ("Expires:", flag.expires), ("Variants:", ", ".join(flag.variants)))
    about = [f"{word} {part}" for word, part in facts if part]
    yield _quoted(". ".join([*([flag.description] if flag.description else []), *about]) + ".", '"""')
    yield ""


def _quoted(text: str, mark: str = '"') -> str:
    """A literal in double quotes; nothing in a file can end it early."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n" if mark == '"' else " ")
    return f"{mark}{inner}{mark}" if inner.isprintable() else ascii(text)
