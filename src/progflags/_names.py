"""
Names and sentences as users hand them over: what can be kept, sent and printed is let in, and what was refused is counted.

A name travels: from a request into a window, from there to a store, to other processes and to a screen. One that half of
these can't carry (half of an emoji, a NUL, a number) must be met where it enters, not where it has long been mixed with
everybody else's. A name that is wrong is refused; a sentence that is wrong (a reason, an actor) is escaped, for no rollback
may fail for how somebody spelled why.
"""

from __future__ import annotations

import threading
from typing import Final

from progflags._trouble import swallow

__all__ = ["Refusals", "must_be_named", "named", "sentence", "shown", "wrong_with"]

LONGEST: Final = 256  # characters, as in a flag file
_SHOWN: Final = 80  # characters of it in a message
_KINDS: Final = 32  # causes that are told apart; the counts of more are one


def named(name: object) -> str | None:
    """`name` as a plain str; None where it is no name. Runs none of its own code."""
    if not isinstance(name, str):
        return None
    plain = str.__str__(name)
    if plain.isascii() and plain.isprintable():
        return plain if 0 < len(plain) <= LONGEST else None
    return None if wrong_with(plain) else plain


def wrong_with(name: object) -> str:
    """Why `name` can't be a name; empty where it can."""
    if not isinstance(name, str):
        return f"a name is a text, not {type(name).__name__}"
    if not name:
        return "it is empty"
    if len(name) > LONGEST:
        return f"it has {len(name)} characters, and a name has at most {LONGEST}"
    if any(0xD800 <= ord(c) <= 0xDFFF for c in name):
        return "it holds half of a character (a text that was cut inside an emoji, or decoded with surrogateescape)"
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        return "it holds a control character"
    return ""


def must_be_named(name: object, what: str) -> None:
    """
    For what is named in code, where a wrong name is the programmer's.

    Raises:
        ValueError: `name` can't be `what`'s name; it says why.
    """
    if why := wrong_with(name):
        raise ValueError(f"{shown(name)} can't be the name of {what}: {why}")


def shown(name: object) -> str:
    """What was handed over, short, as a message can show it. Never raises."""
    try:
        plain = str.__repr__(name) if isinstance(name, str) else repr(name)
    except Exception as error:
        swallow("name", error)
        plain = f"<a {type(name).__name__}>"
    return sentence(plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…")


def sentence(text: object) -> str:
    r"""`text` as something every store keeps: half characters and NULs are written out as `\ud83d` and `\x00`. Never raises."""
    try:
        plain = str.__str__(text) if isinstance(text, str) else "" if text is None else str(text)
    except Exception as error:  # an object that will not even say what it is
        swallow("reason", error)
        plain = f"<a {type(text).__name__}>"
    if plain.isascii() and "\0" not in plain:
        return plain
    return plain.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


class Refusals:
    """What a client was handed and did not take: how often, by cause. Bounded; a count is never lost, only its cause."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], int] = {}

    def note(self, where: str, why: str, n: int = 1) -> None:
        """Count `n` under (`where`, `why`), and log it as everything else that is swallowed. Never raises."""
        key = (where, why)
        with self._lock:
            if key not in self._counts and len(self._counts) >= _KINDS:
                key = (where, "and others") if (where, "and others") in self._counts else ("", "and others")
            self._counts[key] = self._counts.get(key, 0) + n
        swallow(where, ValueError(why))

    def read(self) -> tuple[tuple[str, str, int], ...]:
        """(where, why, how often) of everything refused so far, in the order it first came."""
        with self._lock:
            return tuple((where, why, n) for (where, why), n in self._counts.items())

    def after_fork(self) -> None:
        """A lock of its own: the parent's may have been held."""
        self._lock = threading.RLock()
