"""The guard of HTTP clients: requests with effects."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from progflags.darklaunch.guards._marker import header
from progflags.darklaunch.guards._places import checked, replace
from progflags.darklaunch.guards._switch import Guard, Switch
from progflags.darklaunch.shadow import Shadow

__all__ = ["http_safe_methods"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})  # CONNECT: the way through a proxy, of no effect itself
_http = Switch("http")
_hosts: ContextVar[frozenset[str]] = ContextVar("progflags.guard.hosts", default=frozenset())


def http_safe_methods(allow: Iterable[str] = ()) -> Guard:
    """
    Refuse requests with effects (POST, PUT, PATCH, DELETE …), except to the hosts in `allow`.

    Watched are httpx, requests and aiohttp, where they are installed, and http.client, through which urllib, urllib3 and what
    is built on them go; each hop of a redirect too. Through the first three, requests that go out carry the marker header.
    """
    _watch_http()
    return functools.partial(_http_safe_methods, frozenset(host.lower() for host in allow))


@contextmanager
def _http_safe_methods(hosts: frozenset[str], shadow: Shadow) -> Iterator[None]:
    _watch_http()
    token = _hosts.set(hosts)
    try:
        with _http(shadow):
            yield
    finally:
        _hosts.reset(token)


def _watch_http() -> None:
    for place in _CLIENTS:
        replace(place, "http", functools.partial(checked, check=_check_request), optional=True)
    replace("aiohttp.client_reqrep:ClientRequest.send", "http", functools.partial(checked, check=_check_hop), optional=True)
    replace("http.client:HTTPConnection.putrequest", "http", functools.partial(checked, check=_check_line))


_CLIENTS: Final = (
    "httpx:Client.send",
    "httpx:AsyncClient.send",
    "httpx:Client._send_single_request",  # each hop of a redirect, each request an Auth makes
    "httpx:AsyncClient._send_single_request",
    "requests.sessions:Session.send",
)


def _check_request(_: Any, request: Any, *__: Any, **___: Any) -> None:
    if _http.shadow() is not None:
        _check_method(request.method, getattr(request.url, "host", None) or _host(str(request.url)))
        request.headers.update(header())


def _check_hop(request: Any, *_: Any, **__: Any) -> None:
    _check_request(None, request)


def _check_line(connection: Any, method: str, url: str, *_: Any, **__: Any) -> None:
    if _http.shadow() is not None:  # through a proxy the host is in the URL, or behind a tunnel
        _check_method(method, _host(url) or getattr(connection, "_tunnel_host", None) or connection.host)


def _check_method(method: Any, host: str) -> None:
    shadow, verb_ = _http.shadow(), str(method).upper()
    if shadow is not None and verb_ not in _SAFE and host.lower() not in _hosts.get():
        raise shadow.block(f"HTTP {verb_}")


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""
