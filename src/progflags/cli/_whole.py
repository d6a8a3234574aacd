"""A file written whole or not at all, or held against what would be written."""

from __future__ import annotations

import os
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path

from progflags._disk import replace
from progflags.cli._say import tell, tell_json

__all__ = ["check", "write"]


def check(path: Path, text: str, remedy: str, *, as_json: bool) -> int:
    """Print how `path` differs from `text`, and the command that makes it the same; exit code 0 when it does not, 1 when it does."""
    there = path.read_text(encoding="utf-8") if path.is_file() else ""
    told = "" if there == text else "".join(_lines(there, text, path))
    if as_json:
        tell_json({"ok": not told, "path": str(path), "diff": told})
    elif told:
        for line in told.splitlines():
            tell(line)
        tell(f"{path} is not up to date: run {remedy}")
    return 1 if told else 0


def _lines(there: str, text: str, path: Path) -> list[str]:
    """A unified diff, from what is there to what would be written."""
    before, after = ([f"{line}\n" for line in one.splitlines()] for one in (there, text))
    return [*unified_diff(before, after, str(path) if there else os.devnull, str(path))] or [f"{path}: only its ends of lines are others\n"]


def write(path: Path, text: str | bytes) -> None:
    """
    Make `path` say `text`: written aside, synced and renamed into place, so that a full disk or a kill leaves what was there.

    An old file's mode and owner are kept where that is allowed, and a link goes on pointing where it did. What is no file
    (`/dev/stdout`) is written to.

    Raises:
        OSError: it could not be written; what was there is there still.
    """
    raw = text.encode() if isinstance(text, str) else text
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(raw)
        return
    try:
        replace(path, raw, f".{path.name}.progflags-", lambda aside: _like(path, aside))
    except OSError as error:  # of the file that was named, not of the one beside it
        raise OSError(error.errno, error.strerror, str(path)) from error


def _like(path: Path, aside: str) -> None:
    """Owner and mode of the file that was there; a new one has those that any new file has."""
    try:
        old = path.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(aside, 0o666 & ~mask)  # noqa: PTH101 - beside fsync
        return
    own = os.stat(aside)  # noqa: PTH116 - as above
    if (old.st_uid, old.st_gid) != (own.st_uid, own.st_gid):
        with suppress(PermissionError):  # only root may give a file away; else it belongs to who wrote it, as with an editor
            os.chown(aside, old.st_uid, old.st_gid)
    os.chmod(aside, old.st_mode & 0o7777)  # noqa: PTH101 - as above
