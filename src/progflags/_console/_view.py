"""View: what one page says, before it is drawn; and what all of them are asked with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from progflags.errors import StoreError, TransitionRefused

__all__ = ["Query", "View", "looked", "moment", "number", "plain"]

Query = Mapping[str, str]
"""What was asked for, by name. A page reads what it knows, and takes what makes no sense as not said."""


@dataclass(frozen=True, slots=True)
class View:
    """
    One page: its `title`, the `template` that draws it, `data` as plain JSON values (the JSON API answers the same), and `plots`, which
    are drawn already. `status` is the HTTP status it is answered with. `live` names what the page follows while it is open.
    """

    title: str
    template: str
    data: Mapping[str, Any]
    plots: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    live: str = ""


def looked(page: Callable[[Any, Query], View], flags: Any, query: Query) -> View:
    """What a page says; one that can't be had says why."""
    try:
        return page(flags, query)
    except TransitionRefused as error:
        return View("Not found", "refused.html", {"ok": False, "error": str(error)}, status=404)
    except StoreError as error:
        return View("Out of reach", "refused.html", {"ok": False, "error": f"the store is out of reach: {error}"}, status=503)


def plain(value: Any) -> Any:
    """`value` as JSON can say it: what is no number in JSON is null, what is no JSON at all is its text."""
    if isinstance(value, Enum):
        return str(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    return str(value)


def moment(text: str) -> float | None:
    """A date or a time as ISO 8601 has it, in UTC unless it says otherwise; None where it is none."""
    try:
        said = datetime.fromisoformat(text)
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def number(query: Query, name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most` in a query; the default where it is none."""
    said = query.get(name, "")
    return min(max(int(said), 1), most) if said.isascii() and said.isdecimal() and len(said) < 9 else default
