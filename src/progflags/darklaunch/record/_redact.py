"""
What may be kept of a value that differed: its type, its length, a keyed hash; never, unless asked, the value.

The hash says whether two samples held the same value without saying which; its key is drawn once per process and never
written, so a short secret can't be found by trying. A value is shown only at a path named in `reveal`, and never where
a name on the way to it looks like a secret's.
"""

from __future__ import annotations

import hashlib
import marshal
import re
import secrets
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Redactor", "mute"]

from progflags._trouble import swallow

_KEY: Final = secrets.token_bytes(16)
_SECRET: Final = re.compile(
    r"auth|cookie|passw|passphrase|pwd|token|secret|credential|api[_-]?key|private|signature|session|csrf|"
    r"card|cvv|cvc|iban|account_?n|ssn|birth|email|phone|address",
    re.IGNORECASE,
)
_SHOWN: Final = 200  # characters of a revealed value
_HASHED: Final = 1 << 16


class Redactor:
    """One experiment's rules: `reveal`, paths whose values may be kept; `deny`, further names that never are."""

    __slots__ = ("_deny", "_reveal")

    def __init__(self, reveal: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._reveal = frozenset(reveal)
        self._deny = tuple(name.lower() for name in deny)

    def describe(self, path: str, value: Any) -> dict[str, Any]:
        """What is kept of `value`, found at the printed `path`: plain JSON data."""
        told: dict[str, Any] = {"type": type(value).__qualname__}
        if hasattr(type(value), "__len__"):
            told["length"] = _length(value)
        told["hash"] = fingerprint(value)
        if path in self._reveal and not self.secret(path):
            told["value"] = _shown(value)
        return told

    def secret(self, path: str) -> bool:
        """Whether a name in the path is one that is never shown."""
        lowered = path.lower()
        return bool(_SECRET.search(lowered)) or any(name in lowered for name in self._deny)


def fingerprint(value: Any) -> str | None:
    """Sixteen hexadecimal digits that are equal for equal builtin values in this process; None for other values."""
    try:
        text = marshal.dumps(value, 2)[:_HASHED]
    except (ValueError, TypeError, MemoryError):
        return None
    return hashlib.blake2b(text, key=_KEY, digest_size=8).hexdigest()


def _length(value: Any) -> int | None:
    try:
        return len(value)
    except BaseException:  # a hostile __len__: the length is not known
        return None


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value[:_SHOWN]
    return repr(value)[:_SHOWN]


class HookError(RuntimeError):
    """A function of the user's failed. Its own message is withheld: it may quote an argument."""


def mute(where: str, error: BaseException) -> None:
    """Note a failure without its text, which may hold what must not be logged: class, file and line must do."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = "" if frame is None else f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
    swallow(where, HookError(f"{type(error).__name__}{place} (its message is withheld, it may hold data)"))
