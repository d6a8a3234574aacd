"""
Publishing: what a fleet that can only read follows, definitions and live state, put where any number of processes can fetch it.

`progflags publish` is this on the command line. A file needs nothing installed, a bucket `progflags[objects]`, signing `progflags[http]`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from progflags._connect import Ears, Reach
from progflags._deadline import within
from progflags._trouble import say, swallow
from progflags.contrib._manifest import MANIFEST, manifest
from progflags.contrib._shelf import Shelf, shelf_beside, shelf_of
from progflags.contrib._signature import private_key, sealed, unsealed
from progflags.contrib._snapshot import Snapshot, is_snapshot
from progflags.errors import DefinitionError, PublishError, WentBackError
from progflags.flags import FlagModel
from progflags.rollout import served
from progflags.sources import Loader, Piece, StoreSource, astray, source_of
from progflags.store import Store, open_store

__all__ = ["Publisher"]

_BEAT: Final = 300.0  # seconds after which a fleet is shown that somebody still publishes: little to fetch, known in 15 minutes
_TIMEOUT: Final = 10.0  # seconds that one look at the store takes at most
_APART: Final = 1.0  # seconds between two snapshots: buckets take no more of one object
_LOOK: Final = 0.1  # seconds between two looks at a store that does not say when it moves
_AGAIN: Final = 0.5  # seconds after a failure, and as long as the store must stay behind before that is believed
_SLOWEST: Final = 30.0


class Publisher:
    """
    Publishes the definitions of `source` (what `connect` takes; None: what was pushed to the store) and the live state in `store`, to `to`:
    a file, a folder (then as `snapshot.json`), or an object's address (`s3://`, `gs://`, `az://`).

    `key`: an Ed25519 private key in PEM that signs them. `beat`: seconds after which `follow` publishes even if nothing has changed, so
    that a fleet notices when nobody does any more. `manifest`: OpenFeature's manifest as well, as `openfeature/v0/manifest` in the same
    folder, which is where `openfeature pull` looks for it; it has every flag, and no signature.

        publisher = Publisher("flags.toml", store="sqlite:///progflags.db", to="snapshot.json")
        print(publisher.publish().revision)
        publisher.close()

    Raises:
        ValueError: nothing can be published at `to`, or the key is none.
        MissingExtraError: obstore or cryptography is needed and not installed.
        StoreError: the store can't be used.
    """

    def __init__(
        self,
        source: Any,
        *,
        store: Store | str,
        to: str | os.PathLike[str],
        key: str | bytes | None = None,
        beat: float = _BEAT,
        manifest: bool = False,
    ) -> None:
        self._shelf: Shelf = shelf_of(to, "snapshot.json")
        self._catalogue: Shelf | None = shelf_beside(to, MANIFEST) if manifest else None
        self._listed = b""  # what was put there
        self._key = None if key is None else private_key(key)
        self._beat = beat
        opened = open_store(store)
        self._owned = opened if isinstance(store, str) else None
        self._store = Reach(opened.url, lambda: opened, opened)
        self._loader = Loader(StoreSource(self._store) if source is None else source_of(source))
        self._good: tuple[Piece, ...] = ()  # of the last definitions without a mistake
        self._flags: Mapping[str, FlagModel] = {}  # what they say
        self._seen: tuple[tuple[Piece, ...], int] = ((), -1)  # of what was published, or need not be
        self._last: Snapshot | None = None
        self._written = 0.0  # when (monotonic)

    @property
    def name(self) -> str:
        """Where it is published."""
        return self._shelf.name

    def publish(self, *, force: bool = False) -> Snapshot:
        """
        Publish once, now, and return what was. Stricter than a reload: one bad flag, and nothing is published.

        `force`: also over what is newer by its revision, which is another store's, and over what is no snapshot.

        Raises:
            DefinitionError: the definitions can't be used.
            StoreError: the store is out of reach.
            PublishError: it can't be put there, or what lies there is not ours to replace.
        """
        with within(_TIMEOUT):
            snapshot = self._made(0.0, force=force)
        self._put(snapshot)
        self._list()
        return snapshot

    def follow(self, ended: threading.Event, told: Callable[[Snapshot], object] = bool) -> None:
        """
        Publish now and after every change, until `ended` is set; each is `told`. What can't be done is said, counted and tried again.

        A change is seen as soon as the store says so; of several within a second the last is published.
        """
        ears = Ears(self._store, None, bool)
        failures = 0
        while not ended.is_set():
            try:
                failures = self._turn(told)
            except Exception as error:
                failures += 1
                self._failed(error)
                ended.wait(min(_SLOWEST, _AGAIN * 2.0 ** min(failures, 10)))
                continue
            ended.wait(max(0.0, self._written + _APART - time.monotonic()))
            if self._store.mute:
                ended.wait(_LOOK)
            else:
                ears.listen()

    def close(self) -> None:
        """Let go of the store, where it was named, and of what the source holds open."""
        self._loader.close()
        if self._owned is not None:
            self._owned.close()

    def _turn(self, told: Callable[[Snapshot], object]) -> int:
        """Publish if there is anything to say; no failures."""
        with within(_TIMEOUT):
            due = self._last is None or time.monotonic() - self._written >= self._beat
            if not due and self._seen == (self._definitions(), self._store.revision()):
                return 0
            snapshot = self._made(self._beat, force=False)
        if due or self._last is None or snapshot.says != self._last.says:
            self._put(snapshot)
            told(snapshot)
        self._list()
        self._seen = snapshot.pieces, snapshot.revision
        return 0

    def _made(self, beat: float, *, force: bool) -> Snapshot:
        pieces = self._definitions()
        now = time.time()  # before it is read, so that it is never newer than what it says
        revision, documents = served(self._store)
        era, at = self._place(revision, now, force=force)
        return Snapshot(revision, at, pieces, documents, era, beat)

    def _put(self, snapshot: Snapshot) -> None:
        text = snapshot.text()
        self._shelf.put(text if self._key is None else sealed(text, self._key))
        self._last, self._written = snapshot, time.monotonic()

    def _list(self) -> None:
        """Put the manifest, where it is another than the last."""
        if self._catalogue is not None and (text := json.dumps(manifest(self._flags), allow_nan=False).encode()) != self._listed:
            self._catalogue.put(text)
            self._listed = text

    def _definitions(self) -> tuple[Piece, ...]:
        """
        Those to publish: the last without a mistake.

        Raises:
            DefinitionError: there were none yet.
        """
        loaded = self._loader.load()
        problems = loaded.problems
        if loaded.snapshot is not None:
            problems = (*loaded.snapshot.rejected, *astray(self._loader.name, self._loader.pieces, loaded.snapshot))
        if loaded.snapshot is not None and not problems:
            self._good, self._flags = self._loader.pieces, loaded.snapshot.flags
        if not self._good:
            raise DefinitionError(problems)
        for problem in problems:
            say("publish", f"the last good definitions are published on: {problem}", cause=f"refused {problem.key}")
        return self._good

    def _place(self, revision: int, now: float, *, force: bool) -> tuple[int, float]:
        """Era and time of a snapshot that is newer than the last, whose ever that was."""
        last = self._last or self._there(force=force)
        if last is None:
            return 0, now
        if revision >= last.revision:
            return last.era, max(now, last.at + 0.001)
        if self._last is None and not force:
            raise PublishError(
                f"{self.name} has revision {last.revision}, and {self._store.url} is at {revision}: is it another store's?"
                " --force (force=True) publishes this one, and everybody who follows takes it over"
            )
        return last.era + 1, now

    def _there(self, *, force: bool) -> Snapshot | None:
        """What lies there from before."""
        text = self._shelf.get()
        if text is None:
            return None
        try:
            if not is_snapshot(text):
                raise ValueError("it is another document")  # noqa: TRY301 - as every other way it can be strange
            return Snapshot.of(unsealed(text)[0])
        except ValueError as error:
            if force:
                return None
            raise PublishError(f"{self.name} is no snapshot that could be replaced: {error}; --force (force=True) does") from None

    def _failed(self, error: Exception) -> None:
        swallow(f"publishing {self.name}", error)
        if isinstance(error, WentBackError):  # by the next turn it is what there is
            self._store.accept()
