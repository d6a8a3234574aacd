"""Which flags the project's code names, and where; the system check compares them with what is defined."""

from __future__ import annotations

__all__ = ["NAMED", "names"]

NAMED: dict[str, set[str]] = {}


def names(flag: str, place: str) -> None:
    """Note that `place` asks for `flag`."""
    NAMED.setdefault(flag, set()).add(place)
