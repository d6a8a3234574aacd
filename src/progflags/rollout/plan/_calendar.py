"""When a rollout may climb: opening hours and freezes. They stop promotion, never a rollback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from progflags._printed import quoted
from progflags.flags import Hours, known_keys

__all__ = ["Calendar", "Freeze"]


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
        known_keys(data, ("from", "to", "reason"))
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
