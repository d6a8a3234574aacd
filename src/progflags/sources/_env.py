"""
The environment as the top layer: `PROGFLAGS_FLAG_NEW_SEARCH=on` for a laptop, a test run, an emergency without a deploy.

A variable replaces what the flag serves by itself: its rules, percentage and rollout are gone, and everybody gets the
named variant (or, of a boolean flag, that percentage). Prerequisites, holdouts, groups and a kill still stand above it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from progflags._json import canonical
from progflags.errors import Problem
from progflags.sources._contract import Piece

__all__ = ["PREFIX", "EnvSource", "apply"]

PREFIX = "PROGFLAGS_FLAG_"
_OWN = ("rules", "percent", "split", "serve", "ramp", "rollout", "tests", "from", "until")
_NAME = re.compile(r"[^A-Z0-9]")


class EnvSource:
    """
    The variables that begin with `PROGFLAGS_FLAG_`. A key's letters count without case, every other sign of it is a `_`.

        # PROGFLAGS_FLAG_NEW_SEARCH=50%, or =off, is above what the file says
        flags = pf.connect(["flags.toml", EnvSource()])
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    @property
    def name(self) -> str:
        return "<environment>"

    def read(self) -> Sequence[Piece]:
        found = {name: value for name, value in self._environment.items() if name.startswith(PREFIX)}
        return (Piece(self.name, "env", canonical(found).encode("utf-8", "surrogatepass")),) if found else ()


def variable(key: str) -> str:
    """The variable that speaks for a flag: `new-search` → `PROGFLAGS_FLAG_NEW_SEARCH`."""
    return PREFIX + _NAME.sub("_", key.upper())


def apply(found: Mapping[str, str], document: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """`document` with the flags that `found` speaks for, and what was wrong with those variables (which then change nothing)."""
    flags: dict[str, Any] = dict(document.get("flags", {}))
    problems: list[Problem] = []
    for name, value in found.items():
        keys = [key for key in flags if isinstance(key, str) and variable(key) == name]
        for key in keys:
            patched = _patch(flags[key], value.strip())
            if isinstance(patched, str):
                problems.append(Problem("<environment>", None, name, patched))
            else:
                flags[key] = patched
        if not keys:
            problems.append(Problem("<environment>", None, name, "there is no such flag", f"a flag my-flag is {variable('my-flag')}"))
    return {**document, "flags": flags}, tuple(problems)


def _patch(flag: Any, value: str) -> dict[str, Any] | str:
    """The flag as the variable wants it, or what is wrong with the variable."""
    if not isinstance(flag, Mapping):
        return "the flag itself is no table"
    rest = {key: part for key, part in flag.items() if key not in _OWN}
    variants = flag.get("variants")
    if not isinstance(variants, Mapping):
        word = {"true": "on", "false": "off"}.get(value.lower(), value.lower())
        if word in ("on", "off"):
            return {**rest, "default": word}
        percent = _percent(value)
        if percent is None:
            return f"{value!r} is neither on, off nor a percentage such as 25%"
        return {**rest, "percent": percent} if percent <= 100 else f"a percentage is 0 to 100, not {value}"
    if value in variants:
        return {**rest, "default": value}
    return f"{value!r} is no variant of it: {', '.join(map(str, variants))}"


def _percent(value: str) -> float | int | None:
    number = value.removesuffix("%")
    if number == value or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", number):
        return None
    return float(number) if "." in number else int(number)
