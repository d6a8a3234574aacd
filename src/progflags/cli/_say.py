"""The one place where the command line prints: text in printable lines, JSON in ASCII."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from progflags._printed import json_text, printable

__all__ = ["tell", "tell_all", "tell_json"]


def tell(line: object, *, to: TextIO | None = None, flush: bool = False) -> None:
    """Print one line, whatever is in it."""
    print(printable(line), file=to or sys.stdout, flush=flush)


def tell_all(thing: object, *, flush: bool = False) -> None:
    """Print something of several lines, each of which has printable parts only."""
    for line in str(thing).split("\n"):
        tell(line, flush=flush)


def tell_json(value: Any, *, flush: bool = False, **options: Any) -> None:
    """Print `value` as JSON: whole, and without a character that a terminal would obey."""
    print(json_text(value, **options), flush=flush)
