"""The values of flags that the code declares with a type, in the JSON Schema of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from progflags.flags._typed import Flag

__all__ = ["add"]

_ANY: Final = "#/properties/flags/additionalProperties"
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]")


def add(schema: dict[str, Any], flags: Iterable[Flag[Any]]) -> None:
    """
    Say in `schema` what the variants of `flags` hold.

    Of two that have the same key, both must be met: the file serves both. A flag is a flag all the same: it is read by its own schema
    and by that of any other.
    """
    keys = schema["properties"]["flags"].setdefault("properties", {})
    for number, flag in enumerate(flags):
        said = _said(schema["$defs"], number, flag)
        if not said:
            continue
        parts = keys.setdefault(flag.key, {"allOf": [{"$ref": _ANY}]})["allOf"]
        parts.append({"properties": {"variants": {"additionalProperties": said}}})


def _said(defined: dict[str, Any], number: int, flag: Flag[Any]) -> dict[str, Any]:
    """The schema of one flag's values; what that refers to goes to where all of it is, by names of its own."""
    before = f"{_ODD.sub('_', flag.key)}.{number}."
    said = flag.schema(f"#/$defs/{before}{{model}}")
    defined.update({f"{before}{name}": inner for name, inner in said.pop("$defs", {}).items()})
    return {**said, "description": flag.description} if said and flag.description and "description" not in said else said
