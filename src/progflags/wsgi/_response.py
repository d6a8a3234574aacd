"""What both middlewares ask of a response before they touch it: what is odd is the server's to refuse, in its own words."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["code", "is_iterable", "is_whole"]


def code(status: Any) -> int:
    """The status code of `"404 Not Found"`; 0 where there is none to read."""
    return _code(status) if isinstance(status, str) else 0


@lru_cache(256)  # an application has a few, and says one with every response
def _code(status: str) -> int:
    digits = status[:3]
    return int(digits) if len(digits) == 3 and digits.isascii() and digits.isdecimal() else 0


def is_whole(body: Any, environ: dict[str, Any]) -> bool:
    """Whether the application is done with it: a list or tuple, whose length a server may take, or a file it may send itself."""
    wrapper = environ.get("wsgi.file_wrapper")
    return type(body) is list or type(body) is tuple or (isinstance(wrapper, type) and isinstance(body, wrapper))


def is_iterable(body: Any) -> bool:
    """Whether it can be asked for pieces at all."""
    return hasattr(type(body), "__iter__") or hasattr(type(body), "__getitem__")
