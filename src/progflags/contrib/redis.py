"""
The store in Redis or Valkey: `redis://host:6379/0`, `rediss://…`; for many hosts that already share one.

Install `progflags[redis]`. A commit is one Lua script: it checks and writes in one step that nothing can come between.
Everything lies under keys that begin with `{progflags}` (another word with `?namespace=`), in one slot of a cluster.

What Redis does not promise: replication is asynchronous, so a failover may lose the last acknowledged commit. The store
notices a revision that goes back and stops rather than serve the past. Control state has no expiry, so the server must not
evict it: `maxmemory-policy noeviction`. If a lost transition would hurt, keep the store in PostgreSQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from progflags._clock import SYSTEM, Clock
from progflags._deadline import spent, within
from progflags._printed import quoted
from progflags._process import in_child, look
from progflags._trouble import say
from progflags.errors import StoreError, missing
from progflags.store import REMEMBERED, Commit, Document, Entry, Row, ServerStore, conflict, texts

try:
    from redis.backoff import NoBackoff
    from redis.client import Redis
    from redis.exceptions import ConnectionError, RedisError  # noqa: A004 - theirs, not the built-in
    from redis.retry import Retry
except ImportError as error:
    raise missing(error, "redis", "redis", "redis") from error

from progflags.contrib._redis_connection import Hasty, HastySSL
from progflags.contrib._redis_hints import CHANNEL, Hints

__all__ = ["RedisStore"]

T = TypeVar("T")

_VERSION = 1
_ROW_LIVES = 86_400  # seconds a Board row is kept after its worker was last heard; control state is kept for ever

# KEYS: revision, documents, ids, ids by age, then one list per entry. ARGV: id, remembered, the number of expected keys, the
# revision that must be there at least, the channel to tell ("" for none), those keys with revisions, the number of writes and those keys
# with texts ("" deletes), then the entries' texts. A user who may not PUBLISH commits all the same.
_COMMIT = """
local taken = redis.call('HGET', KEYS[3], ARGV[1])
if taken then return {'taken', taken} end
local now = redis.call('GET', KEYS[1]) or '0'
if tonumber(now) < tonumber(ARGV[4]) then return {'back', now} end
local at, found, moved = 6, {'moved'}, false
for _ = 1, tonumber(ARGV[3]) do
  local there = redis.call('HGET', KEYS[2], ARGV[at])
  local revision = there and string.match(there, '^%d+') or '0'
  found[#found + 1] = revision
  if revision ~= ARGV[at + 1] then moved = true end
  at = at + 2
end
if moved then return found end
local revision = redis.call('INCR', KEYS[1])
local writes = tonumber(ARGV[at])
at = at + 1
for _ = 1, writes do
  if ARGV[at + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[at])
  else redis.call('HSET', KEYS[2], ARGV[at], revision .. ':' .. ARGV[at + 1]) end
  at = at + 2
end
for list = 5, #KEYS do
  redis.call('RPUSH', KEYS[list], revision .. ':' .. ARGV[at])
  at = at + 1
end
redis.call('HSET', KEYS[3], ARGV[1], revision)
redis.call('ZADD', KEYS[4], revision, ARGV[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', revision - tonumber(ARGV[2]))
for _, id in ipairs(old) do
  redis.call('HDEL', KEYS[3], id)
  redis.call('ZREM', KEYS[4], id)
end
if ARGV[5] ~= '' then redis.pcall('PUBLISH', ARGV[5], revision) end
return {'done', revision}
"""

_READ = """
local all, found = redis.call('HGETALL', KEYS[2]), {redis.call('GET', KEYS[1]) or '0'}
for at = 1, #all, 2 do
  if string.sub(all[at], 1, #ARGV[1]) == ARGV[1] then
    found[#found + 1] = all[at]
    found[#found + 1] = all[at + 1]
  end
end
return found
"""

_PUBLISH = """
local there = redis.call('HGET', KEYS[1], ARGV[1])
if not (there and tonumber(string.match(there, '^%d+')) >= tonumber(ARGV[2])) then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. now[1] .. '.' .. string.format('%06d', now[2]) .. ':' .. ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return redis.call('GET', KEYS[2]) or '0'
"""


class RedisStore(ServerStore):
    """A store in the Redis that `url` names. `timeout` is how many seconds one call to it may take."""

    _went_back = "it lost commits in a failover, was flushed or restored"

    def __init__(self, url: str, *, timeout: float = 2.0, clock: Clock = SYSTEM) -> None:  # noqa: ARG002 - the server's clock counts
        super().__init__(url)
        self._timeout = timeout
        self._dials = threading.local()
        self._hints = Hints(self._key(CHANNEL))
        self._connect()
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

    def _connect(self) -> None:
        kind = HastySSL if self._address.lower().startswith("rediss:") else Hasty
        options: dict[str, Any] = {"connection_class": kind, "retry": Retry(NoBackoff(), 0), "dialled": self._dial}
        options |= {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
        try:
            self._client: Any = Redis.from_url(self._address, **options)
        except ValueError as error:
            raise ValueError(f"{quoted(self._url)} is no address of a Redis: {error}") from None
        self._commit, self._read, self._publish = (self._client.register_script(text) for text in (_COMMIT, _READ, _PUBLISH))

    def _dial(self) -> None:
        self._dials.made = self._dialled() + 1

    def _dialled(self) -> int:
        """Connections that this thread has opened."""
        return getattr(self._dials, "made", 0)

    def after_fork(self) -> None:
        """The parent's sockets are the parent's."""
        self._inherited = self._client  # kept, so that nothing closes them here
        self._connect()

    def _key(self, name: str) -> str:
        return f"{{{self._namespace}}}:{name}"

    def _run(self, act: Callable[[], T]) -> T:
        look()
        if self._closed:
            raise StoreError(f"{self.url} is closed: open it again")
        with within(self._timeout):
            try:
                return self._answered(act)
            except RedisError as error:
                late = f", and the time was up after {self._timeout:g} s at most" if spent() else ""
                what = f"{type(error).__name__}: {error}{late}"
                raise StoreError(f"{self.url} can't be used: {what}: see that the server is up and lets us in") from error

    def _answered(self, act: Callable[[], T]) -> T:
        """
        Again, until it was on a new connection, where the old one turns out to have been dropped since. A script's commit has an id.

        The pool's other connections are left alone: another thread may have taken one of them out by now.
        """
        dialled = self._dialled()
        while True:
            try:
                return act()
            except ConnectionError:
                if self._dialled() != dialled or spent():
                    raise

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
        before, keys = self._highest, [self._key("revision"), self._key("documents")]
        revision, *rest = self._run(lambda: self._read(keys=keys, args=[prefix.encode()]))
        found = {key.decode(): _split(value) for key, value in zip(rest[::2], rest[1::2], strict=True)}
        return self._met(revision, before), {key: Document(key, at, self._body(text)) for key, (at, text) in sorted(found.items())}

    def commit(self, commit: Commit) -> int:
        writes, lines = texts(commit)
        before = self._highest
        keys = [self._key(name) for name in ("revision", "documents", "ids", "ids-by-age", *(f"history:{subject}" for subject, _ in lines))]
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
        word, *numbers = self._run(lambda: self._commit(keys=keys, args=arguments))
        if word == b"back":
            self._met(numbers[0], before)
        if word == b"moved":
            conflict(self.url, commit, dict(zip(commit.expects, map(int, numbers), strict=True)))
        return self._met(numbers[0], before if word == b"done" else 0)  # one taken long ago may be older than what was met since

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        first, most = max(0, after), max(0, limit)
        lines = self._run(lambda: self._client.lrange(self._key(f"history:{subject}"), first, first + most - 1)) if most else []
        found = enumerate(map(_split, lines), first + 1)
        return tuple(Entry(subject, number, at, self._body(text)) for number, (at, text) in found)

    def now(self) -> float:
        seconds, micros = self._run(lambda: self._client.time())  # noqa: PLW0108 - a fork noticed meanwhile brings another client
        return float(seconds + micros / 1e6)

    @property
    def deaf(self) -> str:
        return self._hints.deaf

    def hint(self, timeout: float) -> bool:
        return self._run(lambda: self._hints.wait(self._client, timeout))

    def close(self) -> None:
        look()
        self._closed = True
        self._client.close()


class _RedisBoard:
    """One hash per topic; a row is `seq:seconds since the epoch by the server:body`."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> int:
        store = self._store
        before, keys = store._highest, [store._key(f"board:{topic}"), store._key("revision")]
        return store._met(store._run(lambda: store._publish(keys=keys, args=[worker, seq, body, _ROW_LIVES])), before)

    def collect(self, topic: str) -> tuple[Row, ...]:
        store = self._store

        def look() -> tuple[dict[bytes, bytes], tuple[int, int]]:
            return store._client.hgetall(store._key(f"board:{topic}")), store._client.time()

        rows, (seconds, micros) = store._run(look)
        found = []
        for worker, row in sorted(rows.items()):
            seq, at, body = row.split(b":", 2)
            found.append(Row(worker.decode(), int(seq), body, max(0.0, seconds + micros / 1e6 - float(at))))
        return tuple(found)

    def clear(self, topic: str) -> None:
        store = self._store
        store._run(lambda: store._client.delete(store._key(f"board:{topic}")))


def _split(value: bytes) -> tuple[int, bytes]:
    revision, _, text = value.partition(b":")
    return int(revision), text
