"""
The live state of the last look, on disk: what a process that starts while the store is out of reach serves.

One JSON file per store, written when shares, kills or stages change, not with every batch of evidence. Several processes may share
the folder: all write what the same store said. Nothing here raises: a full disk is no reason to stop serving.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from progflags._disk import get, put, sweep
from progflags._json import canonical
from progflags._trouble import say, swallow
from progflags.errors import StoreError
from progflags.flags import EVERYTHING, Live
from progflags.rollout.run._page import Page
from progflags.rollout.state import NO_SAMPLES, Record, dump, load
from progflags.store import Document

__all__ = ["Last", "Saved"]

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Last:
    """What the last look saw: pages, the switch of all flags, and when (wall time)."""

    pages: Mapping[str, Page] = field(default_factory=dict)
    panic: Live = field(default_factory=lambda: Live(EVERYTHING))
    at: float = 0.0


class Saved:
    """The last look at one store, in `folder`."""

    def __init__(self, folder: str | os.PathLike[str], store: str) -> None:
        name = hashlib.sha256(canonical([store]).encode()).hexdigest()[:24]
        self._path = Path(folder) / f"live-{name}.json"
        self._store = store
        self._said: tuple[Live, dict[str, tuple[object, ...]]] = (Live(EVERYTHING), {})  # a store that is empty is not worth a file
        self._seen: Mapping[str, Page] = {}  # the very pages that were looked at last

    def read(self) -> Last | None:
        """What was saved there; None where nothing was, or nothing that can be read."""
        sweep(self._path.parent, ".live-")
        try:
            body = get(self._path, _VERSION)
            if body["store"] != self._store:
                raise ValueError("it is another store's")  # noqa: TRY301 - as every other way it can be strange
            pages = {str(flag): _page(str(flag), one) for flag, one in body["flags"].items()}
            return Last(pages, _live(EVERYTHING, body["panic"]), float(body["at"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, StoreError) as error:
            say("last known live state", f"{self._path} is passed over: {error}")
            return None

    def keep(self, last: Last) -> None:
        """Make the file say `last`, if anything in it is another than before. Without a change it costs a comparison."""
        if last.pages is self._seen and last.panic == self._said[0]:
            return
        self._seen = last.pages
        said = (last.panic, {flag: _mark(page) for flag, page in last.pages.items()})
        if said == self._said:
            return
        flags = {flag: _written(page) for flag, page in last.pages.items()}
        body = {"v": _VERSION, "store": self._store, "at": last.at, "flags": flags, "panic": [last.panic.revision, last.panic.body()]}
        try:
            put(self._path, body)
        except OSError as error:
            swallow(f"last known live state in {self._path.parent}", error)
            self._seen = {}  # to be tried again
        else:
            self._said = said


def _mark(page: Page) -> tuple[object, ...]:
    """What of a page is worth a write: everything that does not change with every batch."""
    record = page.record
    return (page.live, None) if record is None else (page.live, record.run, record.number, record.state)


def _written(page: Page) -> dict[str, Any]:
    record = None if page.record is None else dump(_bare(page.record))
    return {"live": [page.live.revision, page.live.body()], "rollout": record}


def _bare(record: Record) -> Record:
    """Where it stands, and its plan, which has the brake's rule; without what changes with every batch."""
    return replace(record, baked=0.0, waited=0.0, samples=NO_SAMPLES, verdict=None, evidence=None, window=None, drift=None)


def _page(flag: str, one: Mapping[str, Any]) -> Page:
    return Page(flag, _live(flag, one["live"]), None if one["rollout"] is None else load(one["rollout"]))


def _live(flag: str, written: tuple[int, Mapping[str, Any]]) -> Live:
    revision, body = written
    return replace(Live.of(Document(f"flag/{flag}", int(revision), body)), key=flag)
