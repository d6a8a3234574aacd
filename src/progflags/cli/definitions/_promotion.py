"""What one environment has otherwise than another, flag by flag and key by key, and the edits that end it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final

from progflags._printed import json_text, printable
from progflags.cli.editing import Definitions, Edit, Path, Put, Take, Text, at, same
from progflags.errors import ProgflagsError
from progflags.flags import dotted, meant

__all__ = ["Difference", "Promotion"]

_GONE: Final = object()
_BY_NAME: Final = ("variants", "rollout", "metadata")
"""The tables of a flag that an environment says name by name; everything else it says whole."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`key` of `flag`, a path below it, is `old` in the one and `new` in the other; what is absent is `_GONE`."""

    flag: str
    key: Path
    old: Any
    new: Any

    @property
    def sentence(self) -> str:
        return f"{printable(dotted((self.flag, *self.key)))}: {_shown(self.old)} → {_shown(self.new)}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON; a side that is absent is left out."""
        sides = {"from": self.old, "to": self.new}
        return {"flag": self.flag, "key": dotted(self.key), **{name: value for name, value in sides.items() if value is not _GONE}}


class Promotion:
    """What `source` has otherwise than `target`; of all flags, or of those that are named."""

    def __init__(self, definitions: Definitions, source: str, target: str, flags: Sequence[str]) -> None:
        from progflags.sources import merged

        for name in (source, target):
            definitions.environment(name)
        if source == target:
            raise ProgflagsError(f"{source} has nothing otherwise than itself: name two environments")
        self._definitions, self._target = definitions, target
        found = (merged(definitions.name, definitions.pieces, name) for name in ("", source, target))
        self._base, self._wanted, self._there = ({"flags": {}, **document} for document in found)
        self._over, self._own = _overlay(definitions, source), _overlay(definitions, target)
        known = {**self._there["flags"], **self._wanted["flags"]}
        for flag in flags:
            if flag not in known:
                raise ProgflagsError(f"{definitions.name}: there is no flag {flag!r} in {source} or {target} ({meant(flag, known)})")
        alone = [key for key in self._there["flags"] if key not in self._wanted["flags"]]
        self.flags = tuple(flags) or tuple(key for key in known if key not in alone)
        self.alone = tuple(key for key in alone if key not in self.flags)
        """Flags that only `target` has, and that nobody named: they stay."""
        self.elsewhere = tuple(dotted(path) for path in _elsewhere(self._there, self._wanted))
        """What differs and is no flag: it stays."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Each key that differs, in the order of the flags."""
        return tuple(found for flag in self.flags for found in self._of(flag))

    def _of(self, flag: str) -> Iterator[Difference]:
        old, new = self._there["flags"].get(flag, _GONE), self._wanted["flags"].get(flag, _GONE)
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            if not _alike(old, new):
                yield Difference(flag, (), old, new)
            return
        for key in {**old, **new}:
            yield from _between(flag, (key,), old.get(key, _GONE), new.get(key, _GONE))

    @property
    def edits(self) -> list[tuple[Text, list[Edit]]]:
        """
        What has to be said in `target` for the flags to be there as they are in `source`; for each text that says it.

        What an environment says is laid over what all have in common. So a key that differs is said there as it is in `source`, or no
        longer where that says nothing.
        """
        found: dict[str, tuple[Text, list[Edit]]] = {}
        for flag in dict.fromkeys(one.flag for one in self.differences):
            text = self._text(flag)
            found.setdefault(text.piece.file, (text, []))[1].extend(self._edits(flag))
        return list(found.values())

    def _edits(self, flag: str) -> Iterator[Edit]:
        path: Path = ("environments", self._target, "flags", flag)
        if flag not in self._wanted["flags"]:
            yield Take(path)
            return
        own, left = self._own.get(flag), self._left(flag)
        if own is None:
            yield Put(path, left)
        elif left or flag not in self._base["flags"]:
            yield from _steps(path, own, left)
        else:
            yield Take(path)

    def _left(self, flag: str) -> dict[str, Any]:
        """What the target says of the flag afterwards: of a key that differs what the source says, if anything. If need be, all of that."""
        own, over = self._own.get(flag, {}), self._over.get(flag, {})
        said = {key: dict(value) if key in _BY_NAME and isinstance(value, Mapping) else value for key, value in own.items()}
        for one in self._of(flag):
            for key in [one.key] if one.key else [(name,) for name in over]:
                _copy(said, over, key)
        return said if self._makes(flag, said) else dict(over)

    def _makes(self, flag: str, said: Mapping[str, Any]) -> bool:
        """Whether that, laid over what all have in common, is what the source has."""
        from progflags.sources import overlay

        laid = overlay(self._base, {"flags": {flag: said}}, lambda *_: None)
        return _alike(laid["flags"][flag], self._wanted["flags"][flag])

    def _text(self, flag: str) -> Text:
        """The text that speaks of the flag in `target`; else the flag's own, if it declares the environment; else the first that does."""
        definitions, inside = self._definitions, ("environments", self._target)
        found = definitions.holder((*inside, "flags", flag))
        own = definitions.holder(("flags", flag))
        if found is None and own is not None and at(own.document, inside) is not None:
            return own
        return found or definitions.environment(self._target)


def _overlay(definitions: Definitions, environment: str) -> dict[str, Mapping[str, Any]]:
    """What an environment says of each flag."""
    found: dict[str, Mapping[str, Any]] = {}
    for text in definitions.texts:
        table = at(text.document, ("environments", environment, "flags"), {})
        found |= {key: said for key, said in table.items() if isinstance(said, Mapping)} if isinstance(table, Mapping) else {}
    return found


def _between(flag: str, key: Path, old: Any, new: Any) -> Iterator[Difference]:
    if key[0] in _BY_NAME and len(key) == 1 and isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            yield from _between(flag, (*key, name), old.get(name, _GONE), new.get(name, _GONE))
    elif not _alike(old, new):
        yield Difference(flag, key, old, new)


def _copy(said: dict[str, Any], over: Mapping[str, Any], key: Path) -> None:
    """Make `said` have at `key`, of one or two parts, what `over` has."""
    value, first, last = at(over, key, _GONE), str(key[0]), str(key[-1])
    inside = said.setdefault(first, {}) if len(key) > 1 else said
    if value is _GONE:
        inside.pop(last, None)
    else:
        inside[last] = value
    if len(key) > 1 and not inside:
        del said[first]


def _steps(path: Path, own: Mapping[str, Any], left: Mapping[str, Any]) -> Iterator[Edit]:
    """The edits that make one table the other, key by key."""
    for key in {**own, **left}:
        old, new = own.get(key, _GONE), left.get(key, _GONE)
        if new is _GONE:
            yield Take((*path, key))
        elif key in _BY_NAME and isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _steps((*path, key), old, new)
        elif not same(old, new):
            yield Put((*path, key), new)


def _elsewhere(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Path]:
    for section in {**one, **other}:
        if section == "flags":
            continue
        old, new = one.get(section, {}), other.get(section, {})
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            if not _alike(old, new):
                yield (section,)
            continue
        for name in {**old, **new}:
            if not _alike(old.get(name, _GONE), new.get(name, _GONE)):
                yield section, name


def _alike(one: Any, other: Any) -> bool:
    """Whether two values mean the same, whichever form they are written in."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, (date, time)):
        return value.isoformat()
    return (bool, value) if isinstance(value, bool) else value


def _shown(value: Any) -> str:
    return "–" if value is _GONE else printable(json_text(value, default=str, ensure_ascii=False), 200)
