"""
Reading a file that somebody may be writing: never blocking, never too much, never half of it.

Only the content tells whether a file changed: modification times lie (a restored backup, a ConfigMap, a clock that
stepped, two saves in one tick). A changed file counts once it was read twice with the same content, and between the two
lies a moment, unless it has been lying there untouched. What slips through, a writer that pauses longer, the guards see; and
where flags vanish with it, the Loader waits until the file has been left alone for a second.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from progflags._trouble import say
from progflags.errors import DefinitionError, Problem

__all__ = ["LARGEST", "read_file", "steady"]

LARGEST = 8 * 2**20
"""Bytes of one file: about 30,000 ordinary flags. A larger one is refused by its size, before it is read."""

_MOMENT = 0.05  # seconds between two looks at a fresh file; an editor's write of 8 MiB takes about 10 ms
_TRIES = 10  # looks at a file that changes all the time, before it is left to the next poll

T = TypeVar("T")


def steady(look: Callable[[], tuple[T, float]], known: T | None, pause: Callable[[float], object] = time.sleep) -> T:
    """
    What `look` returns once it returns the same twice; at once when that is `known` already.

    `look` also says how long ago (in seconds, by the wall) the youngest file was touched: one that has been lying for a
    second is not being written now.

    Raises:
        DefinitionError: it is another one at every look; and whatever `look` raises.
    """
    seen, age = look()
    for _ in range(_TRIES):
        if seen == known:
            return seen
        if not age >= 1.0:  # also when the file is from the future
            pause(_MOMENT)
        again, age = look()
        if again == seen:
            return again
        seen = again
    raise DefinitionError([Problem("", None, "", "it is being written all the time", "write it aside, then rename it into place")])


def read_file(path: str, shown: str) -> tuple[bytes, float]:
    """
    The bytes of a regular file, and the seconds since it was last touched.

    Raises:
        DefinitionError: no such file, no permission, no regular file, too large; the problem names it as `shown`.
    """
    try:
        _regular(os.stat(path), shown)  # noqa: PTH116 - before opening: opening a device may do something, opening a FIFO may wait
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            _regular(found, shown)
            content = _all(file.read, LARGEST + 1)
    except OSError as error:
        raise DefinitionError([Problem(shown, None, "", f"can't be read: {error.strerror or error}", _remedy(error))]) from None
    if len(content) > LARGEST:
        raise _too_large(len(content), shown)
    if found.st_mode & stat.S_IWOTH:
        say("source", f"{shown} can be changed by every user of this machine: chmod o-w")
    return content, time.time() - max(found.st_mtime, found.st_ctime)


def _all(read: Callable[[int], bytes | None], most: int) -> bytes:
    """Up to `most` bytes; a raw file may give fewer at a time."""
    parts: list[bytes] = []
    left = most
    while left and (part := read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _regular(found: os.stat_result, shown: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_, name in _KINDS if is_(found.st_mode)), "no file")
        raise DefinitionError([Problem(shown, None, "", f"this is {kind}, not a file", "name a flag file")])
    if found.st_size > LARGEST:
        raise _too_large(found.st_size, shown)


def _too_large(size: int, shown: str) -> DefinitionError:
    message = f"{size:,} bytes; at most {LARGEST:,} are read"
    return DefinitionError([Problem(shown, None, "", message, "split it: a folder of flag files is one set")])


def _remedy(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "check the path, or put the file back"
    return "let this user read it" if isinstance(error, PermissionError) else ""


_KINDS: Sequence[tuple[Callable[[int], bool], str]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
