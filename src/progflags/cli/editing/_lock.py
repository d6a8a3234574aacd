"""One at a time: who changes files of a folder has its lock."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from progflags._clock import SYSTEM
from progflags.errors import ProgflagsError

__all__ = ["locked"]

_PATIENCE: Final = 30.0  # seconds: an edit takes one or two, and several may wait
_PAUSE: Final = 0.02


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """
    A block that no other progflags has for `folder` at the same time. It lies on the folder itself, so that no file is left of it, and ends
    with the process.

    Raises:
        ProgflagsError: somebody else has it for too long.
        OSError: there is no such folder.
    """
    try:
        import fcntl
    except ImportError as error:
        if os.name == "posix":
            raise ProgflagsError("this Python has no fcntl, so that two edits at once could lose one another") from error
        yield  # Windows: what is there now is compared with what was read, and that has to do
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _wait(fcntl, descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _wait(fcntl: object, descriptor: int, folder: Path) -> None:
    until = SYSTEM.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
        except BlockingIOError:
            if SYSTEM.monotonic() > until:
                message = f"{folder}: another progflags has been changing files here for {_PATIENCE:g} s; nothing was written, try again"
                raise ProgflagsError(message) from None
            time.sleep(_PAUSE)
        except OSError:  # a file system that has no locks: what is there now is compared with what was read
            return
        else:
            return
