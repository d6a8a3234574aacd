"""
OpenFeature's manifest: which flags there are, of which type, and what a program has where it can't ask.

The shape is that of the OpenFeature CLI's manifest API 0.1.0 (open-feature/cli, api/v0/sync.yaml: `GET /openfeature/v0/manifest`). A
fraction's type is `float`, which the CLI reads, and the schema of its files has; that API lists it nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from progflags.flags import FlagModel, thaw

__all__ = ["MANIFEST", "manifest"]

MANIFEST: Final = "openfeature/v0/manifest"


def manifest(flags: Mapping[str, FlagModel], exposed: Callable[[str], bool] = bool) -> dict[str, Any]:
    """
    The document. A flag's default is its `default` variant's value, as in the code that `progflags codegen` writes.

    Left out is what no OpenFeature client can read: a flag one of whose values is a list, or whose values are of several types.
    """
    return {"flags": [told for key, flag in sorted(flags.items()) if exposed(key) and (told := _told(flag))]}


def _told(flag: FlagModel) -> dict[str, Any] | None:
    kind = _kind(flag.variants.values())
    if kind is None:
        return None
    described = {"description": flag.description} if flag.description else {}
    return {"key": flag.key, "type": kind, **described, "defaultValue": thaw(flag.variants[flag.default])}


def _kind(values: Iterable[Any]) -> str | None:
    kinds = {_KINDS.get(type(thaw(value))) for value in values}
    if kinds == {"integer", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 else None


_KINDS: Final[Mapping[type, str]] = {bool: "boolean", str: "string", int: "integer", float: "float", dict: "object"}
