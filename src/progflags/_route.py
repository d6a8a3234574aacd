"""What an endpoint is called: its whole template, which never holds data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LABEL", "masked"]

LABEL: Final = "progflags.route"  # where an application, or our middleware for Django, says it in a scope or an environ
_UNKNOWN: Final = "/{*}"


def masked(path: str, values: Mapping[str, Any]) -> str:
    """`/{tenant}/shop` for `/acme/shop` and `{"tenant": "acme"}`; `/{*}` where a value can't be found."""
    for name, value in values.items():
        marked = f"{path}/".replace(f"/{value}/", f"/{{{name}}}/", 1)
        if marked == f"{path}/":
            return _UNKNOWN
        path = marked[:-1]
    return path
