"""
A document that is far away: asked for in the background by the tag of what is known, and kept while no better one comes.

Whoever evaluates never waits for it. What is no good answer (a half one, an error page, a captive portal's, one that is signed by nobody
or by somebody else, one that is older than what serves) leaves the last good one.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from progflags._beside import Beside
from progflags._chance import chance
from progflags._printed import quoted
from progflags._process import look
from progflags.contrib._mark import Mark
from progflags.contrib._mirror import Mirror
from progflags.contrib._signature import PublicKey, public_key, unsealed
from progflags.contrib._snapshot import Snapshot, is_snapshot
from progflags.errors import DefinitionError, Problem, StoreError
from progflags.sources import FORMS, Piece
from progflags.store import Store

__all__ = ["Afar", "Answer", "NoGoodError"]

_SLOWEST: Final = 6  # times `every` that failures are apart at most
_MOMENT: Final = 0.05  # seconds that a look waits for an answer that is on its way
_BEATS: Final = 3  # that a publisher may miss


@dataclass(frozen=True, slots=True)
class Answer:
    """What is there, its tag, and its type where somebody says so."""

    text: bytes
    tag: str
    kind: str = ""


class NoGoodError(Exception):
    """An answer that can't serve, and why."""


class Afar(ABC):
    """
    The document called `name`; the last part of `path` has the suffix that says its form.

    A snapshot brings its live state along, as a store that can only be read (`live`); which of the two it is, flag file or snapshot, the
    first answer decides for good.
    """

    def __init__(self, name: str, path: str, *, every: float, timeout: float, key: str | bytes | None) -> None:
        if not every > 0 or not timeout > 0:
            raise ValueError(f"every and timeout are seconds above zero, not {quoted(every)} and {quoted(timeout)}")
        self._name, self._suffix = name, PurePosixPath(path).suffix.lower()
        self._every, self._timeout = every, timeout
        self._key = None if key is None else public_key(key)
        self._beside = Beside(f"source {name}", limit=4 * timeout)
        self._known: tuple[Piece, ...] = ()
        self._tag = ""  # of what is known
        self._snapshot: Snapshot | None = None  # where that is one
        self._mirror: Mirror | None = None
        self._mark: Mark | None = None
        self._heard = 0.0  # when (monotonic) that came
        self._problem: Problem | None = None  # with the last answer
        self._failures = 0
        self._due = 0.0

    @property
    def name(self) -> str:
        return self._name

    def read(self) -> Sequence[Piece]:
        """
        What was answered last; the first time what is answered now.

        Raises:
            DefinitionError: the last answer was none that can serve.
        """
        self._look()
        if self._problem is not None:
            raise DefinitionError([self._problem])
        if not self._known:
            raise DefinitionError([self._refused("has not answered yet")])
        return self._known

    def brought(self, pieces: Sequence[Piece]) -> bool:
        """Whether these pieces of its own came with live state: those of a snapshot are called by its name and their own."""
        return any(piece.file.startswith(f"{self._name}#") for piece in pieces)

    def live(self) -> Store | None:
        """
        The store that can only be read, of the live state that a snapshot brings along; None: there is a flag file.

        Raises:
            StoreError: nothing good was answered yet, so nobody knows.
        """
        self._look()
        if not self._known:
            raise StoreError(str(self._problem or self._refused("has not answered yet")))
        return self._mirror

    def remember(self, folder: Path) -> None:
        """Take no snapshot that is older than one that was served from `folder` before, by whichever process. Before the first look."""
        self._mark = Mark(folder, self._name)

    def close(self) -> None:
        """Let go of the thread. It begins again with the next look."""
        self._beside.close()

    @abstractmethod
    def _get(self, suffix: str, until: float, tag: str = "") -> Answer | None:
        """
        What is there, or under the same name with `suffix`, read by `until` (monotonic); None where `tag` is still it.

        Raises:
            NoGoodError: nothing that can serve.
        """

    def _look(self) -> None:
        look()
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            self._beside.do(self._ask, wait=_MOMENT if self._known or self._problem else 2 * self._timeout)

    def _ask(self) -> None:
        """One question, or two where what is there must be signed. What went wrong stands in `_problem`."""
        try:
            self._fetch()
        except NoGoodError as error:
            self._problem = self._refused(str(error))
            self._failures += 1
        else:
            self._problem, self._failures = self._silence(), 0
        wait = self._every * min(2.0 ** max(0, self._failures - 1), _SLOWEST)
        self._due = time.monotonic() + wait * chance.uniform(0.9, 1.1)

    def _fetch(self) -> None:
        until = time.monotonic() + self._timeout
        answer = self._get("", until, self._tag)
        if answer is None:
            return
        if answer.text.lstrip()[:1] == b"<":
            raise NoGoodError("answers with a page for people, as an error or the sign-on of a network does")
        text = answer.text if self._key is None else self._vouched_for(answer.text, self._key, until)
        self._known, self._tag = self._taken(text) if is_snapshot(text) else self._plain(text, answer.kind), answer.tag

    def _vouched_for(self, text: bytes, key: PublicKey, until: float) -> bytes:
        """What of it was signed, and no byte more."""
        body, signature = unsealed(text) if is_snapshot(text) else (text, b"")
        if not signature:
            beside = self._get(".sig", until)
            assert beside is not None  # it was asked for without a tag
            signature = beside.text
        if not key.signed(body, signature):
            raise NoGoodError("is not signed by the key that was given, or its signature is of another version")
        return body

    def _plain(self, text: bytes, kind: str) -> tuple[Piece, ...]:
        if self._mirror is not None:
            raise NoGoodError("is a flag file, and was a snapshot with live state when this process began: connect again if that is meant")
        form = FORMS.get(self._suffix) or next((form for form in FORMS.values() if form in kind), "")
        return (Piece(self._name, form, text),)

    def _taken(self, text: bytes) -> tuple[Piece, ...]:
        if self._known and self._mirror is None:
            raise NoGoodError("is a snapshot, and was a flag file when this process began: connect again if that is meant")
        try:
            snapshot = Snapshot.of(text, self._name)
        except ValueError as error:
            raise NoGoodError(f"is a snapshot that can't be read: {error}") from None
        before = self._snapshot
        if before is None:
            self._must_be_no_older(snapshot)
        if before is not None and snapshot.order < before.order:
            raise NoGoodError(
                f"is older (revision {snapshot.revision}) than what serves (revision {before.revision}):"
                " a cache on the way has kept it, or another store is published there"
            )
        if self._mirror is None:
            self._mirror = Mirror(self._name, snapshot)
        elif before is None or snapshot.order > before.order:
            self._mirror.take(snapshot)
        else:
            return before.pieces  # the very same
        self._snapshot, self._heard = snapshot, time.monotonic()
        if self._mark is not None:
            self._mark.put(snapshot.order)
        return snapshot.pieces

    def _must_be_no_older(self, snapshot: Snapshot) -> None:
        """What comes first, in a process that has nothing yet to compare it with."""
        served = None if self._mark is None else self._mark.read()
        if self._mark is not None and served is not None and snapshot.order < served:
            raise NoGoodError(
                f"is older (revision {snapshot.revision}) than what was served here before (revision {served[1]}): a cache on the way has"
                f" kept it; an older state that is meant is published with --force, or taken once {self._mark.path} is removed"
            )

    def _silence(self) -> Problem | None:
        """Whether whoever publishes it has stopped: a rollback would not come either."""
        silent, beat = time.monotonic() - self._heard, 0.0 if self._snapshot is None else self._snapshot.beat
        if not beat or silent < _BEATS * beat + self._every:
            return None
        why = f"has been the same for {silent:.0f} s, though it is published again every {beat:g} s: no rollback and no kill would come"
        return Problem(self._name, None, "", why, "see that `progflags publish --follow` runs")

    def _refused(self, why: str) -> Problem:
        return Problem(self._name, None, "", why, "what was good last serves on; it is asked again")
