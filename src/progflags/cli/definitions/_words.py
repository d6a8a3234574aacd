"""What a person types for a place and a value: `percent=20`, `rollout.profile=high`, `rules[staff].serve=fast`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from progflags._printed import quoted
from progflags.cli.editing import Path, at
from progflags.errors import ProgflagsError

__all__ = ["assignments", "placed", "rule_at", "table"]

_PART: Final = re.compile(
    r"""\.?(?:(?P<bare>[^\s."'\[\]=]+)|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)')"""
    r"""|\[(?:(?P<number>\d+)|"(?P<quoted>[^"]*)"|(?P<name>[^\]]+))\]"""
)
_CALLED: Final = {"share": "percent", "percentage": "percent"}
"""What others call a key, and a file does not."""

Assignment = tuple[Path, Any]


def assignments(words: Sequence[str]) -> tuple[list[Assignment], list[str]]:
    """
    `key=value` words as paths and values, and what there is to say of them.

    Raises:
        ProgflagsError: a word without `=`, or a value that begins like one of TOML's and is none.
    """
    found, notes = list[Assignment](), list[str]()
    for word in words:
        key, equals, text = _cut(word)
        if not equals or not key:
            raise ProgflagsError(f"{quoted(word)} does not say what is to be: write key=value, as in percent=20")
        path = _ours(placed(key), notes)
        found.append((path, _value(key, text)))
    return found, notes


def _cut(word: str) -> tuple[str, str, str]:
    """At the first `=` that stands outside quotes and brackets."""
    end = _key_end(word)
    return (word[:end], "=", word[end + 1 :]) if word[end : end + 1] == "=" else (word, "", "")


def _key_end(word: str) -> int:
    end = 0
    while (part := _PART.match(word, end)) is not None and part.end() > end:
        end = part.end()
    return end


def placed(key: str) -> Path:
    """
    A dotted key as a path; `[2]` counts from 0 as problems do, `[staff]` is a rule by its name.

    Raises:
        ProgflagsError: it is none.
    """
    if not key or _key_end(key) != len(key):
        raise ProgflagsError(f"{quoted(key)} is no key: write percent, rollout.profile or rules[0].serve")
    path: Path = ()
    for part in _PART.finditer(key):
        names = part.groupdict()
        if names["number"] is not None:
            path = (*path, int(names["number"]))
        elif (name := names["quoted"] or names["name"]) is not None:
            path = (*path, f"[{name}")  # until the file is there
        else:
            double = names["double"]
            path = (*path, names["bare"] or names["single"] or ("" if double is None else tomllib.loads(f'v = "{double}"')["v"]))
    return path


def _ours(path: Path, notes: list[str]) -> Path:
    """With the file's own word for what is meant."""
    word = path[-1]
    inside = len(path) == 1 or (len(path) == 3 and path[0] == "rules")
    if inside and word in _CALLED:
        notes.append(f"{word} is called {_CALLED[str(word)]} in a flag file")
        return (*path[:-1], _CALLED[str(word)])
    return path


def _value(key: str, text: str) -> Any:
    """TOML's value, or the text as it stands: a shell has eaten the quotes of owner="ann"."""
    try:
        found = tomllib.loads(f"v = {text}")
    except tomllib.TOMLDecodeError as error:
        if text[:1] in ("[", "{"):
            raise ProgflagsError(f"{key}: {quoted(text)} is no value of TOML: {error}") from None
        if not text:
            raise ProgflagsError(f"{key}= has no value: for an empty text write {key}='\"\"', to take it out --unset {key}") from None
        return text
    return found["v"] if found.keys() == {"v"} else text


def table(found: Sequence[Assignment]) -> dict[str, Any]:
    """
    Assignments as one table.

    Raises:
        ProgflagsError: one of them is inside of what another one gives a value.
    """
    made: dict[str, Any] = {}
    for path, value in found:
        inside = made
        for part in path[:-1]:
            inside = inside.setdefault(str(part), {}) if isinstance(inside, dict) else inside
        if not isinstance(inside, dict) or not all(isinstance(part, str) and not part.startswith("[") for part in path):
            raise ProgflagsError(f"{'.'.join(map(str, path))}: write the list or the table whole, as in rules='[{{ percent = 5 }}]'")
        inside[str(path[-1])] = value
    return made


def rule_at(flag: Mapping[str, Any], which: str | int, key: str) -> int:
    """
    The place of a rule: by its name, by `rule 2` as explanations call one without, by its number from 1, or by `rules[1]` as problems do.

    Raises:
        ProgflagsError: there is no such rule.
    """
    rules = at(flag, ("rules",), [])
    names = [rule.get("name", f"rule {place + 1}") if isinstance(rule, Mapping) else "" for place, rule in enumerate(rules)]
    if names.count(which) == 1:
        return names.index(str(which))
    if names.count(which) > 1:
        raise ProgflagsError(f"{key}: {names.count(which)} rules are called {which!r}: say which by its number, from 1")
    number = re.fullmatch(r"(?:rule )?(\d+)|rules?\[(\d+)\]", str(which))
    place = -1 if number is None else int(number[1]) - 1 if number[1] else int(number[2])
    if not 0 <= place < len(rules):
        known = ", ".join(map(repr, names)) or "it has none"
        raise ProgflagsError(
            f"{key}: there is no rule {which!r} (known: {known})" if names else f"{key}: there is no rule {which!r} ({known})"
        )
    return place
