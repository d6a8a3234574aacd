"""Redis that is several servers: Sentinel's primary and a cluster's, and what becomes of them when a replica takes over."""

from __future__ import annotations

import contextlib
import signal
from uuid import uuid4

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.store import Commit, open_store
from progflags.testing import StoreContract
from support import servers
from support.own import OwnRedis, OwnSentinel
from support.patience import until

redis = pytest.importorskip("redis")

STAGES = [{"percent": 50, "bake": "1h"}]
FLAGS = {"flags": {"plain": {"percent": 100}, "other": {"percent": 100}, "climbing": {"rollout": {"stages": STAGES}}}}
NEVER = 3600.0
SLOTS = 16_384


@pytest.fixture
def started():
    """Starts servers that a test makes, and ends them."""
    with contextlib.ExitStack() as running:

        def start(server):
            server.start()
            running.callback(killed, server)  # a primary that is asked to end waits for its replicas
            return server

        yield start


def ask(server, *command, **options):
    with redis.Redis(port=server.port, **options) as client:
        return client.execute_command(*command)


@pytest.fixture
def watched(started, tmp_path):
    """Makes a primary, its replica and a Sentinel that knows both; `password` is theirs."""

    def make(password=""):
        secret = ("--requirepass", password, "--masterauth", password) if password else ()
        primary = started(OwnRedis(tmp_path / "primary", *secret, "--repl-diskless-sync-delay", "0"))
        replica = started(OwnRedis(tmp_path / "replica", *secret, "--replicaof", "127.0.0.1", str(primary.port)))
        given = {"password": password} if password else {}
        until(lambda: ask(primary, "INFO", "replication", **given).get("slave0", {}).get("state") == "online")
        lines = [f"auth-pass mymaster {password}"] if password else []
        sentinel = started(OwnSentinel(tmp_path / "sentinel", primary.port, *lines))
        until(lambda: ask(sentinel, "INFO", "sentinel")["master0"]["slaves"] == 1)
        return primary, replica, sentinel

    return make


def killed(server):
    server.ending = signal.SIGKILL
    server.stop()


def asked_to_fail_over(sentinel):
    """It refuses until it knows enough of the replica."""
    with contextlib.suppress(redis.ResponseError):
        return ask(sentinel, "SENTINEL", "FAILOVER", "mymaster")


def goes_on(store, commit):
    """What a commit returns once there is a primary again."""
    found = []

    def again():
        with contextlib.suppress(StoreError):
            found.append(store.commit(commit))
        return found

    until(again)
    return found[0]


def test_sentinel_says_who_is_the_primary_by_now(watched):
    """A kill before the failover and one after it are everywhere; the first of the Sentinels named is not there at all."""
    primary, replica, sentinel = watched("s3cret")
    address = f"redis+sentinel://:s3cret@127.0.0.1:{servers.free_port()},127.0.0.1:{sentinel.port}/mymaster/0?namespace=fleet"

    with pf.connect(FLAGS, store=address, store_poll=NEVER) as here, pf.connect(FLAGS, store=address, poll=None, control=False) as there:
        there.kill("plain")
        until(lambda: not here.is_enabled("plain", "u"))
        assert until(lambda: ask(primary, "WAIT", 1, 1000, password="s3cret") == 1)
        store = open_store(address)
        before = store.revision()
        killed(primary)
        assert goes_on(store, Commit({"after": {}}, id="after")) > before
        assert ask(replica, "ROLE", password="s3cret")[0] == b"master"
        assert [entry.body["act"] for entry in store.history("flag/plain")] == ["kill"]
        until(lambda: (there.refresh(), there.status().state == "READY")[1])
        there.kill("other")
        until(lambda: not here.is_enabled("other", "u"))
        assert not there.is_enabled("plain", "u")
        assert "s3cret" not in store.url
        store.close()


