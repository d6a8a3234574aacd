"""The typed literals of conditions: versions, moments, networks, patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

__all__ = ["LONGEST", "ORDER", "Due", "FromNow", "Literal", "Moment", "Network", "SemVer", "Table", "fitting", "glob", "inner", "moment_of"]

ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
"""The comparisons that order two of a kind, or tell whether they are equal."""
LONGEST: Final = 4096
"""Characters of an attribute that a pattern looks at; a longer text matches nothing."""

# SemVer 2.0, section 2 and 9–10, with liberties peers take too: a leading `v`, and any number of parts, of which missing ones read as 0.
_SEMVER: Final = re.compile(
    r"[vV]?((?:0|[1-9]\d{0,17})(?:\.(?:0|[1-9]\d{0,17})){0,15})"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SemVer:
    """
    A version whose `order` compares as SemVer 2.0 section 11 says, over as many numbers as it has; build metadata does not count.

    Source: semver.org 2.0.0; checked against the `semver` package, and beyond three numbers against `packaging`.
    """

    text: str
    order: tuple[Any, ...]

    @classmethod
    def read(cls, text: str) -> SemVer | None:
        """The version in `text`, or None. `2.1` is 2.1.0, `V2` is 2.0.0, and 2.1.0.0; at most 16 numbers."""
        match = _SEMVER.match(text) if len(text) <= 256 else None
        if match is None:
            return None
        core, pre = match.groups()
        numbers = [int(number) for number in core.split(".")]
        while len(numbers) > 1 and not numbers[-1]:
            numbers.pop()  # 2.1.0 is 2.1, and a shorter list sorts below a longer one
        # A number sorts below a word, a shorter list below a longer one, and no pre-release above all of them.
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
        return cls(text, (tuple(numbers), not parts, parts))

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
class FromNow:
    """A point in time that goes with the clock: so many seconds after now, or before it."""

    seconds: float

    def due(self, now: Callable[[], float]) -> Due:
        return Due(self.seconds, now)

    def __str__(self) -> str:
        return "now" if not self.seconds else f'now {"-" if self.seconds < 0 else "+"} "{spoken(abs(self.seconds))}"'


@dataclass(frozen=True, slots=True)
class Due:
    """A FromNow beside the clock that it goes with."""

    seconds: float
    now: Callable[[], float]

    @property
    def at(self) -> float:
        return self.now() + self.seconds


def spoken(seconds: float) -> str:
    """A duration as a file writes it: the largest unit that it is a whole number of."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if not seconds % size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:g}ms"


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be equal to: its keys and their values, in the order of the keys."""

    items: tuple[tuple[str, Literal], ...]

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name} = {inner(value)}" for name, value in self.items) + "}"


def inner(value: Literal) -> str:
    """A value within a table or a list, for people."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(inner, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (str, int, float)) else str(value)


@dataclass(frozen=True, slots=True)
class Network:
    """One or several IP networks, as written. `left_out` says of each that stood among them and is none what is wrong with it."""

    texts: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=(), compare=False)

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
        if not least <= len(text) <= LONGEST:
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


Literal = str | int | float | bool | SemVer | Moment | FromNow | Network | Table | tuple[Any, ...]
"""Whatever an attribute can be compared with."""
