"""Where something is wrong, in words: key paths, did-you-mean, and the list that collects Problems."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from progflags.errors import Problem

__all__ = ["Lines", "Path", "Problems", "Wrong", "dotted", "meant", "nowhere", "shown", "suggest", "word"]

Path = tuple[str | int, ...]
"""Where in a document: `("flags", "checkout", "rules", 0, "when")`."""

Lines = Callable[[Path], int | None]
"""The line, from 1, on which the value at a path is written; None where there are no lines or no such path."""

_CHOICES = 10_000
_LONG = 256  # characters of a name
_LIKE = 0.6  # of difflib's measure

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


class Wrong(ValueError):  # noqa: N818 - a reason inside the parser, not an error anybody catches
    """A value that is not what it should be; `path` is relative to where the checker stood."""

    def __init__(self, message: str, hint: str = "", path: Path = ()) -> None:
        self.message, self.hint, self.path = message, hint, path
        super().__init__(message)


def nowhere(_: Path) -> None:
    """The lines of a document that never was text."""
    return


def dotted(path: Path) -> str:
    """A path as people write it: `flags.checkout.rules[0].when`; odd keys are quoted, those of a dict that are no text too."""
    text = ""
    for part in path:
        if isinstance(part, int) and not isinstance(part, bool):
            text += f"[{part}]"
        else:
            name = word(part)
            text += ("." if text else "") + (name if _BARE.match(name) else '"' + name.replace('"', '\\"') + '"')
    return text


def shown(value: object) -> str:
    """What was found, as a file would show it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}" if value else "an empty text"
    if isinstance(value, int):
        return f"{value}" if abs(value) < 10**30 else "a very large number"
    if isinstance(value, float):
        return f"{value!r}"
    if isinstance(value, Mapping):
        return "a table" if value else "an empty table"
    return ("a list" if value else "an empty list") if isinstance(value, list) else f"a {type(value).__name__}"


def word(key: object) -> str:
    """A key as text; documents that never were text may have other keys."""
    return key if isinstance(key, str) else shown(key)


def suggest(wanted: object, known: Iterable[str]) -> str:
    """`did you mean 'weight'?`, or the choices when there are few, or nothing."""
    choices: Sequence[str] = sorted(map(word, known))
    return meant(wanted, choices) or (f"known: {', '.join(choices)}" if 0 < len(choices) <= 8 else "")


def meant(wanted: object, known: Iterable[object]) -> str:
    """`did you mean 'weight'?`, or nothing. For names of any length and any number of them: the first 10,000 are looked at."""
    from difflib import get_close_matches

    choices = sorted({choice for choice in islice(known, _CHOICES) if type(choice) is str and len(choice) <= _LONG})
    text = wanted.lower()[:_LONG] if isinstance(wanted, str) else ""
    close = get_close_matches(text, [choice.lower() for choice in choices], 1, _LIKE)
    return f"did you mean {next(choice for choice in choices if choice.lower() == close[0])!r}?" if close else ""


class Problems:
    """What was found wrong in one document so far; in a `lenient` one what can be done without is among its `warnings`."""

    def __init__(self, file: str, lines: Lines) -> None:
        self.file = file
        self.lines = lines
        self.lenient = False
        self.found: list[Problem] = []
        self.warnings: list[Problem] = []

    def at(self, path: Path, message: str, hint: str = "") -> Problem:
        """A Problem at `path`. The line is that of the nearest part that is written somewhere: a missing key has none itself."""
        line = None
        for length in range(len(path), -1, -1):
            line = self.lines(path[:length])
            if line is not None:
                break
        return Problem(self.file, line, dotted(path), message, hint)

    def add(self, path: Path, message: str, hint: str = "") -> None:
        """Note that something is wrong at `path`."""
        self.found.append(self.at(path, message, hint))
