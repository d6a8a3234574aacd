"""A store's address as people may read it: in messages, in logs, in the status."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["printable"]

_SECRET: Final = frozenset(
    {"user", "username", "password", "sslpassword", "ssl_password", "passfile", "sentinel_username", "sentinel_password"}
)
"""What drivers take in a query: libpq's parameters, and whatever Redis' connections have by keyword."""


def printable(url: str) -> str:
    """`url` without user and password, wherever they stand. What is no address at all loses whatever may have been meant as one."""
    place, _, query = url.partition("?")
    if "@" in place:  # the last one: a password in the wild has its own, and slashes
        scheme = re.match(r"[\w+]*:?/*", place)
        place = (scheme.group() if scheme else "") + place.rpartition("@")[2]
    open_ = [option for option in query.split("&") if option and option.partition("=")[0].lower() not in _SECRET]
    return f"{place}?{'&'.join(open_)}" if open_ else place
