"""FlagsMiddleware for ASGI: who is asking, and what became of the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from inspect import isawaitable
from time import perf_counter
from typing import Any, Final

from progflags._anonymous import AnonymousId
from progflags._connect import Flags
from progflags._trouble import swallow
from progflags.asgi._lag import LoopLag
from progflags.context import Scope, as_context, begin
from progflags.events import Served
from progflags.flags import Client, given

__all__ = ["FlagsMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: A piece of the body, the last one unless it says `more_body`.
_BODY: Final = ("http.response.body", "http.response.zerocopysend")


class FlagsMiddleware:
    """
    Bind each request's context, and count the whole request for every flag evaluated during it.

    `context` is called with the ASGI scope and may be async; it returns what every evaluation takes (a Context, a
    targeting key, a mapping, None). What it raises is counted and logged once, and the request goes on as nobody.

    A request counts once its response is complete: `failed` is a status of 500 or more, or an exception before that;
    seconds run from the request's arrival here to the last byte handed to the server, so background tasks that run
    after it don't count. A client that went away before is neither success nor failure and is not counted. Websockets
    get a context but are not counted; lifespan passes untouched. Nothing is buffered. How late the event loop is becomes the
    gauge `event_loop_lag` (seconds, the worst since the last look), for gates such as `max = 0.1`.

    `anonymous` (a secret, or an AnonymousId) gives visitors without a targeting key a sticky one, in a signed cookie.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        flags: Client | None = None,
        context: Callable[[Any], Any] | None = None,
        anonymous: AnonymousId | str | bytes | None = None,
    ) -> None:
        self.app = app
        self._flags = flags
        self._context = context
        self._anonymous = AnonymousId.of(anonymous)
        self._lag: LoopLag | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        who = await self._who(scope)
        if self._anonymous is not None:
            https = scope.get("scheme") in ("https", "wss")
            who, cookie = self._anonymous.identify(who, _cookies(scope), https=https)
            send = send if cookie is None else _with_cookie(send, cookie)
        here = begin(who)
        client = here.extras["client"] = given(self._flags)  # whom a framework's dependency asks
        self._watch_loop(client)
        try:
            if kind == "http":
                request = _Request(here, client, receive, send)
                await request.run(self.app, scope)
            else:
                await self.app(scope, receive, send)
        finally:
            here.end()

    def _watch_loop(self, client: Client | None) -> None:
        """Where somebody counts at all, the loop's lateness is a metric, too."""
        if self._lag is None and isinstance(client, Flags) and client.delivers:
            self._lag = LoopLag()
            client.metrics.source("event_loop_lag", self._lag.read)
        if self._lag is not None:
            self._lag.meet()

    async def _who(self, scope: MutableMapping[str, Any]) -> Any:
        if self._context is None:
            return None
        try:
            answer = self._context(scope)
            return as_context(await answer if isawaitable(answer) else answer)
        except Exception as error:
            swallow("FlagsMiddleware context", error)
            return None


def _cookies(scope: MutableMapping[str, Any]) -> str:
    # Over HTTP/2 a browser may send the pairs as several headers.
    return "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")


def _with_cookie(send: Send, cookie: str) -> Send:
    """`send`, which also hands the browser its cookie, whatever other cookies the application sets."""

    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            message = {**message, "headers": [*(message.get("headers") or ()), (b"set-cookie", cookie.encode("latin-1"))]}
        await send(message)

    return sending


class _Request:
    """One HTTP request on its way through: watches status and end, changes nothing."""

    __slots__ = ("_client", "_gone", "_here", "_receive", "_send", "_started", "_status", "_told", "_trailers")

    def __init__(self, here: Scope, client: Client | None, receive: Receive, send: Send) -> None:
        self._here = here
        self._client = client
        self._receive = receive
        self._send = send
        self._started = perf_counter()
        self._status = 0
        self._trailers = False
        self._gone = False
        self._told = False

    async def run(self, app: ASGIApp, scope: MutableMapping[str, Any]) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            self._tell(failed=True)
            raise
        # An application that returns without answering made the server answer 500; a cancelled one is not judged.
        self._tell(failed=True)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if (kind in _BODY and not message.get("more_body", False)) or kind == "http.response.pathsend":
            self._here.closing()
        try:
            await self._send(message)
        except OSError:  # how a server says, since ASGI 2.4, that the client has left
            self._gone = True
            raise
        if kind == "http.response.start":
            self._status = message["status"]
            self._trailers = message.get("trailers", False)
        elif kind in _BODY:
            if not message.get("more_body", False) and not self._trailers:
                self._tell(failed=self._status >= 500)
        elif (kind == "http.response.trailers" and not message.get("more_trailers", False)) or kind == "http.response.pathsend":
            self._tell(failed=self._status >= 500)

    def _tell(self, *, failed: bool) -> None:
        """Tell once, and only of requests that met an arm and whose client was still there."""
        if self._told:
            return
        self._told = True
        here = self._here
        if self._client is None or self._gone or not here.exposures or here.silent:
            return
        self._client.bus.tell(Served(tuple(here.exposures.values()), perf_counter() - self._started, failed, here.context._kb))
