"""From what a person writes after `store=` to a Store."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

from progflags._clock import SYSTEM, Clock
from progflags._printed import quoted
from progflags.store._address import printable
from progflags.store._contract import Store
from progflags.store._memory import MemoryStore

__all__ = ["address", "open_store"]

_FORMS = (
    'None, "memory://name", "sqlite:///relative.db", "sqlite:////absolute.db", "postgresql://host/database", "redis://host",'
    ' "redis+sentinel://host/service" or "redis+cluster://host"'
)


def open_store(url: str | Store | None = None, *, clock: Clock = SYSTEM) -> Store:
    """
    The store `url` names; a Store is passed through.

    None (memory, nobody else's), `memory://name`, `sqlite:///rel.db`, `sqlite:////abs.db`, `postgresql://…`, `redis://…`,
    `redis+sentinel://…`, `redis+cluster://…`.

        store = open_store("sqlite:///progflags.db")
        print(store.url, store.revision(), *store.read("rollout/")[1])
        store.close()

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
        raise ValueError(f"{quoted(printable(url))} is not a store: write {_FORMS}")
    return opener(url, clock)


def address(url: str) -> str:
    """
    What the store that `url` names will be called once it is open.

    Raises:
        ValueError: not a SQLite file's address.
    """
    if not url.lower().startswith("sqlite:"):
        return printable(url)
    return f"sqlite:///{Path(os.path.abspath(_path(url))).as_posix()}"  # noqa: PTH100 - as the store itself: links are not followed


def _sqlite(url: str, clock: Clock) -> Store:
    from progflags.store._sqlite import SQLiteStore  # sqlite3 costs 5 ms to import, and some builds of Python lack it

    return SQLiteStore(_path(url), clock=clock)


def _path(url: str) -> str:
    rest = url.partition("://")[2]
    path, mark, _ = rest.partition("?")
    if not path.startswith("/") or path == "/" or mark:
        raise ValueError(f'{quoted(url)} names no file: write "sqlite:///relative.db" or "sqlite:////absolute.db" (a "?" in a name as %3F)')
    return unquote(path[1:])


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
    **{f"{scheme}{kind}": _leaf("redis", "RedisStore") for scheme in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster")},
}
