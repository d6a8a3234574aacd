"""What is worked out of an attribute, or of the clock, to be compared: a length, a remainder, an hour, a weekday, alphabetical order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from progflags.flags._hours import DAYS, zone
from progflags.flags.conditions._compare import dotted_name, given
from progflags.flags.conditions._values import instant, is_number, is_table, items_of, plain

__all__ = ["Alphabetical", "Hour", "Length", "Remainder", "Term", "Weekday"]

Now = Callable[[], float]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Length:
    """How many characters a text has, items a list, keys a table."""

    path: Path

    def find(self, kb: bytes | None, attributes: Mapping[str, Any], _: Now) -> int | None:
        value = given(self.path, kb, attributes)
        text = plain(value)
        if type(text) is str:
            return len(text)
        items = items_of(value)
        return len(items) if items is not None else len(value.keys()) if is_table(value) else None

    def __str__(self) -> str:
        return f"length({dotted_name(self.path)})"


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of a whole number when it is divided by `by`: from 0 to below it, for a negative number as well."""

    path: Path
    by: int

    def find(self, kb: bytes | None, attributes: Mapping[str, Any], _: Now) -> int | None:
        number = plain(given(self.path, kb, attributes))
        return int(number) % self.by if is_number(number) and number - number == 0 and number == int(number) else None

    def __str__(self) -> str:
        return f"{dotted_name(self.path)} % {self.by}"


@dataclass(frozen=True, slots=True)
class Alphabetical:
    """A text, to be ordered by its characters' code points: `Z` comes before `a`."""

    path: Path

    def find(self, kb: bytes | None, attributes: Mapping[str, Any], _: Now) -> str | None:
        text = plain(given(self.path, kb, attributes))
        return text if type(text) is str else None

    def __str__(self) -> str:
        return f"alphabetical({dotted_name(self.path)})"


@dataclass(frozen=True, slots=True)
class _OfTime:
    """`path` None is now."""

    path: Path | None
    zone: str = "UTC"

    def local(self, kb: bytes | None, attributes: Mapping[str, Any], now: Now) -> datetime | None:
        at = now() if self.path is None else instant(given(self.path, kb, attributes))
        try:
            return None if at is None else datetime.fromtimestamp(at, zone(self.zone))
        except (OverflowError, ValueError):  # a year that no calendar has
            return None

    def _called(self, name: str) -> str:
        where = "" if self.zone == "UTC" else f', "{self.zone}"'
        return f"{name}({'now' if self.path is None else dotted_name(self.path)}{where})"


@dataclass(frozen=True, slots=True)
class Hour(_OfTime):
    """The hour of the day, 0 to 23, where the zone is."""

    def find(self, kb: bytes | None, attributes: Mapping[str, Any], now: Now) -> int | None:
        local = self.local(kb, attributes, now)
        return None if local is None else local.hour

    def __str__(self) -> str:
        return self._called("hour")


@dataclass(frozen=True, slots=True)
class Weekday(_OfTime):
    """The day of the week, `mon` to `sun`, where the zone is."""

    def find(self, kb: bytes | None, attributes: Mapping[str, Any], now: Now) -> str | None:
        local = self.local(kb, attributes, now)
        return None if local is None else DAYS[local.weekday()]

    def __str__(self) -> str:
        return self._called("weekday")


Term = Length | Remainder | Alphabetical | Hour | Weekday
