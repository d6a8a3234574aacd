"""
A candidate on another host: one fixed origin, and nothing that the request could bend.

The request is rebuilt from its parsed parts. The origin comes from the configuration alone, so neither Host, nor an
absolute path, nor a forwarded header, nor a redirect can send it elsewhere; the environment's proxies are not asked. Only
named headers go along, never credentials unless named, and no cookie that the remote set for somebody before. Link-local
addresses, where clouds keep their secrets, are refused.

Each exchange is a task of its own in a loop of ours. A shadow that is given up cancels it and leaves it to end there: what
httpx has open is closed by the task that opened it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote, urlsplit

from progflags._printed import quoted
from progflags.darklaunch.compare import Answer
from progflags.darklaunch.guards import HEADER, header
from progflags.darklaunch.lanes import Metered
from progflags.darklaunch.shadow import active, remaining
from progflags.errors import missing

__all__ = ["Remote"]

#: Request headers that describe what is asked for, and nobody's identity.
HARMLESS: Final = frozenset(
    {"accept", "accept-language", "content-type", "user-agent", "cache-control", "if-none-match", "if-modified-since"}
)
_NEVER: Final = frozenset(
    {
        *("host", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "content-length", "expect", "http2-settings", "forwarded"),
    }
)
_OWN: Final = {"accept-encoding": "identity"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_PATH: Final = "/!$&'()*+,;=:@~-._%"
_LARGEST: Final = 1 << 20
_PIECES: Final = 8_192  # a body of MAX_BODY bytes in pieces of eight
_AT_ONCE: Final = 32


class Remote:
    """
    Asks `origin`. Its client is made at first use, in the loop that uses it, and keeps a few connections. `charge` is told the
    processor time of each exchange.

    Raises:
        MissingExtraError: httpx is not installed. ValueError: no origin, or a header that can't be forwarded.
    """

    def __init__(self, origin: str, forward: Iterable[str] = (), charge: Callable[[float], object] = float) -> None:
        self._charge = charge
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(f'{quoted(origin)} is not an origin: write "https://host", perhaps with a port and a path')
        _refuse_link_local(parts.hostname)
        _httpx()  # a quarter of a second to import: now, and not when the first request is shadowed
        self._origin = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._forward = HARMLESS | {name.lower() for name in forward}
        if self._forward & _NEVER:
            raise ValueError(f"{', '.join(sorted(self._forward & _NEVER))} belong to one connection and can't be forwarded")
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()

    async def ask(self, method: str, path: bytes, query: bytes, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """The remote's answer. Whatever fails on the way is raised, and is the candidate's failure."""
        work = self._exchange(method, self.url(path, query), self.headers(headers), body)
        exchange = asyncio.ensure_future(Metered(work, self._charge))
        exchange.add_done_callback(_heard)
        try:
            return await asyncio.shield(exchange)
        finally:
            exchange.cancel()  # it is done, or given up

    async def _exchange(self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        client = self._client()
        request = client.build_request(method, url, headers=headers, content=body or None, timeout=remaining() or 5.0)
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            parts = await _read(response.aiter_raw())
        finally:
            await response.aclose()
        pairs = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers.raw)
        return Answer(response.status_code, pairs, b"".join(parts))

    def url(self, path: bytes, query: bytes) -> str:
        """The target: our origin, and the request's path and query encoded anew, so that no character has a second meaning."""
        text = path.split(b"?", 1)[0].decode("latin-1")
        rest = _flat(quote(text.encode("latin-1"), safe=_PATH))
        asked = quote(query, safe=_PATH + "?[]")
        return f"{self._origin}/{rest.lstrip('/')}" + (f"?{asked}" if asked else "")

    def headers(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
        """What goes along, byte for byte: named, harmless, free of control characters; and the marker."""
        kept = [
            (name, value)
            for name, value in pairs
            if name.lower() in self._forward and name.lower() != HEADER and not _CONTROL.search(name) and not _CONTROL.search(value)
        ]
        baggage = [("baggage", "progflags.shadow=1")] if active() else []
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*kept, *header().items(), *baggage)]

    def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None or client.is_closed:
            httpx = _httpx()
            limits = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=15.0)
            transport = httpx.AsyncHTTPTransport(limits=limits, retries=0)
            # A client remembers cookies and sends them with the next request, which is somebody else's.
            none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
            client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, headers=_OWN, cookies=none)
            if len(self._clients) >= 8:  # loops that are gone
                self._clients.clear()
            self._clients[loop] = client
        return client

    async def aclose(self) -> None:
        """Close every client, each in the loop it belongs to; one that hangs is left after two seconds."""
        clients, self._clients = dict(self._clients), weakref.WeakKeyDictionary()
        here = asyncio.get_running_loop()
        for loop, client in clients.items():
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.aclose(), loop)), 2.0)


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise missing(error, "httpx", "httpx", "fastapi") from error
    return httpx


def _heard(exchange: asyncio.Future[Answer]) -> None:
    """Whoever gave it up will not ask how it ended."""
    if not exchange.cancelled():
        exchange.exception()


async def _read(pieces: AsyncIterator[bytes]) -> list[bytes]:
    """All of a body, within limits: of bytes, of pieces, and of how long the loop is held for them on end."""
    parts: list[bytes] = []
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > _LARGEST:
            raise OverflowError("the remote candidate's response is too large")
        parts.append(piece)
        if len(parts) > _PIECES:
            raise OverflowError(f"the remote candidate's response comes in more than {_PIECES:,} pieces")
        if len(parts) % _AT_ONCE == 0:  # pieces that are there already come without a pause
            await asyncio.sleep(0)
    return parts


def _flat(path: str) -> str:
    """The path without `.` and `..`, however they are written: somebody on the way would resolve them, above our origin's own path."""
    kept: list[str] = []
    plain = ""
    for step in path.split("/"):
        plain = step.lower().replace("%2e", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(step)
    return "/".join(kept) + ("/" if plain in {".", ".."} else "")


def _refuse_link_local(host: str) -> None:
    address = _address(host.rstrip("."))
    if address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified):
        raise ValueError(f"{host} is no place for a candidate: link-local addresses hold a cloud's credentials")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a host is written as: also in one number, in hexadecimal, or as an IPv4 address within IPv6. None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address
