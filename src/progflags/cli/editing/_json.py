"""JSON: its indentation, the order of its keys and whatever is not meant stay to the letter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, time
from typing import Any, Final

from progflags.cli.editing._edit import Edit, Path
from progflags.cli.editing._flow import Writing
from progflags.cli.editing._flow import edited as flow_edited

__all__ = ["edited", "notes", "said"]

_KEY: Final = re.compile(r'("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_STEP: Final = re.compile(r"^[{\[][ \t]*\n([ \t]+)")


def edited(text: str, edit: Edit) -> str:
    """`text` after `edit`."""
    inner = text.strip()
    start = text.index(inner)
    step = _STEP.match(inner)
    unit = step[1] if step else "    " if "\n" in inner else None
    ascii_only = text.isascii() and "\\u" in text
    between = ": " if '": ' in text or '":' not in text else ":"
    comma = ", " if ', "' in text or ',"' not in text else ","

    def value(found: Any, indent: str | None) -> str:
        if indent is None or unit is None:
            return json.dumps(said(found), ensure_ascii=ascii_only, separators=(comma, between))
        tall = json.dumps(said(found), ensure_ascii=ascii_only, indent=unit, separators=(",", between))
        return tall.replace("\n", f"\n{indent}")

    writing = Writing(value, lambda key: json.dumps(key, ensure_ascii=ascii_only), _split, between, tall=unit is not None, step=unit or "")
    return text[:start] + flow_edited(inner, edit, writing) + text[start + len(inner) :]


def _split(row: str) -> tuple[tuple[str, ...], int]:
    found = _KEY.match(row)
    if found is None:  # no key of an object: whoever looks for one does not find it
        return (), 0
    return (json.loads(found[1]),), found.end()


def notes(_: str, __: Path) -> tuple[str, ...]:
    """JSON has no comments."""
    return ()


def said(value: Any) -> Any:
    """A value as JSON can say it: days and times are text."""
    if isinstance(value, Mapping):
        return {key: said(item) for key, item in value.items()}
    if isinstance(value, list):
        return [said(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time)) else value
