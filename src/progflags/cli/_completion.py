"""`completion`: what a shell needs in order to complete commands, options and the names of flags. argcomplete does the work."""

from __future__ import annotations

import argparse
import os
from typing import Any

from progflags.cli._say import tell_all
from progflags.errors import ProgflagsError

__all__ = ["add_parser", "complete", "run"]

_WHERE = {
    "bash": 'eval "$(progflags completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(progflags completion zsh)" in ~/.zshrc, after compinit',
    "fish": "progflags completion fish | source in ~/.config/fish/config.fish",
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "completion",
        help="print what a shell needs to complete commands and flags",
        epilog="\n".join(_WHERE.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=tuple(_WHERE))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the shell's code, for its start-up file to evaluate."""
    try:
        from argcomplete import shellcode  # type: ignore[attr-defined, unused-ignore] # listed in no __all__
    except ModuleNotFoundError:
        raise ProgflagsError("completion is argcomplete's work: pip install 'progflags[cli]'") from None
    tell_all(shellcode(["progflags"], shell=arguments.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, where it is one that asks; then the program ends here."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    from argcomplete import autocomplete

    autocomplete(parser, default_completer=_names)  # type: ignore[arg-type, unused-ignore]


def _names(prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The flags there are, where one is wanted."""
    if action.dest != "flag":
        return []
    from progflags.cli._client import connect, defaults

    given = argparse.Namespace(**{**vars(defaults()), **{name: value for name, value in vars(parsed_args).items() if value is not None}})
    try:
        with connect(given) as flags:
            snapshot = flags.definitions
    except (ProgflagsError, ValueError, OSError):  # no names then: the command itself will say why
        return []
    return [] if snapshot is None else [key for key in snapshot.flags if key.startswith(prefix)]