def test_an_old_primary_that_came_back_as_a_replica_is_left(watched):
    """It answers, and refuses to write: the next connection is to whoever Sentinel names."""
    primary, _, sentinel = watched()
    store = open_store(f"redis+sentinel://127.0.0.1:{sentinel.port}/mymaster")
    store.commit(Commit({"a": {"n": 1}}))
    assert until(lambda: ask(primary, "WAIT", 1, 1000) == 1)
    until(lambda: asked_to_fail_over(sentinel))
    until(lambda: ask(primary, "ROLE")[0] == b"slave")
    assert goes_on(store, Commit({"a": {"n": 2}}, {"a": 1}, id="second")) == 2
    assert store.read()[1]["a"].body == {"n": 2}
    store.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of one primary."""
    node = OwnRedis(tmp_path_factory.mktemp("cluster") / "node", *in_a_cluster())
    node.start()
    ask(node, "CLUSTER", "ADDSLOTS", *range(SLOTS))
    until(lambda: b"cluster_state:ok" in ask(node, "CLUSTER", "INFO"))
    yield node
    node.stop()


def in_a_cluster():
    return "--cluster-enabled", "yes", "--cluster-port", str(servers.free_port()), "--repl-diskless-sync-delay", "0"


class TestRedisClusterStore(StoreContract):
    """The same promises as on one server: all of a namespace lies in one slot."""

    examples = 5

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster):
        self.cluster = cluster

    def make_store(self):
        return open_store(f"redis+cluster://127.0.0.1:{self.cluster.port}?namespace={uuid4().hex}")

    def join(self, store):
        return open_store(f"redis+cluster://127.0.0.1:{self.cluster.port}?namespace={store._namespace}")


def test_a_cluster_whose_replica_took_over_goes_on(cluster, started, tmp_path):
    """And is heard: who listens has its channel on the node that has the slot by now."""
    replica = started(OwnRedis(tmp_path / "replica", *in_a_cluster()))
    bus = int(cluster.command[cluster.command.index("--cluster-port") + 1])
    ask(replica, "CLUSTER", "MEET", "127.0.0.1", cluster.port, bus)
    until(lambda: ask(cluster, "CLUSTER", "MYID").decode() in str(ask(replica, "CLUSTER", "NODES")))
    until(lambda: ask(replica, "CLUSTER", "MYID").decode() in str(ask(cluster, "CLUSTER", "NODES")))
    ask(replica, "CLUSTER", "REPLICATE", ask(cluster, "CLUSTER", "MYID"))
    until(lambda: ask(replica, "INFO", "replication").get("master_link_status") == "up")
    until(lambda: len(ask(cluster, "CLUSTER", "SLOTS")[0]) == 4)
    address = f"redis+cluster://127.0.0.1:{servers.free_port()},127.0.0.1:{cluster.port}"

    with pf.connect(FLAGS, store=address, store_poll=NEVER) as here, pf.connect(FLAGS, store=address, poll=None, control=False) as there:
        there.kill("plain")
        until(lambda: not here.is_enabled("plain", "u"))
        assert until(lambda: ask(cluster, "WAIT", 1, 1000) == 1)
        killed(cluster)
        ask(replica, "CLUSTER", "FAILOVER", "TAKEOVER")
        until(lambda: ask(replica, "ROLE")[0] == b"master")
        until(lambda: (there.refresh(), there.status().state == "READY")[1])
        there.kill("other")
        until(lambda: not here.is_enabled("other", "u"))
        assert not there.is_enabled("plain", "u")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("redis+sentinel://127.0.0.1:1", "does not say what its Sentinels watch"),
        ("redis+sentinel://127.0.0.1:1/mymaster/x", "invalid literal"),
        ("redis+sentinel://127.0.0.1:1,/mymaster", "a host has no name"),
        ("redis+cluster://127.0.0.1:1/3", "no databases but 0"),
        ("redis+cluster://127.0.0.1:port", "Port could not be cast"),
    ],
)
def test_an_address_that_is_none_is_refused(address, why):
    with pytest.raises(ValueError, match=why):
        open_store(address)


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_out_of_reach_is_an_error_with_a_remedy(kind):
    with pytest.raises(StoreError, match=rf"redis\+{kind}://127.0.0.1:1.*see that the server is up") as caught:
        open_store(f"redis+{kind}://ann:s3cret@127.0.0.1:1/{'mymaster' if kind == 'sentinel' else ''}?sentinel_password=s3cret")
    assert "s3cret" not in str(caught.value)


def test_a_user_of_its_own_keys_and_channel(started, tmp_path):
    """As the documentation has it: kills, rollouts and hints work for who may do no more."""
    server = started(OwnRedis(tmp_path / "server"))
    rules = "on >s3cret ~{progflags}:* &{progflags}:* -@all +@read +@write +@scripting +@pubsub +@connection +time -@dangerous"
    ask(server, "ACL", "SETUSER", "app", *rules.split())
    with redis.Redis(port=server.port, username="app", password="s3cret") as client:
        for command in (("SET", "others", "x"), ("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
    address = f"redis://app:s3cret@127.0.0.1:{server.port}/0"
    with pf.connect(FLAGS, store=address, store_poll=NEVER) as here, pf.connect(FLAGS, store=address, poll=None, control=False) as there:
        there.kill("plain")
        until(lambda: not here.is_enabled("plain", "u"))
        there.rollouts.start("climbing")
        until(lambda: any(here.is_enabled("climbing", f"u{n}") for n in range(100)))
        assert "looks at the store every 3600 s" in here.status().threads["store"]
