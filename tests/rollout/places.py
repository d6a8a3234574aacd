"""A place for live state in each kind of store, empty at first, and nothing left of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from support import servers

KINDS = ("sqlite", "redis", "postgres")
"""Stores that several processes share. Memory is one process's, and takes part where that is enough."""


@contextmanager
def place(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty store; skips where its server is not to be had."""
    if kind == "memory":
        yield f"memory://test-{uuid4().hex}"
    elif kind == "sqlite":
        yield f"sqlite:///{folder / 'state.db'}"
    else:
        server, name = getattr(servers, kind)(), f"test-{uuid4().hex}"
        try:
            yield f"{server}?namespace={name}"
        finally:
            (_forget_redis if kind == "redis" else _forget_postgres)(server, name)


def another(address: str, number: int) -> str:
    """Another empty store beside `address`, which goes when that one does."""
    return f"{address}-{number}"


def _forget_redis(server: str, name: str) -> None:
    client = __import__("redis").Redis.from_url(server)
    keys = list(client.scan_iter(f"{{{name}*", 1000))
    for at in range(0, len(keys), 1000):
        client.delete(*keys[at : at + 1000])
    client.close()


def _forget_postgres(server: str, name: str) -> None:
    with __import__("psycopg").connect(server, autocommit=True) as connection:
        for table in ("state", "documents", "history", "commits", "board"):
            connection.execute(f"DELETE FROM progflags_{table} WHERE starts_with(namespace, %s)", (name,))
