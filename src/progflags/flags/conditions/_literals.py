"""The typed literals of conditions: versions, moments, networks, patterns."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

__all__ = ["Literal", "Moment", "Network", "SemVer", "fitting", "glob", "moment_of"]

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
    """
    Seconds since the epoch of a date, a datetime or ISO 8601 text; naive ones are UTC, dates begin at midnight. Else None.

    None, too, for what calls itself a datetime and is no point in time: pandas' NaT says NaN.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) <= 64 else None
        except ValueError:
            return None
    if isinstance(value, datetime):
        try:
            at = (value if value.utcoffset() is not None else value.replace(tzinfo=UTC)).timestamp()
        except (OverflowError, ValueError):
            return None
        return at if at == at else None  # noqa: PLR0124 - only NaN differs from itself
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
    """Whether `text` fits `pattern`, see `fitting`."""
    return fitting(pattern)(text)


def fitting(pattern: str) -> Callable[[str], bool]:
    """
    Whether a text fits `pattern` as a whole: `*` is any run of characters, `?` exactly one. Case counts.

    No repetition inside a regular expression on purpose: 26 characters can cost seconds there, with every thread waiting. The
    parts between stars are found one after the other, each at its first place after the one before; that is enough, for what
    lies between is free. A part is looked for as plain text; with a `?` in it by an expression in which nothing repeats. Texts
    beyond 4,096 characters match nothing.
    """
    first, *rest = pattern.split("*")
    if not rest:
        whole = _part(first)
        return lambda text: len(text) == len(first) and whole(text, 0, len(text)) == 0
    *middle, last = rest
    parts = [(_part(part), len(part)) for part in middle if part]
    begins, ends = _part(first), _part(last)
    least = len(first) + len(last)

    def fits(text: str) -> bool:
        if not least <= len(text) <= _LONGEST:
            return False
        at, end = len(first), len(text) - len(last)
        if begins(text, 0, at) != 0 or ends(text, end, len(text)) != end:
            return False
        for find, length in parts:
            place = find(text, at, end)
            if place < 0:
                return False
            at = place + length
        return True

    return fits


def _part(part: str) -> Callable[[str, int, int], int]:
    """The first place of `part`, in which `?` is any character, between two places of a text; -1 when it is not there."""
    if "?" not in part:
        return lambda text, start, end: text.find(part, start, end)
    search = re.compile("".join("." if character == "?" else re.escape(character) for character in part), re.DOTALL).search
    return lambda text, start, end: found.start() if (found := search(text, start, end)) else -1


Literal = str | int | float | bool | SemVer | Moment | Network | tuple[Any, ...]
"""Whatever an attribute can be compared with."""
