"""Mismatches on disk: one redacted JSON object a line, in files that rotate and never grow beyond a bound."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

from progflags._process import in_child, look
from progflags._trouble import swallow

__all__ = ["JsonLines"]


class JsonLines:
    """
    Appends records to `path`; beyond `max_bytes` the file becomes `path.1`, that one `path.2`, … up to `backups`.

    Their owner's alone (0600), for they hold what users sent.

    Written by the workers, never by the caller's thread. A full or read-only disk costs records, nothing else: it is
    counted and said once a minute. `progflags replay` reads these files.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = 10_000_000, backups: int = 3) -> None:
        self._path = Path(path)
        self._max = max_bytes
        self._backups = backups
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """Another thread of the parent may have been writing, and is not here to let go."""
        self._lock = threading.RLock()

    def __call__(self, record: dict[str, Any]) -> None:
        look()
        line = json.dumps(record, separators=(",", ":"), default=_named) + "\n"
        try:
            with self._lock:
                self._rotate(len(line))
                with open(self._path, "a", encoding="utf-8", opener=_private) as file:
                    file.write(line)
        except OSError as error:
            swallow("dark launch sink", error)

    def _rotate(self, more: int) -> None:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if size + more <= self._max:
            return
        for number in range(self._backups - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        if self._backups:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        else:
            self._path.unlink()


def _private(path: str, flags: int) -> int:
    """Opens the file for its owner alone; one that an earlier version made readable for others, too."""
    descriptor = os.open(path, flags, 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077 and hasattr(os, "geteuid") and found.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


def _named(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
