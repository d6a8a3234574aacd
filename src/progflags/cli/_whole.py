"""A file written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["write"]


def write(path: Path, text: str) -> None:
    """
    Make `path` say `text`: written aside and renamed into place, so that a full disk or a kill leaves what was there.

    An old file's mode is kept, and a link goes on pointing where it did. What is no file (`/dev/stdout`) is written to.

    Raises:
        OSError: it could not be written; what was there is there still.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("x", encoding="utf-8") as file:
            if path.exists():
                aside.chmod(path.stat().st_mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):  # of the file that was named, not of the one beside it
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
