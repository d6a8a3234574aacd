"""
Intents on disk: a process that ends before the store is back does not take its rollbacks and kills along.

One small JSON file per flag, kind and store, checksummed, readable by its owner alone, written aside and renamed into place. It is
there from the moment something could not be stored until it is. Several processes, with several sources, may share the folder: each
carries what it finds at its start, and what is carried twice happens once. Of two words about one flag the later is kept, and whoever
is done with the earlier one leaves it there. Nothing here raises: a full disk is no reason to stop trying.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from progflags._disk import get, put, sweep
from progflags._json import canonical
from progflags._trouble import say, swallow
from progflags.rollout.run._intent import Intent

__all__ = ["Kept"]

_VERSION: Final = 1
_STRANGE: Final = (OSError, ValueError, KeyError, TypeError, RecursionError)  # what reading such a file may raise


class Kept:
    """The intents of one `kind` and one store that wait in `folder`, which is made when absent."""

    def __init__(self, folder: str | os.PathLike[str], store: str, kind: str = "rollback") -> None:
        self._folder = Path(folder)
        self._store = store
        self._kind = kind
        self._there: dict[str, Intent] = {}

    def read(self) -> dict[str, Intent]:
        """What waits there, by flag; a file that is torn, tampered with, newer or of another store is passed over."""
        sweep(self._folder, f".{self._kind}-")
        try:
            paths = sorted(self._folder.glob(f"{self._kind}-*.json"))
        except OSError as error:
            swallow(f"{self._kind}s kept in {self._folder}", error)
            return {}
        for path in paths:
            try:
                flag, store, intent = _intent(get(path, _VERSION))
            except FileNotFoundError:
                continue  # another process carried it just now
            except _STRANGE as error:
                say(f"{self._kind}s kept", f"{path} is passed over: {error}")
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
                    swallow(f"{self._kind}s kept in {self._folder}", error)
                else:
                    self._there[flag] = intent
        for flag in self._there.keys() - intents.keys():
            try:
                if self._found(flag) in (None, self._there[flag]):
                    self._path(flag).unlink(missing_ok=True)
            except OSError as error:
                swallow(f"{self._kind}s kept in {self._folder}", error)
            else:
                del self._there[flag]

    def _path(self, flag: str) -> Path:
        name = hashlib.sha256(canonical([self._store, flag]).encode()).hexdigest()[:24]
        return self._folder / f"{self._kind}-{name}.json"

    def _write(self, flag: str, intent: Intent) -> None:
        found = self._found(flag)
        if found is not None and found.later_than(intent):
            return  # another process's, which carries it; ours is overtaken
        put(self._path(flag), {"v": _VERSION, "store": self._store, "flag": flag, **asdict(intent)})

    def _found(self, flag: str) -> Intent | None:
        """What the folder says of a flag just now; None where that is nothing that can be read."""
        try:
            return _intent(get(self._path(flag), _VERSION))[2]
        except _STRANGE:
            return None


def _intent(body: Mapping[str, Any]) -> tuple[str, str, Intent]:
    return str(body["flag"]), str(body["store"]), Intent.of(body)
