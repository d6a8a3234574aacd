"""Channels: the tables of `[notify]`, each of which says where it leads, and whom it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from progflags.flags._freeze import FrozenDict
from progflags.flags._model import ChannelSpec
from progflags.flags._problems import Path, Problems, Wrong, word
from progflags.flags.file._fields import read
from progflags.flags.file._format import CHANNEL
from progflags.flags.file._kinds import TEXT

__all__ = ["KINDS", "channels"]

#: The key that says what kind of channel it is: which others go with it, and which of them must.
KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "slack": (("channel",), ()),
    "teams": ((), ()),
    "discord": ((), ()),
    "webhook": (("secret", "source"), ()),
    "email": (("smtp", "from"), ("smtp",)),
    "command": ((), ()),
}
_URL: Final = "console_url"
_NAMES: Final = "one of " + ", ".join(KINDS)


def channels(table: Mapping[Any, Any], problems: Problems, before: Mapping[str, ChannelSpec]) -> Mapping[str, ChannelSpec]:
    """
    The channels of a checked document, by name. What is wrong with one is reported, and leaves it as it was `before`.

    `console_url` may stand once for all of them.
    """
    found: dict[str, ChannelSpec] = {}
    common = _console(table, problems)
    for key, entry in table.items():
        name = word(key)
        if key == _URL or name.startswith("x-"):
            continue
        spec = _channel(name, entry, common, problems)
        if spec is not None:
            found[name] = spec
        elif name in before:
            found[name] = before[name]
    return FrozenDict(found)


def _console(table: Mapping[Any, Any], problems: Problems) -> dict[str, Any]:
    if _URL not in table:
        return {}
    try:
        return {_URL: TEXT.check(table[_URL])}
    except Wrong as wrong:
        problems.add(("notify", _URL), wrong.message, 'write console_url = "https://flags.example.com"')
        return {}


def _channel(name: str, entry: Any, common: Mapping[str, Any], problems: Problems) -> ChannelSpec | None:
    path: Path = ("notify", name)
    before = len(problems.found)
    data = read(entry, CHANNEL, lambda at, message, hint: problems.add((*path, *at), message, hint))
    if len(problems.found) == before:
        _hang_together(path, data, problems)
    if len(problems.found) > before:
        return None
    return ChannelSpec(name, FrozenDict({**common, **data}), problems.file, problems.lines)


def _hang_together(path: Path, data: Mapping[str, Any], problems: Problems) -> None:
    kinds = [kind for kind in KINDS if kind in data]
    if not kinds:
        problems.add(path, "it leads nowhere", f'{_NAMES} is wanted: slack = "env:SLACK_WEBHOOK"')
        return
    for kind in kinds[1:]:
        problems.add((*path, kind), f"it leads to {kinds[0]} already", "give each its own table")
    allowed, wanted = KINDS[kinds[0]]
    for key in {key for others, _ in KINDS.values() for key in others} & data.keys() - set(allowed):
        owner = next(kind for kind, (others, _) in KINDS.items() if key in others)
        problems.add((*path, key), f"{key} goes with {owner}, and this one is {kinds[0]}", "take it out")
    for key in wanted:
        if key not in data:
            problems.add(path, f"{key!r} is missing", 'write smtp = "env:SMTP_URL", which holds smtp://user:password@host:587')
