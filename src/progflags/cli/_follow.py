"""
Following something on a terminal: one screen, redrawn in place; or, where there is none, a line for each change.

The screen is rich's, where that is installed and standard output is a terminal. A pipe or a log gets plain lines, or JSON.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from progflags.cli._say import tell, tell_json

__all__ = ["Followed", "News", "fit", "follow"]

Seen = TypeVar("Seen", bound="Followed")


@dataclass(frozen=True, slots=True)
class News:
    """One thing that is followed: told again when its `key` is another one."""

    name: str
    key: str
    line: str
    plain: Any


class Followed(Protocol):
    """What there is at one look."""

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        ...

    def screen(self, *, width: int, height: int) -> str:
        """All of it as text of at most `width` × `height`."""
        ...

    def news(self) -> Iterable[News]:
        """All of it, thing by thing."""
        ...


def follow(look: Callable[[], Seen], *, every: float, as_json: bool) -> Seen:
    """Look every `every` seconds until it is over; what was seen last."""
    if sys.stdout.isatty() and not as_json:
        try:
            import rich.live  # noqa: F401 - only the package itself: what `look` raises is another matter
        except ModuleNotFoundError:  # lines do
            return _lines(look, every, as_json=as_json)
        return _live(look, every)
    return _lines(look, every, as_json=as_json)


def _live(look: Callable[[], Seen], every: float) -> Seen:
    from rich.live import Live
    from rich.text import Text

    seen = look()
    with Live(Text(seen.screen(width=80, height=24)), auto_refresh=False, transient=False) as live:
        while True:
            size = live.console.size
            live.update(Text(seen.screen(width=size.width, height=size.height), no_wrap=True, overflow="crop"), refresh=True)
            if seen.over:
                return seen
            time.sleep(every)
            seen = look()


def _lines(look: Callable[[], Seen], every: float, *, as_json: bool) -> Seen:
    told: dict[str, News] = {}
    while True:
        seen = look()
        now = {one.name: one for one in seen.news()}
        gone = [News(name, "", f"– {name}: no more", {"name": name, "gone": True}) for name in told if name not in now]
        for one in (*gone, *(one for one in now.values() if one.name not in told or told[one.name].key != one.key)):
            if as_json:
                tell_json(one.plain, default=str, flush=True)
            else:
                tell(f"{datetime.now(UTC):%H:%M:%S} {one.line}", flush=True)
        told = now
        if seen.over:
            return seen
        time.sleep(every)


def fit(row: str, width: int) -> str:
    """A row of a screen: no longer than that, and nothing in it that a terminal would obey."""
    clean = "".join(c if c.isprintable() else " " for c in row)
    return clean if len(clean) <= width else clean[: width - 1] + "…"
