"""
The store as a client reaches it: opened when it can be, asked with back-off while it can't, and known by what became of writes.

Whatever store it is, its methods are all that is used of it. One of ours keeps to the deadline by itself; somebody else's runs aside
where there is a deadline, so that no verb waits for it longer than for ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from uuid import uuid4

from progflags._chance import chance
from progflags._connect._glance import Glance
from progflags._deadline import left, within
from progflags._trouble import swallow
from progflags.errors import ReadOnlyError, StoreError
from progflags.store import PROBE, Board, Commit, Document, Entry, Hinting, LateStore, Row, Store, aside, read_only, time_of, trim

__all__ = ["Reach"]

T = TypeVar("T")

_LONGEST: Final = 0.9  # seconds between two looks at a store that does not answer, so that its return is seen within two
_FAR: Final = 5.0  # likewise at a server that was away for a minute, so that a fleet comes back over seconds and not at once
_PART: Final = 12.0  # of the time that it was away, for one in between
_SHORTEST: Final = 0.1
_ROUTINE: Final = 25.0  # seconds over which a fleet does again what nobody waits for, after a server was away that long
_PROBE: Final = 0.9  # seconds that such a look may take
_PROBE_AGAIN: Final = 1.0  # seconds between two tries that only want to know
_PATIENCE: Final = 5.0  # seconds that a call of somebody else's store may take where nobody is in a hurry


class Reach:
    """
    A Store in front of the one that `opening` opens, or of `store` where that is open already.

    `url` is its name before it is open as well. `write_problem`, `read_problem`: why the last write, the last read of more than the
    revision failed, empty where it did not. `glance`: what its revision is known to be, so that a look need not always ask.

    `unopened`: why nobody can write to it from here, as far as that is known before it is open.
    """

    def __init__(self, url: str, opening: Callable[[], Store], store: Store | None = None, *, unopened: str = "") -> None:
        self._url = url
        self._unopened = unopened
        self._late = LateStore(url, opening, store)
        self._says: tuple[Store | None, bool] = (None, False)  # a store, and whether it says when it moves
        self._failures = 0
        self._next = self._missing = self._calm = 0.0
        self._probed = 0.0
        self.write_problem = self.read_problem = ""
        self.glance = Glance()
        self.board: Board = _ReachBoard(self)

    # -- whether to ask at all ------------------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether it is time for another look: at once where the last was answered, else later and later, and never in step."""
        return time.monotonic() >= self._next

    @property
    def missed(self) -> bool:
        """Whether the last look was not answered."""
        return self._failures > 0

    def miss(self) -> None:
        """Note that a look was not answered."""
        now = time.monotonic()
        self._missing = self._missing if self._failures else now
        self._failures += 1
        longest = _LONGEST if self.mute else min(_FAR, max(_LONGEST, (now - self._missing) / _PART))
        self._next = now + min(longest, _SHORTEST * 2.0 ** min(self._failures, 10)) * chance.uniform(0.5, 1.0)

    def met(self) -> None:
        """Note that one was. A server that was away is asked for no more than the live state at first: others come back to it as well."""
        if self._failures and not self.mute:
            now = time.monotonic()
            self._calm = now + chance.uniform(0.0, min(_ROUTINE, now - self._missing))
        self._failures, self._next = 0, 0.0

    @property
    def calm(self) -> bool:
        """Whether there is nothing against asking the store for what nobody waits for."""
        return time.monotonic() >= self._calm

    def knock(self) -> None:
        """
        Ask for no more than a sign, and not for long.

        Raises:
            StoreError: there is none.
        """
        with within(_PROBE):
            self.revision()

    @property
    def troubled(self) -> bool:
        """Whether something failed when it was last tried."""
        return bool(self.write_problem or self.read_problem)

    def probe(self) -> None:
        """
        Where something failed, read and write what is nobody's, to know when it is in order again. That a store takes no writes any more is
        known before it matters, for every process puts something up twice a minute.
        """
        if not self.troubled or time.monotonic() < self._probed + _PROBE_AGAIN:
            return
        self._probed = time.monotonic()
        topic = f"{PROBE}{uuid4().hex[:12]}"
        try:
            self.read(topic)
            self.board.publish(topic, "probe", 1, b"")
            self.board.clear(topic)
        except StoreError as error:
            swallow("store: reading and writing", error)

    # -- when it moves --------------------------------------------------------------------------------------------------

    @property
    def mute(self) -> bool:
        """Whether it is a store that never says when it moved. Not known, so not so, before it is open."""
        store = self._late.store
        if store is None:
            return False
        known, says = self._says
        if known is not store:  # a protocol takes 20 µs to check, and this is asked at every look
            says = isinstance(store, Hinting)
            self._says = store, says
        return not says

    @property
    def deaf(self) -> str:
        """Why such a store does not say so here; empty where it does."""
        store = self._late.store
        return store.deaf if isinstance(store, Hinting) else ""

    def hint(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the store to say that it moved; if so, the next look asks. See `progflags.store.Hinting`."""
        store = self._late.open()
        if not isinstance(store, Hinting):
            return False
        try:
            heard = store.hint(timeout)
        except StoreError:
            self.glance.forget()
            raise
        if heard:
            self.glance.forget()
        return heard

    @property
    def rouse(self) -> Callable[[], object] | None:
        """What ends a wait for a hint; None where nothing does, and no wait should be long."""
        return getattr(self._late.store, "rouse", None)

    @property
    def read_only(self) -> str:
        """Why nobody can write to it from here; see `progflags.store.read_only`."""
        store = self._late.store
        return self._unopened if store is None else read_only(store)

    def accept(self) -> None:
        """Go on with a store that has less than it once had: what was lost has been looked at."""
        accept = getattr(self._late.open(), "accept", None)
        if accept is not None:
            accept()

    # -- a Store --------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self._url

    def revision(self) -> int:
        """As it is; as it was a moment ago, where that is all that a glance asks for."""
        known = self.glance.known()
        if known is not None:
            return known
        ticket = self.glance.ticket
        revision = self._ask(lambda store: store.revision())
        self.glance.saw(revision, ticket)
        return revision

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        ticket = self.glance.ticket
        found = self._read(lambda store: store.read(prefix))
        self.glance.saw(found[0], ticket)
        return found

    def commit(self, commit: Commit) -> int:
        try:
            return self._write(lambda store: store.commit(commit))
        finally:
            self.glance.forget()  # of what we wrote, and of who was first

    def wait(self, revision: int, timeout: float) -> int:
        return self._late.open().wait(revision, timeout)

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        return self._read(lambda store: store.history(subject, after=after, limit=limit))

    def trim(self, subject: str, through: int) -> int:
        return self._ask(lambda store: trim(store, subject, through))

    def now(self) -> float | None:
        return self._ask(time_of)

    def close(self) -> None:
        store = self._late.close()
        if store is not None:
            _bounded(store, store.close)

    def _read(self, act: Callable[[Store], T]) -> T:
        try:
            found = self._ask(act)
        except StoreError as error:
            self.read_problem = str(error)
            raise
        self.read_problem = ""
        return found

    def _write(self, act: Callable[[Store], T]) -> T:
        try:
            found = self._ask(act)
        except ReadOnlyError:
            raise  # as it ought to be
        except StoreError as error:
            self.write_problem = str(error)
            raise
        self.write_problem = ""
        return found

    def _ask(self, act: Callable[[Store], T]) -> T:
        try:
            store = self._late.open()
            return _bounded(store, lambda: act(store))
        except StoreError:
            self.glance.forget()
            raise


class _ReachBoard:
    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> int | None:
        glance = self._reach.glance
        ticket = glance.ticket
        revision = self._reach._write(lambda store: store.board.publish(topic, worker, seq, body))
        if revision is not None:
            glance.saw(revision, ticket)
        return revision

    def collect(self, topic: str) -> tuple[Row, ...]:
        return self._reach._ask(lambda store: store.board.collect(topic))

    def clear(self, topic: str) -> None:
        self._reach._write(lambda store: store.board.clear(topic))


def _bounded(store: Any, act: Callable[[], T]) -> T:
    """What `act` returns; aside, where the store is none that heeds a deadline by itself."""
    if type(store).__module__.startswith("progflags."):
        return act()
    seconds = left(_PATIENCE)
    try:
        return aside(act, seconds)
    except TimeoutError as error:
        raise StoreError(f"{store.url} did not answer within {seconds:.1f} s") from error
