"""What another framework needs to show the pages as its own: pages and verbs, how they are drawn, and the headers they go with."""

from progflags._console._acts import Refused, after, tried
from progflags._console._files import read
from progflags._console._headers import HEADERS
from progflags._console._render import Shell, draw
from progflags._console._view import View, looked
from progflags._console.pages import PAGES

__all__ = [
    "HEADERS",
    "PAGES",
    "Refused",
    "Shell",
    "View",
    "after",
    "draw",
    "looked",
    "read",
    "tried",
]
