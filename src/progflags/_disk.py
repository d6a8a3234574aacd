"""A file that is there whole or not at all: written aside, synced, renamed into place; its owner alone reads it unless more may."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any, Final

from progflags._json import canonical, digest, loads
from progflags._trouble import swallow

__all__ = ["get", "put", "read", "replace", "sweep", "write"]

_ABANDONED: Final = 60.0  # seconds: writing one aside takes milliseconds, or a few seconds on a disk in trouble


def put(path: Path, body: dict[str, Any]) -> None:
    """
    Write `body` as JSON with its checksum; see `write`.

    Raises:
        OSError: it could not be written; what was there before is there still.
    """
    write(path, canonical({"sha256": digest(body), "body": body}).encode())


def write(path: Path, text: bytes, *, mode: int | None = None) -> None:
    """
    Write `text`, with the permissions `mode` where its owner is not to be the only one who reads it; the folder is made when absent.

    Raises:
        OSError: it could not be written; what was there before is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if mode is None else 0o777)
    replace(path, text, f".{path.stem}-", lambda aside: None if mode is None else os.chmod(aside, mode))  # noqa: PTH101 - beside fsync


def replace(path: Path, text: bytes, prefix: str, prepare: Callable[[str], object]) -> None:
    """
    Put `text` in the place of `path`. What is written aside begins with `prefix`, and `prepare` is given its name before it takes over.

    Raises:
        OSError: it could not be written; what was there before is there still.
    """
    sweep(path.parent, prefix)
    descriptor, aside = tempfile.mkstemp(prefix=prefix, dir=path.parent)  # 0600 by its own account
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        prepare(aside)
        os.replace(aside, path)  # noqa: PTH105 - as above
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(aside)  # noqa: PTH108 - as above
        raise
    _sync(path.parent)


def get(path: Path, version: int) -> dict[str, Any]:
    """
    The body of such a file.

    Raises:
        OSError: it can't be read.
        ValueError: it is torn, was edited, or is of a newer version.
        KeyError, TypeError, RecursionError: it is another program's.
    """
    outer = loads(read(path))
    body: dict[str, Any] = outer["body"]
    if outer["sha256"] != digest(body):
        raise ValueError("it does not match its checksum")
    if body["v"] != version:
        raise ValueError(f"it is of version {body['v']}, written by a newer progflags")
    return body


def read(path: Path) -> bytes:
    """
    A kept file's bytes. A FIFO or a device by that name is refused, never waited for.

    Raises:
        OSError: it is gone, can't be read, or is no file.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # before opening: opening a FIFO may wait for somebody to write
        raise OSError("it is not a file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a file")
        return file.read()


def sweep(folder: Path, prefix: str) -> None:
    """Remove what was being written aside, under names that begin with `prefix`, when its process was killed."""
    try:
        for path in folder.glob(f"{escape(prefix)}*"):
            with suppress(FileNotFoundError):  # in place by now, or swept by somebody else
                if time.time() - path.lstat().st_mtime > _ABANDONED:
                    path.unlink()
    except OSError as error:
        swallow(f"sweeping {folder}", error)


def _sync(folder: Path) -> None:
    """The renaming itself on disk, where a folder can be synced at all."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
