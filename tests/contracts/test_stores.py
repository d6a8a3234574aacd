"""Every store of ours under the one contract."""

import itertools
import time
from unittest.mock import patch
from uuid import uuid4

import pytest

from progflags.canary import Summed
from progflags.store import MemoryStore, SQLiteStore, open_store
from progflags.store.host import HostStore
from progflags.store.host._lock import Lock
from progflags.testing import ManualClock, SharedStoreContract, StoreContract
from rollout.places import place
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


def test_what_died_leaves_nothing_for_good_in_a_file(tmp_path):
    """A row that nobody has put up again for a day goes when any topic is taken down; the store's time stays."""
    clock = ManualClock()
    store = SQLiteStore(tmp_path / "state.db", clock=clock)
    before = store.now()
    store.board.publish("dead", "w", 1, b"")
    clock.advance("23h")
    store.board.publish("alive", "w", 1, b"")
    clock.advance("2h")
    store.board.clear("another")
    assert (store.board.collect("dead"), len(store.board.collect("alive"))) == ((), 1)
    assert store.now() == pytest.approx(before + 25 * 3600)
    store.close()


def test_nor_in_postgres(tmp_path):
    with place("postgres", tmp_path) as address:
        store = open_store(address)
        for topic in ("dead", "alive"):
            store.board.publish(topic, "w", 1, b"")
        old = "UPDATE progflags_board SET at = at - interval '25 hours' WHERE topic = 'dead' AND namespace = %s"
        store._server.run(lambda cursor: cursor.execute(old, (store._namespace,)))
        store.board.clear("another")
        assert (store.board.collect("dead"), len(store.board.collect("alive"))) == ((), 1)
        store.close()


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


class TestHostStoreThatAsks(StoreContract):
    """One connection for a host: as the process that has it, and one beside it."""

    examples = 10

    @pytest.fixture(autouse=True)
    def _server(self):
        self.server, self.begun, self.asking = servers.redis(), [], {}
        yield
        for store in self.begun:
            store.close()

    def make_store(self):
        return self.shared(f"{self.server}?namespace=test-{uuid4().hex}")

    def join(self, store):
        return self.shared(store.url)

    def shared(self, address):
        self.begun.append(HostStore(address, lambda: open_store(address), self.folder, rows=Summed(), tends=True))
        return self.begun[-1]

    def test_a_rows_age_is_the_time_since_it_was_put_up(self, store):
        """As the server has it: since it was sent up, which is the moment after."""
        store.board.publish("topic", "w", 1, b"")
        store.board.collect("topic")
        time.sleep(0.05)
        (old,) = store.board.collect("topic")
        store.board.publish("topic", "w", 2, b"")
        (young,) = store.board.collect("topic")
        assert 0 <= young.age < old.age


class TestHostStoreThatFollows(TestHostStoreThatAsks):
    """Another process has the lock: what is read comes from the folder, what is written goes to the server."""

    def shared(self, address):
        asks = self.asking[address] = self.asking.get(address) or super().shared(address)
        asks.tend()
        with patch.object(Lock, "take", return_value=False):
            store = super().shared(address)
        store._duty._lock.take = lambda: False
        assert store._duty.look() == "reads what another process of this host has asked for"
        collect = store.board.collect
        store.board.collect = lambda topic: (asks.tend(), collect(topic))[1]
        return store

    def test_what_is_quiet_and_what_is_put_up_is_not_hinted(self, hints, other):
        """What was read from the server lies in the folder, whyever it was read; a row wakes nobody."""
        other.board.publish("topic", "w", 1, b"")
        assert not hints.hint(0.2)
