"""From a View to HTML. Everything that is written is escaped, and shown in printable characters of a bounded number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

from progflags._console._acts import ACTS
from progflags._console._view import View
from progflags._console._viewer import Viewer
from progflags._printed import printable
from progflags.errors import missing

try:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup
except ImportError as error:
    raise missing(error, "jinja2", "jinja2", "console") from error

__all__ = ["Shell", "draw", "parts"]

_NAV: Final = (
    ("", "Now"),
    ("flags", "Flags"),
    ("dark-launches", "Dark launches"),
    ("changes", "Changes"),
    ("fleet", "Fleet"),
)


_PARTS: Final[Mapping[str, tuple[str, ...]]] = {"now": ("top",), "rollout": ("top", "rest"), "shadows": ("top",)}
"""Of which pages which parts follow what happens. Nothing in them depends on who looks."""


@dataclass(frozen=True, slots=True)
class Shell:
    """
    What surrounds a page: the address it is mounted at, who looks, and how a form proves that it is ours. `static` is where the style
    and the script lie; `login`: whether there is a session to be ended.
    """

    base: str
    viewer: Viewer | None
    static: str
    csrf_name: str = "csrf"
    csrf: str = ""
    login: bool = False
    follows: bool = True  # whether `live` answers there
    out: str = ""  # where the rest of what it lies in is
    here: str = ""

    def to(self, page: str, /, **query: object) -> str:
        """The address of a page."""
        said = urlencode({name: value for name, value in query.items() if value not in ("", None)})
        return f"{self.base}/{page}{'?' if said else ''}{said}"


def draw(view: View, shell: Shell) -> str:
    """The whole page."""
    plots = {name: Markup(text) for name, text in view.plots.items()}  # noqa: S704 - drawn by our own plots, which escape
    template = _environment().get_template(view.template)
    return template.render(data=view.data, plots=plots, title=view.title, shell=shell, nav=_NAV, acts=ACTS, live=view.live)


def parts(view: View, shell: Shell) -> dict[str, str]:
    """The parts of a page that follow what happens, by name, drawn alike for everybody."""
    plots = {name: Markup(text) for name, text in view.plots.items()}  # noqa: S704 - as in `draw`
    stem = view.template.removesuffix(".html")
    files = {part: f"{stem}.{part}.html" for part in _PARTS[stem]}
    return {
        part: _environment().get_template(file).render(data=view.data, plots=plots, shell=shell, acts=ACTS) for part, file in files.items()
    }


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("progflags._console"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters.update(when=_when, ago=_ago, span=_span, share=_share, reach=_reach, count=_count, seconds=_seconds, value=_value)
    return made


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else "" if value is None else printable(value)


def _when(at: float | None) -> str:
    """A time of day that everybody reads alike."""
    if not at:
        return "–"
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, ValueError, OSError):  # a clock that was far off
        return f"{at:g}"


def _span(seconds: float | None) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2.5 d`."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min" if whole < 172_800 else f"{whole / 86_400:.1f} d"


def _ago(seconds: float | None) -> str:
    return "–" if seconds is None else f"{_span(max(0.0, seconds))} ago"


def _seconds(seconds: float | None) -> str:
    """A duration of a call: `1.2 s`, `35 ms`, `80 µs`."""
    if seconds is None:
        return "–"
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _reach(percent: float) -> float:
    """How long a bar of 100 is for a share: on a log scale, for 1 % is to be seen."""
    return 100 * math.log10(1 + max(0.0, percent)) / math.log10(101)


def _share(percent: float | None) -> str:
    return "–" if percent is None else f"{percent:g} %"


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping | list):
        from progflags._printed import json_text

        return json_text(value)
    return "true" if value is True else "false" if value is False else "null" if value is None else str(value)
