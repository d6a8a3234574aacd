"""Hours that come again: on these weekdays, from then to then, somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from functools import cache
from typing import Any, Final

from progflags._printed import quoted
from progflags.flags._problems import meant

__all__ = ["DAYS", "Hours", "known_keys", "zone"]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@cache
def zone(name: str) -> tzinfo:
    """
    The time zone of that name in the system's list.

    Raises:
        ValueError: there is none, with what to write.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = meant(name, available_timezones())
        remedy = hint or 'write one as in "Europe/Warsaw", or "UTC"'
        raise ValueError(f"{quoted(name)} is no time zone known here: {remedy}") from None


def _time(text: object) -> time:
    if str(text).startswith("24"):  # newer Pythons read it as the day's first minute, older ones not at all
        raise ValueError(f'{quoted(text)} is no time of day: leave `to` out for the end of the day, or write "00:00" for its beginning')
    try:
        found = time.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f'{quoted(text)} is no time of day: write "09:00"') from None
    if found.tzinfo is not None:
        raise ValueError(f"{quoted(text)} has a zone of its own: write the time alone, and where it holds under `timezone`")
    return found


def _days(written: str) -> tuple[str, ...]:
    """`Monday`, or `mon-fri`, which may go on over the weekend; what is none stays as it is, for its message."""
    first, dash, last = (part.strip().lower()[:3] for part in written.partition("-"))
    if not dash or first not in DAYS or last not in DAYS:
        return (written if dash else first,)
    begin = DAYS.index(first)
    return tuple(DAYS[(begin + day) % 7] for day in range((DAYS.index(last) - begin) % 7 + 1))


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening hours: on these weekdays, from `opens` until before `closes` in `timezone`. Closing before opening spans midnight."""

    days: tuple[str, ...] = DAYS
    opens: time = time(0, 0)
    closes: time = time(23, 59, 59, 999_999)
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        wrong = [day for day in self.days if day not in DAYS]
        if wrong or not self.days:
            raise ValueError(f"days are some of {', '.join(DAYS)}, not {', '.join(map(repr, wrong)) or 'none'}")
        if self.opens == self.closes:
            raise ValueError(f"open from {self.opens:%H:%M} to {self.closes:%H:%M} is never: leave both out for the whole day")
        zone(self.timezone)

    def open(self, now: float) -> bool:
        """Whether `now` (seconds since the epoch) falls inside."""
        local = datetime.fromtimestamp(now, zone(self.timezone))
        here, at = DAYS[local.weekday()] in self.days, local.time()
        if self.opens <= self.closes:
            return here and self.opens <= at < self.closes
        yesterday = DAYS[local.weekday() - 1] in self.days  # a night shift belongs to the day it began on
        return (here and at >= self.opens) or (yesterday and at < self.closes)

    def __str__(self) -> str:
        days = "any day" if len(self.days) == len(DAYS) else ", ".join(self.days)
        return f"{days} from {self.opens:%H:%M} to {self.closes:%H:%M} ({self.timezone})"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Hours:
        """From the file's table: `days` (`"mon"`, `"mon-fri"`), `from`, `to`, `timezone`, each optional."""
        known_keys(data, ("days", "from", "to", "timezone"))
        return cls(
            tuple(day for written in data.get("days", DAYS) for day in _days(str(written))),
            _time(data.get("from", "00:00")),
            _time(data.get("to", "23:59:59.999999")),
            str(data.get("timezone", "UTC")),
        )

    def to_dict(self) -> dict[str, Any]:
        return {"days": list(self.days), "from": self.opens.isoformat(), "to": self.closes.isoformat(), "timezone": self.timezone}


def known_keys(data: Mapping[str, Any], keys: Sequence[str]) -> None:
    """
    Refuse a table with other keys than these.

    Raises:
        ValueError: it has one, with what was perhaps meant.
    """
    unknown = sorted(set(data) - set(keys))
    if unknown:
        choices = f"it is one of {', '.join(keys)}"
        raise ValueError(f"unknown key {quoted(unknown[0])}: {meant(unknown[0], keys) or choices}")
