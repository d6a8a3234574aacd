"""The mark: how far a host has come with a snapshot, on disk, so that a process which starts is not given an older one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from progflags import _disk
from progflags._trouble import say, swallow

__all__ = ["Mark"]

_VERSION: Final = 1

Order = tuple[int, int, float]


class Mark:
    """Of the snapshot called `name`, in `folder`, which several processes may share. `path`: the file, for people to remove."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"snapshot-{hashlib.sha256(name.encode()).hexdigest()[:12]}.json"

    def read(self) -> Order | None:
        """The newest that was served from this folder; None where none was, or that can't be read."""
        try:
            body = _disk.get(self.path, _VERSION)
            return int(body["era"]), int(body["revision"]), float(body["at"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            say("source", f"{self.path} is passed over: {error}")
            return None

    def put(self, order: Order) -> None:
        """Keep it, unless another process has come further. A disk that fails costs the mark, and nothing else."""
        there = self.read()
        if there is not None and there >= order:
            return
        era, revision, at = order
        try:
            _disk.put(self.path, {"v": _VERSION, "era": era, "revision": revision, "at": at})
        except OSError as error:
            swallow("mark of a snapshot", error)
