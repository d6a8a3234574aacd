"""
Paths into a value: `$.items[*].price`.

Written by people in rules, printed by the diff in reports. A printed path is general: an index becomes `[*]`, and a key that
looks like data (an id, an address, one of very many) becomes `{*}`. So ten thousand differences read as a few, and
a path never carries a user's e-mail address into a log.
"""

from __future__ import annotations

import re
from typing import Any, Final

from progflags._printed import quoted

__all__ = ["ANY", "DEEP", "INDEX", "KEY", "Path", "parse", "render"]


class _Token:
    """A step that is no plain key; compared by identity."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


#: `[*]`: any element of a list. `.*`: any key or element. `..`: any depth, also none. `{*}`: a key that is data (printed only).
INDEX: Final = _Token("[*]")
ANY: Final = _Token(".*")
DEEP: Final = _Token("..")
KEY: Final = _Token("{*}")

#: A path while walking: (parent, step), None for the root. Text is made only for what differs.
Path = tuple[Any, Any] | None

MANY_KEYS: Final = 50  # a map with more is a table, its keys are data (Diffy's survey value)

_STEP = re.compile(r"""\.\.(?=[A-Za-z_*\[])|\.?(\*)|\.?([^\s.\[\]'"*]+)|\.?\[(?:(\*)|(\d+)|'([^']*)'|"([^"]*)")\]""")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_-]*(?:[0-9]{1,3}[A-Za-z_-]+){0,2}[0-9]{0,3}\Z")
_LONGEST_NAME: Final = 64


def parse(path: str) -> tuple[Any, ...]:
    """
    The steps of a written path: str keys, int indices, or one of the tokens above.

    `$` is the whole value; then `.name`, `['any name']`, `[3]`, `[*]`, `.*`, and `..name` at any depth.

    Raises:
        ValueError: not such a path; the message shows where it stops making sense.
    """
    if not isinstance(path, str) or not path.startswith("$"):
        raise ValueError(f"{quoted(path)} is not a path: begin with '$', as in '$.items[*].price'")
    steps: list[Any] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (found.group(0)[0] not in ".[" and steps[-1:] != [DEEP]):
            raise ValueError(f"{quoted(path)} is not a path from character {at + 1} on: {quoted(path[at:])}")
        steps.append(_step(found))
        at = found.end()
    if steps and steps[-1] is DEEP:
        raise ValueError(f"{quoted(path)} ends in '..': say which name is meant")
    return tuple(steps)


def _step(found: re.Match[str]) -> Any:
    star, name, index, number, single, double = found.groups()
    if star:
        return ANY
    if index:
        return INDEX
    if number is not None:
        return int(number)
    for text in (name, single, double):
        if text is not None:
            return text
    return DEEP


def render(path: Path) -> str:
    """The general text of a walked path."""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(_text(step))
    return "$" + "".join(reversed(steps))


def _text(step: Any) -> str:
    if step is INDEX or step is KEY:
        return str(step.text)
    if isinstance(step, str) and len(step) <= _LONGEST_NAME and _PLAIN.match(step):
        return "." + step
    return KEY.text
