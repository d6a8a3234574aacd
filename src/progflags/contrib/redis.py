"""
The store in Redis or Valkey: `redis://host:6379/0`, `rediss://…`; for many hosts that already share one.

Install `progflags[redis]`. A commit is one Lua script: it checks and writes in one step that nothing can come between.
Everything lies under keys that begin with `{progflags}` (another word with `?namespace=`), in one slot of a cluster. Sentinel and
clusters have addresses of their own: `redis+sentinel://host:26379,host:26379/mymaster`, `redis+cluster://host:6379,host:6379`.

What Redis does not promise: replication is asynchronous, so a failover may lose the last acknowledged commit. The store
notices a revision that goes back and stops rather than serve the past. Control state has no expiry, so the server must not
evict it: `maxmemory-policy noeviction`. If a lost transition would hurt, keep the store in PostgreSQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from progflags._clock import SYSTEM, Clock
from progflags._deadline import left, spent, within
from progflags._printed import quoted
from progflags._process import in_child, look
from progflags._trouble import say
from progflags.errors import StoreError, missing
from progflags.store import REMEMBERED, Commit, Document, Entry, Row, ServerStore, conflict, texts

try:
    from redis.exceptions import ConnectionError, RedisClusterException, RedisError  # noqa: A004 - theirs, not the built-in
except ImportError as error:
    raise missing(error, "redis", "redis", "redis") from error

from progflags.contrib._redis_client import client_of
from progflags.contrib._redis_connection import dialled
from progflags.contrib._redis_hints import CHANNEL, Hints
from progflags.contrib._redis_scripts import COLLECT, COMMIT, HISTORY, NOW, PUBLISH, READ, SCRIPTS, TRIM

__all__ = ["RedisStore"]

T = TypeVar("T")

_VERSION = 1
_ROW_LIVES = 86_400  # seconds a Board row is kept after its worker was last heard; control state is kept for ever


class RedisStore(ServerStore):
    """
    A store in the Redis that `url` names. `timeout` is how many seconds one call to it may take.

        store = RedisStore("redis://redis.example.com/0", timeout=1.0)
        flags = pf.connect("flags.toml", store=store)
    """

    _went_back = "it lost commits in a failover, was flushed or restored"

    def __init__(self, url: str, *, timeout: float = 2.0, clock: Clock = SYSTEM) -> None:  # noqa: ARG002 - the server's clock counts
        super().__init__(url)
        self._timeout = timeout
        self._hints = Hints(self._key(CHANNEL))
        self._client: Any = None
        self.after_fork()
        in_child(self)
        self._board = _RedisBoard(self)
        try:
            self._run(self._prepare)
        except TypeError as error:  # an option of the address that the client does not have, which it finds out when it connects
            self.close()
            raise ValueError(f"{quoted(self._url)} is no address of a Redis: {error}") from None
        except BaseException:
            self.close()
            raise

    def after_fork(self) -> None:
        """The parent's sockets are the parent's."""
        self._inherited, self._client = self._client, None  # kept, so that nothing closes them here
        self._connecting = threading.Lock()

    def _connect(self) -> None:
        """A client, by one thread: a cluster's asks the cluster for its nodes."""
        connecting = self._connecting  # after a fork, and once gevent has come, there is another
        if not connecting.acquire(timeout=left(self._timeout)):
            raise StoreError(f"{self.url} can't be used: another thread still connects to it, and the time is up: try again")
        try:
            if self._client is None:
                client = client_of(self._address, self._timeout)
                self._scripts = {text: client.register_script(text) for text in SCRIPTS}
                self._client = client
        except ValueError as error:
            raise ValueError(f"{quoted(self._url)} is no address of a Redis: {error}") from None
        finally:
            connecting.release()

    def _key(self, name: str) -> str:
        return f"{{{self._namespace}}}:{name}"

    def _run(self, act: Callable[[], T]) -> T:
        look()
        if self._closed:
            raise StoreError(f"{self.url} is closed: open it again")
        with within(self._timeout):
            try:
                return self._answered(act)
            except (RedisError, RedisClusterException) as error:
                self._lose(error)
                late = f", and the time was up after {self._timeout:g} s at most" if spent() else ""
                what = f"{type(error).__name__}: {error}{late}"
                raise StoreError(f"{self.url} can't be used: {what}: see that the server is up and lets us in") from error

    def _answered(self, act: Callable[[], T]) -> T:
        """
        Again, until it was on a new connection, where the old one turns out to have been dropped since. A script's commit has an id.

        The pool's other connections are left alone: another thread may have taken one of them out by now.
        """
        before = dialled()
        while True:
            try:
                if self._client is None:
                    self._connect()
                return act()
            except ConnectionError:
                if dialled() != before or spent():
                    raise

    def _lose(self, error: Exception) -> None:
        """A cluster of which no node that was met answers any more is looked for where its address says."""
        if isinstance(error, RedisClusterException):
            self._client = None

    def _script(self, text: str, keys: Sequence[str], arguments: Sequence[str | int | bytes] = ()) -> Any:
        """What a script answers; all its keys are in one slot."""
        return self._run(lambda: self._scripts[text](keys=[self._key(name) for name in keys], args=arguments))

    def _prepare(self) -> None:
        self._client.set(self._key("version"), _VERSION, nx=True)
        version = int(self._client.get(self._key("version")))
        if version > _VERSION:
            raise StoreError(f"{self.url} was written by a newer progflags (keys {version}, known here {_VERSION}): upgrade this one")
        try:
            policy = self._client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
        except RedisError:  # a hosted Redis keeps its settings to itself
            policy = "noeviction"
        if policy != "noeviction":
            say("store", f"{self.url} may evict what is kept there ({policy}): set maxmemory-policy noeviction")

    def revision(self) -> int:
        before = self._highest
        return self._met(self._run(lambda: self._client.get(self._key("revision"))) or 0, before)

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        before = self._highest
        revision, *rest = self._script(READ, ("revision", "documents"), (prefix.encode(),))
        found = {key.decode(): _split(value) for key, value in zip(rest[::2], rest[1::2], strict=True)}
        return self._met(revision, before), {key: Document(key, at, self._body(text)) for key, (at, text) in sorted(found.items())}

    def commit(self, commit: Commit) -> int:
        writes, lines = texts(commit)
        before = self._highest
        keys = ("revision", "documents", "ids", "ids-by-age", *(f"history:{subject}" for subject, _ in lines))
        arguments: list[str | int] = [
            commit.id or uuid4().hex,
            REMEMBERED,
            len(commit.expects),
            before,
            "" if commit.quiet else self._key(CHANNEL),
        ]  # an id always: it may be tried again
        for key, expected in commit.expects.items():
            arguments += [key, expected]
        arguments.append(len(writes))
        for key, text in writes.items():
            arguments += [key, text or ""]
        arguments += [text for _, text in lines]
        word, *numbers = self._script(COMMIT, keys, arguments)
        if word == b"back":
            self._met(numbers[0], before)
        if word == b"moved":
            conflict(self.url, commit, dict(zip(commit.expects, map(int, numbers), strict=True)))
        return self._met(numbers[0], before if word == b"done" else 0)  # one taken long ago may be older than what was met since

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        if limit <= 0:
            return ()
        first, lines = self._script(HISTORY, (f"history:{subject}", "trimmed"), (subject, max(0, after), limit))
        found = enumerate(map(_split, lines), first + 1)
        return tuple(Entry(subject, number, at, self._body(text)) for number, (at, text) in found)

    def trim(self, subject: str, through: int) -> int:
        return int(self._script(TRIM, (f"history:{subject}", "trimmed"), (subject, through))) + 1

    def now(self) -> float:
        seconds, micros = self._script(NOW, ("revision",))
        return _time(seconds, micros)

    @property
    def deaf(self) -> str:
        return self._hints.deaf

    def hint(self, timeout: float) -> bool:
        return self._run(lambda: self._hints.wait(self._client, timeout))

    def rouse(self) -> None:
        """End the wait for a hint now."""
        self._hints.rouse()

    def close(self) -> None:
        look()
        self._closed = True
        self._hints.close()
        if self._client is not None:
            self._client.close()


class _RedisBoard:
    """One hash per topic; a row is `seq:seconds since the epoch by the server:body`."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> int:
        store = self._store
        before = store._highest
        return store._met(store._script(PUBLISH, (f"board:{topic}", "revision"), (worker, seq, body, _ROW_LIVES)), before)

    def collect(self, topic: str) -> tuple[Row, ...]:
        (seconds, micros), *rest = self._store._script(COLLECT, (f"board:{topic}",))
        now, found = _time(seconds, micros), []
        for worker, row in sorted(zip(rest[::2], rest[1::2], strict=True)):
            seq, at, body = row.split(b":", 2)
            found.append(Row(worker.decode(), int(seq), body, max(0.0, now - float(at))))
        return tuple(found)

    def clear(self, topic: str) -> None:
        store = self._store
        store._run(lambda: store._client.delete(store._key(f"board:{topic}")))


def _time(seconds: bytes, micros: bytes) -> float:
    return int(seconds) + int(micros) / 1e6


def _split(value: bytes) -> tuple[int, bytes]:
    revision, _, text = value.partition(b":")
    return int(revision), text
