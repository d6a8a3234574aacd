"""From what a person writes after `store=` to a Store."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from urllib.parse import unquote

from progflags._clock import SYSTEM, Clock
from progflags.store._address import printable
from progflags.store._contract import Store
from progflags.store._memory import MemoryStore

__all__ = ["open_store"]

_FORMS = 'None, "memory://name", "sqlite:///relative.db", "sqlite:////absolute.db", "postgresql://host/database" or "redis://host"'


def open_store(url: str | Store | None = None, *, clock: Clock = SYSTEM) -> Store:
    """
    The store `url` names; a Store is passed through.

    None (memory, nobody else's), `memory://name`, `sqlite:///rel.db`, `sqlite:////abs.db`, `postgresql://…`, `redis://…`.

    Raises:
        ValueError: not a store's address; the message lists the forms there are.
        MissingExtraError: the store's extra is not installed; the message is the command that does it.
        StoreError: the store is there and can't be used.
    """
    if url is None:
        return MemoryStore(clock=clock)
    if not isinstance(url, str):
        return url
    scheme = url.partition("://")[0] if "://" in url else ""
    opener = _OPENERS.get(scheme.lower())
    if opener is None:
        raise ValueError(f"{printable(url)!r} is not a store: write {_FORMS}")
    return opener(url, clock)


def _sqlite(url: str, clock: Clock) -> Store:
    from progflags.store._sqlite import SQLiteStore  # sqlite3 costs 5 ms to import, and some builds of Python lack it

    rest = url.partition("://")[2]
    path, mark, _ = rest.partition("?")
    if not path.startswith("/") or path == "/" or mark:
        raise ValueError(f'{url!r} names no file: write "sqlite:///relative.db" or "sqlite:////absolute.db" (a "?" in a name as %3F)')
    return SQLiteStore(unquote(path[1:]), clock=clock)


def _memory(url: str, clock: Clock) -> Store:
    return MemoryStore(unquote(url.partition("://")[2]).strip("/"), clock=clock)


def _leaf(module: str, name: str) -> Callable[[str, Clock], Store]:
    """A store that lives in contrib. By name only: nothing in the house imports a leaf."""

    def opener(url: str, clock: Clock) -> Store:
        store: Store = getattr(import_module(f"progflags.contrib.{module}"), name)(url, clock=clock)
        return store

    return opener


_OPENERS: dict[str, Callable[[str, Clock], Store]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgresql": _leaf("postgres", "PostgresStore"),
    "postgres": _leaf("postgres", "PostgresStore"),
    "redis": _leaf("redis", "RedisStore"),
    "rediss": _leaf("redis", "RedisStore"),
}
