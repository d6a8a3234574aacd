"""The parser of the whole program, and what its errors look like."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from progflags._printed import printable
from progflags.cli._client import defaults
from progflags.cli._completion import complete
from progflags.cli._say import tell, tell_json
from progflags.errors import DefinitionError, ProgflagsError

__all__ = ["main"]

#: Every module with a noun's commands, in the order of the help page.
_NOUNS = (
    "_demo",
    "_validate",
    "_schema",
    "_evaluate",
    "_lint",
    "_flagtests",
    "_codegen",
    "_diff",
    "definitions._set",
    "definitions._add",
    "definitions._rule",
    "definitions._archive",
    "definitions._promote",
    "_status",
    "_kill",
    "_rollback",
    "_rollout",
    "_log",
    "_shadow",
    "_canary",
    "_replay",
    "_report",
    "_console",
    "_push",
    "_store",
    "_publish",
    "_notify",
    "_doctor",
    "_completion",
)

_EPILOG = """\
exit codes: 0 good · 1 a gate failed · 2 usage or a bad file · 3 undecided
--flags, --store and --environment may also come from PROGFLAGS_FILE, PROGFLAGS_STORE and PROGFLAGS_ENVIRONMENT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises for what a person typed or a file held."""
    parser = _parser()
    complete(parser)
    try:
        arguments = parser.parse_args(argv, defaults())
    except SystemExit as stop:  # argparse has printed its say
        return stop.code if isinstance(stop.code, int) else 2
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()  # here, where a disk that is full can still be said
    except DefinitionError as error:
        return _bad_definition(error, as_json=arguments.json)
    except ProgflagsError as error:
        return _failed(str(error), as_json=arguments.json)
    except ValueError as error:  # an option's value that only the room behind it can judge, as a store's address
        return _failed(str(error), as_json=arguments.json)
    except BrokenPipeError:  # the reader left (`progflags … | head`)
        _hush()
        return 0
    except OSError as error:  # a file that is missing, forbidden, a folder, on a full disk
        return _unwritten(error, as_json=arguments.json)
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    # SUPPRESS: given before the command or after it, and the later parser's default never hides the earlier word.
    for flags, options in _COMMON:
        common.add_argument(*flags, default=argparse.SUPPRESS, **options)
    parser = _Parser(
        prog="progflags",
        description="Feature flags, dark launches, staged rollouts and canary verdicts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    from progflags import __version__

    parser.add_argument("--version", action="version", version=f"progflags {__version__}")
    commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_child(common))
    for noun in _NOUNS:
        import_module(f"progflags.cli.{noun}").add_parser(commands)
    return parser


_COMMON: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--flags",), {"metavar": "FILE", "help": "the flag file (TOML or JSON), or a directory of them"}),
    (("--store",), {"metavar": "URL", "help": "where live state is kept, as in sqlite:///progflags.db"}),
    (("--environment",), {"metavar": "NAME", "help": "the environment of the flag file, as in staging; default: none"}),
    (("--json",), {"action": "store_true", "help": "answer in JSON"}),
)


class _Parser(argparse.ArgumentParser):
    """What was typed comes back in an error, as printable as everything else."""

    any_order = False
    """Whether options may stand between positional words of any number: argparse would take none for the first of them."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - one form for all its overloads
        return super().parse_known_args(_options_first(self, args) if self.any_order and args is not None else args, namespace)

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _options_first(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """The same words, the options with their values before the others."""
    options, others, rest = list[str](), list[str](), iter(words)
    for word in rest:
        if word == "--":
            others += rest
        elif not word.startswith("-"):
            others.append(word)
        else:
            options.append(word)
            known = {id(one): one for text, one in parser._option_string_actions.items() if text == word or text.startswith(f"{word}")}
            if len(known) == 1 and next(iter(known.values())).nargs is None:
                options += [value for value in (next(rest, None),) if value is not None]
    return [*options, *(["--"] if others else []), *others]


def _child(common: argparse.ArgumentParser) -> Any:
    """A parser class whose every instance also takes the common options."""

    class Child(_Parser):
        def __init__(self, **options: Any) -> None:
            options.setdefault("parents", [common])
            super().__init__(**options)

    return Child


def _bad_definition(error: DefinitionError, *, as_json: bool) -> int:
    if as_json:
        tell_json({"ok": False, "problems": [problem.to_dict() for problem in error.problems]})
    else:
        for problem in error.problems:
            tell(problem, to=sys.stderr)
    return 2


def _unwritten(error: OSError, *, as_json: bool) -> int:
    said = error.strerror or str(error)
    message = said if error.filename is None else f"{error.filename}: {said}"
    try:
        code = _failed(message, as_json=as_json)
        sys.stdout.flush()
    except OSError:  # it is the output itself: what is left in its buffer is lost, and standard error may be whole
        _hush()
        return _failed(message, as_json=False)
    return code


def _hush() -> None:
    """Point stdout at nothing, so that the interpreter's last flush is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(message: str, *, as_json: bool) -> int:
    if as_json:
        tell_json({"ok": False, "error": message})
    else:
        tell(f"progflags: {message}", to=sys.stderr)
    return 2
