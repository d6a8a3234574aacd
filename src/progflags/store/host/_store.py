"""The store of a process that shares one connection to a server with the others of its host."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeVar

from progflags._process import called, in_child
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError, WentBackError
from progflags.store._contract import Board, Commit, Document, Entry, Hinting, Store, time_of, trim
from progflags.store.host._board import HostBoard, Rows
from progflags.store.host._copy import Copy
from progflags.store.host._duty import Duty, Part
from progflags.store.host._line import Line
from progflags.store.host._sign import Sign

__all__ = ["HostStore"]

T = TypeVar("T")

_LOOK: Final = 0.1  # seconds between two looks of a process that reads the folder
_SAFETY: Final = 7.0  # seconds after which what lies in the folder is compared with the server, although nobody did so
_IDLE: Final = 5.0  # seconds that a connection is kept that a process which follows had a use for
_TIME: Final = 600.0  # seconds that the server's time is good for


class HostStore:
    """
    A Store in front of the one on a server that `opening` opens, and of a copy of its documents in `folder`.

    What is read comes from the copy, while somebody keeps it; commits, histories and what other hosts counted come from the server, over
    a connection that a process which is not the one that asks lets go of again. `tends`: whether `tend` will be called a few times a
    second; else this process only reads the copy. `rows` knows which rows of the board add up.
    """

    def __init__(self, url: str, opening: Callable[[], Store], folder: Path, *, rows: Rows, tends: bool) -> None:
        if sys.platform == "win32":
            raise ValueError(
                "host_cache needs locks that the system takes back with their process, which Windows does not have: leave it out"
            )
        self._url = url
        self._tends = tends
        self._line = Line(url, opening)
        self._duty = Duty(folder, f"progflags-{hashlib.sha256(url.encode()).hexdigest()[:12]}", tends=tends)
        self._board = HostBoard(self._duty, self._line, rows)
        self._kept = -1  # the revision that this process has put into the folder, while it asks
        self._looked = 0.0  # when (monotonic) the server was asked for it last
        self._back = False  # whether the server has less than lies in the folder, and that is how it is
        self._seen = -1  # the revision that a hint was given for
        self._met = -1  # the highest revision that this process was told, by the folder or by the server
        self._ahead: tuple[float | None, float] | None = None  # the server's time, see Sign, and when (monotonic) it was asked for
        self._away = ""  # why the server does not answer
        self.after_fork()
        in_child(self)
        self._duty.begin()
        if tends:
            self.tend()  # those that begin at the same moment wait for a sign

    def after_fork(self) -> None:
        """Nobody naps here."""
        self._roused = threading.Event()

    # -- for those who tend it ------------------------------------------------------------------------------------------

    @property
    def asks(self) -> bool:
        """Whether this process asks the server for its host."""
        return self._duty.part is Part.ASKS

    @property
    def note(self) -> str:
        """What this process does for its host, in words."""
        part = self._duty.part
        return f"{part}: {self._duty.why}" if part is Part.APART else str(part)

    def tend(self) -> None:
        """
        One round: see who asks the server, and be it where nobody is. Never raises.

        Whoever asks keeps the folder as the server is, says there that it lives, and sends up what the others have put up.
        """
        if self._duty.look() is not Part.ASKS:
            self._kept = -1
            if self._duty.part is Part.FOLLOWS:
                self._line.rest(_IDLE)
            return
        try:
            if self._kept < 0 or time.monotonic() - self._looked >= _SAFETY:
                self._ask()
            told = self._board.carry()
            if told is not None and told != self._kept:  # nobody is told of a quiet commit, and a hint may be lost
                self._ask()
        except StoreError as error:
            swallow("host", error)
        self._duty.say(Sign(called(), self._time(), self._away, self._board.refused))

    # -- a Store --------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self._url

    @property
    def board(self) -> Board:
        return self._board

    def revision(self) -> int:
        if self._part() is Part.ASKS:
            return self._ask()
        return self._read(lambda store: store.revision(), int)

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        return self._read(lambda store: store.read(prefix), itemgetter(0))

    def commit(self, commit: Commit) -> int:
        """See Store. What it made, or who was first, lies in the folder then, so that a verb's process serves what it did."""
        with self._line.use() as server:
            try:
                revision = server.commit(commit)
            except ConflictError:
                self._kept_up(server)
                raise
            self._met = max(self._met, revision)
            self._kept_up(server)
            return revision

    def wait(self, revision: int, timeout: float) -> int:
        return self._read(lambda store: store.wait(revision, timeout), int)

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        with self._line.use() as server:
            return server.history(subject, after=after, limit=limit)

    def trim(self, subject: str, through: int) -> int:
        with self._line.use() as server:
            return trim(server, subject, through)

    def now(self) -> float | None:
        """See `progflags.store.Timed`. By the last sign in the folder where there is one, for everybody asks this at once."""
        if self._part() is Part.FOLLOWS:
            ahead = self._duty.sign.ahead
            return None if ahead is None else ahead + time.monotonic()
        with self._line.use() as server:
            return time_of(server)

    @property
    def deaf(self) -> str:
        if self._duty.part is Part.FOLLOWS:
            return ""
        server = self._line.store
        return server.deaf if isinstance(server, Hinting) else "" if server is None else "it does not say when it moves"

    def hint(self, timeout: float) -> bool:
        """
        See `progflags.store.Hinting`. The folder is looked at ten times a second, as a store in a file is. Whoever asks puts what it
        heard of there at once: the others don't wait until this process finds the time to look.
        """
        until = time.monotonic() + timeout
        while self._part() is Part.FOLLOWS:
            seen, self._seen = self._seen, self._read(lambda store: store.revision(), int)
            if seen != self._seen:
                return True
            if (left := until - time.monotonic()) <= 0:
                return False
            if self._naps(min(left, _LOOK)):
                return False
        self._must_not_wait()
        self._seen = -1
        with self._line.use() as server:
            if isinstance(server, Hinting):
                heard = server.hint(max(0.0, until - time.monotonic()))
                if heard and self._duty.part is Part.ASKS:
                    self._ask()
                return heard
        self._naps(max(0.0, until - time.monotonic()))
        return False

    def rouse(self) -> None:
        """End the wait for a hint now."""
        self._roused.set()
        rouse = getattr(self._line.store, "rouse", None)
        if rouse is not None:
            rouse()

    def _naps(self, seconds: float) -> bool:
        """Whether somebody ended it."""
        roused = self._roused.wait(seconds)
        self._roused.clear()
        return roused

    def accept(self) -> None:
        """Go on with a server that has less than it once had: what was lost has been looked at."""
        self._line.accept()
        self._kept, self._met, self._back = -1, -1, self._duty.part is Part.ASKS
        if self._duty.copy is not None:
            self._duty.use(Copy.accept)

    def close(self) -> None:
        if self._duty.part is Part.ASKS:
            try:
                self._board.carry(at_once=True)
            except StoreError as error:
                swallow("host", error)
        self._duty.close()
        self._line.close()

    # -- what it asks ---------------------------------------------------------------------------------------------------

    def _part(self) -> Part:
        if not self._tends or self._duty.part is Part.WAITS:
            self._duty.look()
        return self._duty.part

    def _must_not_wait(self) -> None:
        """
        Those that have lost their folder don't all go to the server in the same moment.

        Raises:
            StoreError: it is not our moment yet.
        """
        if self._duty.part is Part.WAITS:
            raise StoreError(f"{self.url}: this process {Part.WAITS}")

    def _read(self, act: Callable[[Store], T], at: Callable[[T], int]) -> T:
        """From the folder, where somebody keeps it, and as far as this process has come; else from the server. `at`: its revision."""
        part, before = self._part(), self._met
        self._must_not_wait()
        if part is Part.FOLLOWS and self._duty.sign.away:
            raise StoreError(self._duty.sign.away)
        if part is Part.FOLLOWS and self._duty.use(Copy.revision) >= before:
            found = self._duty.use(act)
        else:
            with self._line.use() as server:
                found = act(server)
        self._noted(at(found), before)
        return found

    def _noted(self, revision: int, before: int) -> None:
        """What was asked for when this process had come as far as `before`. A connection that is new has not met anything yet."""
        if revision < before:
            raise WentBackError(
                f"{self.url} went back from revision {before} to {revision}: look at the rollouts, then restart every program that uses it"
            )
        self._met = max(self._met, revision)

    def _ask(self) -> int:
        """The server's revision. What it has lies in the folder then."""
        before = self._met
        try:
            with self._line.use() as server:
                revision = server.revision()
                self._noted(revision, before)
                if revision != self._kept:
                    revision = self._keep(server)
        except StoreError as error:
            self._away = str(error)
            raise
        self._away, self._looked = "", time.monotonic()
        return revision

    def _keep(self, server: Store) -> int:
        before = self._met
        revision, documents = server.read()
        self._noted(revision, before)
        self._kept = -1
        with suppress(StoreError):  # of the folder, which has been noted; the next round tries again
            self._duty.use(lambda copy: copy.keep(revision, documents, back=self._back))
            self._kept, self._back = revision, False
        return revision

    def _kept_up(self, server: Store) -> None:
        """After a commit, which stands whatever becomes of this."""
        try:
            if self._duty.copy is not None:
                self._keep(server)
        except StoreError as error:
            swallow("host", error)

    def _time(self) -> float | None:
        """How far the server's is ahead; asked for every ten minutes."""
        now = time.monotonic()
        if self._ahead is None or now - self._ahead[1] >= _TIME:
            try:
                with self._line.use() as server:
                    then = time_of(server)
            except StoreError as error:
                swallow("host", error)
                return None
            self._ahead = None if then is None else then - time.monotonic(), now
        return self._ahead[0]
