"""Every store of ours under the one contract."""

import itertools
from uuid import uuid4

import pytest

from progflags.store import MemoryStore, SQLiteStore, open_store
from progflags.testing import SharedStoreContract, StoreContract
from support import servers

_names = itertools.count()


class TestMemoryStore(StoreContract):
    def make_store(self):
        return MemoryStore(f"contract-{next(_names)}")

    def join(self, store):
        return open_store(store.url)


class TestNamelessMemoryStore(StoreContract):
    def make_store(self):
        return MemoryStore()


class TestSQLiteStore(SharedStoreContract):
    kills = 150

    def make_store(self):
        return SQLiteStore(self.folder / "state.db")


class TestRedisStore(SharedStoreContract):
    kills = 40
    examples = 15

    @pytest.fixture(autouse=True)
    def _server(self):
        self.server, self.used = servers.redis(), []
        yield
        client = __import__("redis").Redis.from_url(self.server)
        for namespace in self.used:
            for key in client.scan_iter(f"{{{namespace}}}:*", 1000):
                client.delete(key)
        client.close()

    def make_store(self):
        self.used.append(f"test-{uuid4().hex}")
        return open_store(f"{self.server}?namespace={self.used[-1]}")


class TestPostgresStore(SharedStoreContract):
    kills = 40
    examples = 10

    @pytest.fixture(autouse=True)
    def _server(self):
        self.server, self.used = servers.postgres(), []
        yield
        with __import__("psycopg").connect(self.server, autocommit=True) as connection:
            for table in ("state", "documents", "history", "commits", "board"):
                connection.execute(f"DELETE FROM progflags_{table} WHERE namespace = ANY(%s)", (self.used,))

    def make_store(self):
        self.used.append(f"test-{uuid4().hex}")
        return open_store(f"{self.server}?namespace={self.used[-1]}")

    def join(self, store):
        return open_store(store._address + f"?namespace={store._namespace}")

    def opener(self, store):
        return f"from progflags.store import open_store; store = open_store({store._address + '?namespace=' + store._namespace!r})"
