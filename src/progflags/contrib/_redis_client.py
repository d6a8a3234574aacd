"""
From an address to a client: of one server, of whichever server Sentinel calls the primary, or of a cluster.

Sentinel and clusters are redis-py's own; the addresses are those that other libraries write for them. Whatever it is talks over
connections that keep to our deadlines, and tries nothing again by itself: the store knows what may be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from redis.backoff import NoBackoff
from redis.client import Redis
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import ConnectionPool, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from progflags.contrib._redis_connection import Hasty, HastySSL, Led, LedSSL

__all__ = ["client_of"]

_EACH: Final = 4  # Sentinels that may be silent before the time is up: the next one is asked


def client_of(address: str, timeout: float) -> Any:
    """
    A client for `redis://host:6379/0`, `redis+sentinel://host:26379,host:26379/service/0` or `redis+cluster://host:6379,host:6379`, each
    with TLS where it begins with `rediss`. A cluster is asked for its nodes here; the others connect when they are first used.

    Raises:
        ValueError: no such address.
    """
    place = _Place.of(address)
    return _KINDS[place.kind](place, timeout)


@dataclass(frozen=True, slots=True)
class _Place:
    """An address, taken apart. `options` are redis-py's own, user and password among them."""

    address: str
    kind: str
    tls: bool
    hosts: tuple[str, ...]
    path: str
    options: dict[str, Any]

    @classmethod
    def of(cls, address: str) -> _Place:
        parts = urlsplit(address)
        scheme, _, kind = parts.scheme.partition("+")
        who, at, hosts = parts.netloc.rpartition("@")
        one = f"redis://{who}{at}{hosts.split(',')[0]}?{parts.query}"
        options = {name: value for name, value in parse_url(one).items() if name not in {"host", "port"}}
        return cls(address, kind, scheme == "rediss", tuple(hosts.split(",")), unquote(parts.path.strip("/")), options)

    def addresses(self, port: int) -> list[tuple[str, int]]:
        """Each host with its port."""
        found = [urlsplit(f"//{host}") for host in self.hosts]
        if not all(one.hostname for one in found):
            raise ValueError("a host has no name")
        return [(str(one.hostname), one.port or port) for one in found]


def _single(place: _Place, timeout: float) -> Any:
    return Redis.from_url(place.address, connection_class=HastySSL if place.tls else Hasty, **_patience(timeout))


def _watched(place: _Place, timeout: float) -> Any:
    service, _, db = place.path.partition("/")
    if not service:
        raise ValueError("it does not say what its Sentinels watch: write redis+sentinel://host:26379/mymaster")
    own = {name: place.options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    kind = HastySSL if place.tls else Hasty
    pools = [
        ConnectionPool(connection_class=kind, host=host, port=port, **_patience(timeout / _EACH), **own)
        for host, port in place.addresses(26379)
    ]
    sentinels = cast("Any", _Sentinels)([])
    sentinels.sentinels = [Redis(connection_pool=pool) for pool in pools]  # given addresses, it would make connections of its own kind
    options = {**_patience(timeout), "db": int(db or 0), **place.options}
    return sentinels.master_for(service, connection_class=LedSSL if place.tls else Led, **options)


class _Sentinels(Sentinel):
    """Asked when a connection is opened, and hung up on: a fleet would hold a connection to each of them for nothing."""

    def discover_master(self, service_name: Any) -> Any:
        asking: Any = super()
        try:
            return asking.discover_master(service_name)
        finally:
            for sentinel in tuple(self.sentinels):
                sentinel.connection_pool.disconnect(inuse_connections=False)


def _cluster(place: _Place, timeout: float) -> Any:
    if place.path not in {"", "0"}:
        raise ValueError("a cluster has no databases but 0")
    (host, port), *others = place.addresses(6379)
    nodes = [ClusterNode(host, port) for host, port in others]
    # By an address redis-py takes connections of another class; its retries find out who has our slot by now.
    options = {name: value for name, value in _patience(timeout).items() if name != "retry"} | place.options
    first = f"redis://[{host}]:{port}" if ":" in host else f"redis://{host}:{port}"
    return RedisCluster.from_url(first, startup_nodes=nodes, connection_class=HastySSL if place.tls else Hasty, **options)


def _patience(timeout: float) -> dict[str, Any]:
    return {"retry": Retry(NoBackoff(), 0), "socket_timeout": timeout, "socket_connect_timeout": timeout}


_KINDS: Final[dict[str, Callable[[_Place, float], Any]]] = {"": _single, "sentinel": _watched, "cluster": _cluster}
