"""An excerpt: one flag of a document with all it refers to, as JSON values, so that it says the same wherever it is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, Final

from progflags.flags._model import FlagModel
from progflags.flags.file._segments import named

__all__ = ["excerpt", "within"]

_SPOKEN: Final = ("tests",)  # keys of a flag that decide nothing and may be long


def within(document: Mapping[str, Any], key: str, shared: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document of one flag: its table, and the segments, groups and holdouts that it says; where it says none, those of `shared`."""
    own = {name: document.get(name) for name in shared.keys() | (document.keys() - {"flags"})}
    merged = {name: _over(table, shared.get(name, {})) for name, table in own.items()}
    return {**merged, "flags": {key: document["flags"][key]}}


def _over(own: Any, shared: Mapping[str, Any]) -> Any:
    """What a document says itself; what is no table stays as it is, to be refused where it is read."""
    if own is None:
        return shared
    return {**shared, **own} if isinstance(own, Mapping) and shared else own


def excerpt(document: Mapping[str, Any], flag: FlagModel) -> dict[str, Any]:
    """As much of `document` as `flag`, which was read from it, needs."""
    segments = {name for rule in flag.rules if rule.when is not None for name in named(rule.when)}
    table = document["flags"][flag.key]
    parts: dict[str, Any] = {"flags": {flag.key: {key: value for key, value in table.items() if key not in _SPOKEN}}}
    if document.get("lenient"):
        parts["lenient"] = True
    if segments:
        parts["segments"] = {name: document["segments"][name] for name in sorted(segments)}
    if flag.slot is not None:
        parts["groups"] = {flag.slot.group: document["groups"][flag.slot.group]}
    if flag.holdout is not None:
        parts["holdouts"] = {flag.holdout.name: document["holdouts"][flag.holdout.name]}
    plain: dict[str, Any] = _plain(parts)
    return plain


def _plain(value: Any) -> Any:
    """With dates and times of day as their texts, which a file may write as well."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, (date, datetime, time)) else value
