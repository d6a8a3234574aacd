"""When a rollout may climb: opening hours and freezes. They stop promotion, never a rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Final

from progflags._printed import quoted
from progflags.flags import meant

__all__ = ["Calendar", "Freeze", "Hours"]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(name: str) -> tzinfo:
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


def _moment(value: object, *, end: bool) -> datetime:
    """A date covers its whole day; a time without a zone is UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f'{quoted(value)} is no date: write 2027-12-24 or "2027-12-24T18:00:00+01:00"') from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    bare = isinstance(value, str) and len(value) == len("2027-12-24")
    return moment.replace(hour=23, minute=59, second=59, microsecond=999_999) if bare and end else moment


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening hours: on these weekdays, from `opens` until before `closes` in `timezone`. Closing before opening spans midnight."""

    days: tuple[str, ...] = _DAYS
    opens: time = time(0, 0)
    closes: time = time(23, 59, 59, 999_999)
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        wrong = [day for day in self.days if day not in _DAYS]
        if wrong or not self.days:
            raise ValueError(f"days are some of {', '.join(_DAYS)}, not {', '.join(map(repr, wrong)) or 'none'}")
        if self.opens == self.closes:
            raise ValueError(f"open from {self.opens:%H:%M} to {self.closes:%H:%M} is never: leave both out for the whole day")
        _zone(self.timezone)

    def open(self, now: float) -> bool:
        """Whether `now` (seconds since the epoch) falls inside."""
        local = datetime.fromtimestamp(now, _zone(self.timezone))
        here, at = _DAYS[local.weekday()] in self.days, local.time()
        if self.opens <= self.closes:
            return here and self.opens <= at < self.closes
        yesterday = _DAYS[local.weekday() - 1] in self.days  # a night shift belongs to the day it began on
        return (here and at >= self.opens) or (yesterday and at < self.closes)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Hours:
        """From the file's table: `days`, `from`, `to`, `timezone`, each optional."""
        _known(data, ("days", "from", "to", "timezone"))
        return cls(
            tuple(str(day).lower()[:3] for day in data.get("days", _DAYS)),
            _time(data.get("from", "00:00")),
            _time(data.get("to", "23:59:59.999999")),
            str(data.get("timezone", "UTC")),
        )

    def to_dict(self) -> dict[str, Any]:
        return {"days": list(self.days), "from": self.opens.isoformat(), "to": self.closes.isoformat(), "timezone": self.timezone}


@dataclass(frozen=True, slots=True)
class Freeze:
    """A stretch of time in which nothing is promoted."""

    begins: datetime
    ends: datetime
    reason: str = ""

    def __post_init__(self) -> None:
        if self.ends < self.begins:
            raise ValueError(f"a freeze ends ({self.ends.isoformat()}) before it begins ({self.begins.isoformat()})")

    def covers(self, now: float) -> bool:
        return self.begins.timestamp() <= now <= self.ends.timestamp()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Freeze:
        """From the file's table: `from`, `to` (dates or times), and why."""
        _known(data, ("from", "to", "reason"))
        missing = [key for key in ("from", "to") if key not in data]
        if missing:
            raise ValueError(f"a freeze needs {' and '.join(repr(key) for key in missing)}")
        return cls(_moment(data["from"], end=False), _moment(data["to"], end=True), str(data.get("reason", "")))

    def to_dict(self) -> dict[str, Any]:
        return {"from": self.begins.isoformat(), "to": self.ends.isoformat(), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Calendar:
    """All of a plan's hours and freezes. Without hours it is always open."""

    hours: tuple[Hours, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def closed(self, now: float) -> str:
        """Why nothing may be promoted at `now`, in one phrase; empty when it may."""
        for freeze in self.freezes:
            if freeze.covers(now):
                why = f" ({freeze.reason})" if freeze.reason else ""
                return f"frozen until {freeze.ends.isoformat(timespec='minutes')}{why}"
        if self.hours and not any(hours.open(now) for hours in self.hours):
            return "outside the opening hours"
        return ""


def _known(data: Mapping[str, Any], keys: Sequence[str]) -> None:
    unknown = sorted(set(data) - set(keys))
    if unknown:
        choices = f"it is one of {', '.join(keys)}"
        raise ValueError(f"unknown key {quoted(unknown[0])}: {meant(unknown[0], keys) or choices}")
