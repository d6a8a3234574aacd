"""
The lock of a folder: whoever has it asks the server. The system takes it back when its process ends, however that happens.

Nothing is safe because of it, for who has it does no more than the others may do too; it keeps many from doing the same. So it is asked
for again at every look, which costs three system calls and puts right whatever became of it: a descriptor that was closed, a folder
that was emptied. It is a record lock, which a child of a fork does not inherit.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from progflags._process import in_child

if sys.platform != "win32":
    import fcntl

__all__ = ["Lock"]


class Lock:
    """Of the file `path`, made when absent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        in_child(self)

    def after_fork(self) -> None:
        """The lock is the parent's."""
        self.release()

    def take(self) -> bool:
        """
        Whether it is ours, from now on or still.

        Raises:
            OSError: the file can't be made or opened.
        """
        file = self._opened()
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self) -> None:
        """Let another process have it. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # closed by somebody who closes every descriptor, as a daemon does that begins
                os.close(file)

    def _opened(self) -> int:
        if self._file is not None and self._lies_there(self._file):
            return self._file
        self.release()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    def _lies_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except OSError:
            return False
