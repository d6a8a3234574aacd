"""
Rollbacks that are wanted and not stored yet, on disk: a process that ends before the store is back does not take them along.

One small JSON file per flag and store, checksummed, readable by its owner alone, written aside and renamed into place. It is
there from the moment a rollback could not be stored until one is. Several processes may share the folder: each carries what it
finds at its start, and a rollback carried twice happens once. Nothing here raises: a full disk is no reason to stop trying.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from progflags._json import canonical, digest, loads
from progflags._trouble import say, swallow
from progflags.rollout._brake import Intent

__all__ = ["Kept"]

_VERSION: Final = 1


class Kept:
    """The rollbacks of one store that wait in `folder`, which is made when absent."""

    def __init__(self, folder: str | os.PathLike[str], store: str) -> None:
        self._folder = Path(folder)
        self._store = store
        self._there: dict[str, Intent] = {}

    def read(self) -> dict[str, Intent]:
        """What waits there, by flag; a file that is torn, tampered with, newer or of another store is passed over."""
        try:
            paths = sorted(self._folder.glob("rollback-*.json"))
        except OSError as error:
            swallow(f"rollbacks kept in {self._folder}", error)
            return {}
        for path in paths:
            try:
                flag, store, intent = _checked(path.read_bytes())
            except FileNotFoundError:
                continue  # another process carried it just now
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                say("rollbacks kept", f"{path} is passed over: {error}")
                continue
            if store == self._store:
                self._there[flag] = intent
        return dict(self._there)

    def keep(self, intents: Mapping[str, Intent]) -> None:
        """Make the folder say `intents`: write those it lacks, remove those of ours that are settled. Without a change it is free."""
        if intents == self._there:
            return
        for flag, intent in intents.items():
            if self._there.get(flag) != intent:
                try:
                    self._write(flag, intent)
                except OSError as error:
                    swallow(f"rollbacks kept in {self._folder}", error)
                else:
                    self._there[flag] = intent
        for flag in self._there.keys() - intents.keys():
            try:
                self._path(flag).unlink(missing_ok=True)
            except OSError as error:
                swallow(f"rollbacks kept in {self._folder}", error)
            else:
                del self._there[flag]

    def _path(self, flag: str) -> Path:
        name = hashlib.sha256(canonical([self._store, flag]).encode()).hexdigest()[:24]
        return self._folder / f"rollback-{name}.json"

    def _write(self, flag: str, intent: Intent) -> None:
        body = {"v": _VERSION, "store": self._store, "flag": flag, **asdict(intent)}
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, aside = tempfile.mkstemp(prefix=".rollback-", dir=self._folder)  # 0600 by its own account
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(canonical({"sha256": digest(body), "body": body}))
                file.flush()
                os.fsync(descriptor)
            os.replace(aside, self._path(flag))  # noqa: PTH105 - beside fsync
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(aside)  # noqa: PTH108 - as above
            raise
        _sync(self._folder)


def _checked(text: bytes) -> tuple[str, str, Intent]:
    outer = loads(text)
    body: dict[str, Any] = outer["body"]
    if outer["sha256"] != digest(body):
        raise ValueError("it does not match its checksum")
    if body["v"] != _VERSION:
        raise ValueError(f"it is of version {body['v']}, written by a newer progflags")
    intent = Intent(int(body["run"]), str(body["reason"]), str(body["actor"]), braked=bool(body["braked"]))
    return str(body["flag"]), str(body["store"]), intent


def _sync(folder: Path) -> None:
    """The renaming itself on disk, where a folder can be synced at all."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
