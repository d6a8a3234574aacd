"""The typed literals of conditions: versions, moments, networks, patterns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

__all__ = ["Moment", "Network", "SemVer", "glob", "moment_of"]

_LONGEST = 4096  # characters of an attribute a pattern looks at; a longer text matches nothing

# SemVer 2.0, section 2 and 9–10, with two liberties peers take too: a leading `v`, and missing parts read as 0.
_SEMVER: Final = re.compile(
    r"v?(0|[1-9]\d{0,17})(?:\.(0|[1-9]\d{0,17}))?(?:\.(0|[1-9]\d{0,17}))?"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SemVer:
    """
    A version whose `order` compares as SemVer 2.0 section 11 says; build metadata does not count.

    Source: semver.org 2.0.0; checked against the `semver` package.
    """

    text: str
    order: tuple[Any, ...]

    @classmethod
    def read(cls, text: str) -> SemVer | None:
        """The version in `text`, or None. `2.1` is 2.1.0, `v2` is 2.0.0."""
        match = _SEMVER.match(text) if len(text) <= 256 else None
        if match is None:
            return None
        major, minor, patch, pre = match.groups()
        # A number sorts below a word, a shorter list below a longer one, and no pre-release above all of them.
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
        return cls(text, (int(major), int(minor or 0), int(patch or 0), not parts, parts))

    def __str__(self) -> str:
        return f'semver("{self.text}")'


def moment_of(value: object) -> float | None:
    """Seconds since the epoch of a date, a datetime or ISO 8601 text; naive ones are UTC, dates begin at midnight. Else None."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) <= 64 else None
        except ValueError:
            return None
    if isinstance(value, datetime):
        try:
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        except (OverflowError, ValueError):
            return None
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    return None


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time; `at` in seconds since the epoch."""

    at: float

    def __str__(self) -> str:
        return f'date("{datetime.fromtimestamp(self.at, UTC).isoformat().replace("+00:00", "Z")}")'


@dataclass(frozen=True, slots=True)
class Network:
    """One or several IP networks, as written."""

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        _networks(self.texts)  # ValueError when one is no network

    def holds(self, text: str) -> bool:
        """Whether the address `text` is in one of the networks; an IPv4-mapped IPv6 address counts as IPv4."""
        address = _address(text)
        return address is not None and any(address.version == net.version and address in net for net in _networks(self.texts))

    @staticmethod
    def is_address(text: str) -> bool:
        return _address(text) is not None

    def __str__(self) -> str:
        return "cidr(" + ", ".join(f'"{text}"' for text in self.texts) + ")"


@lru_cache(maxsize=4096)
def _networks(texts: tuple[str, ...]) -> tuple[Any, ...]:
    import ipaddress

    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _address(text: str) -> Any:
    import ipaddress

    try:
        address = ipaddress.ip_address(text) if len(text) <= 64 else None
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def glob(pattern: str, text: str) -> bool:
    """
    Whether `text` fits `pattern` as a whole: `*` is any run of characters, `?` exactly one. Case counts.

    No regular expressions on purpose: 26 characters can cost seconds there, with every thread waiting. This walk steps
    back to the last `*` only, so it costs at most len(pattern) * len(text), and texts beyond 4,096 characters match nothing.
    """
    if len(text) > _LONGEST:
        return False
    p = t = mark = 0
    star = -1
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, mark, p = p, t, p + 1
        elif p < len(pattern) and (pattern[p] == "?" or pattern[p] == text[t]):
            p, t = p + 1, t + 1
        elif star >= 0:
            mark += 1
            p, t = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[p:])
