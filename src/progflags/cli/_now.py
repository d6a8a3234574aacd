"""Everything under way on a terminal: one screen, and what of it is worth another line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from progflags.cli._follow import News, fit
from progflags.overview import Now, nothing

__all__ = ["Screen"]


@dataclass(frozen=True, slots=True)
class Screen:
    """What was seen at one look, to be followed."""

    now: Now
    over: bool = False  # following it never ends by itself

    def screen(self, *, width: int, height: int) -> str:
        """At most `width` × `height`; what does not fit is counted."""
        rows = [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z", "─" * width, *map(str, self.now.items or (nothing(),))]
        left = len(rows) - (height - 1)
        if left > 0:
            rows = [*rows[: height - 2], f"… and {left + 1} more: progflags status"]
        return "\n".join(fit(row, width) for row in rows)

    def news(self) -> Iterable[News]:
        for item in self.now.items:
            yield News(f"{item.kind} {item.flag}".strip(), f"{item.level} {item.key or item.said}", str(item), item.to_dict())
