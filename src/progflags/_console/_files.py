"""The files that pages ask for: two styles, a script, an icon."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["read"]

_STATIC: Final = Path(__file__).with_name("static")
_FILES: Final = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}


def read(name: str) -> tuple[bytes, str] | None:
    """What is in it and which kind that is; None where there is no such file."""
    if name == "report.css":
        from progflags.canary.report import stylesheet

        return stylesheet().encode(), "text/css; charset=utf-8"
    kind = _FILES.get(name)
    return None if kind is None else (_STATIC.joinpath(name).read_bytes(), kind)
