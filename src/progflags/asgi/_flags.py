"""FlagsMiddleware for ASGI: who is asking, and what became of the request."""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from time import perf_counter
from typing import Any, Final

from progflags._anonymous import AnonymousId
from progflags._connect import Flags
from progflags._identity import Asking, ask_with, head, is_async, sending
from progflags._process import look
from progflags._trouble import swallow
from progflags.asgi._lag import LoopLag
from progflags.context import NOBODY, Scope, as_context, enter
from progflags.events import Served
from progflags.flags import Client, given

__all__ = ["FlagsMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_EVERY: Final = 0.05
"""Seconds between two looks of `_Watch`."""

#: The last of the body, unless it says `more_body`.
_LAST: Final = ("http.response.body", "http.response.zerocopysend", "http.response.pathsend")


class FlagsMiddleware:
    """
    Bind each request's context, and count the whole request for every flag evaluated during it.

    `context` is called with the ASGI scope and returns what every evaluation takes (a Context, a targeting key, a mapping,
    None); it is called when a flag is first asked for, or not at all. Declared `async def` it is awaited before each request,
    because an evaluation cannot wait. What it raises is counted and logged once, and the request goes on as nobody.

    A request counts once its response is complete: `failed` is a status of 500 or more, or an exception before that;
    seconds run from the request's arrival here to the last byte handed to the server, so background tasks that run
    after it don't count. A client that went away before is neither success nor failure and is not counted. Websockets
    get a context but are not counted; lifespan passes untouched. Nothing is buffered. How late the event loop is becomes the
    gauge `event_loop_lag` (seconds, the worst since the last look), for gates such as `max = 0.1`.

    `anonymous` (a secret, or an AnonymousId) gives visitors without a targeting key a sticky one, in a signed cookie: in the
    answers to requests that needed it, which also say `Vary: Cookie`. With it the head of a response waits for its first piece.

        app.add_middleware(FlagsMiddleware, flags=flags, context=who, anonymous=SECRET)
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
        self._asking = Asking.of(context, anonymous, _cookies)
        self._awaited = context if context is not None and is_async(context) else None
        self._watch = _Watch()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        asking, client = self._asking, self._flags if self._flags is not None else given(None)
        here = _Request(None if asking.known else NOBODY, asking, scope)
        here.client, here.pass_on, here.ask_server = client, send, receive
        if here.began >= self._watch.due:
            self._watch.look(client, here.began)
        if self._awaited is not None:
            who = await self._who(scope)
            ask_with(here, lambda _: who, asking.where)
        enter(here)
        try:
            if kind == "websocket":
                await self.app(scope, receive, _shaking_hands(here, send) if asking.known else send)
                return
            head = None if asking.anonymous is None else _Head(here, send)
            if head is not None:
                here.pass_on = head.send
            try:
                await self.app(scope, here.receive, here.send)
            except Exception:
                here.tell(failed=True)
                raise
            if not here.told:  # an application that returns without answering made the server answer 500; a cancelled one is not judged
                here.tell(failed=True)
            if head is not None:
                await head.let_go()
        finally:
            here.pass_on = send  # not `head` any more, which holds this
            here.end()

    async def _who(self, scope: MutableMapping[str, Any]) -> Any:
        try:
            return as_context(await self._awaited(scope))  # type: ignore[misc] # asked only where there is one
        except Exception as error:
            swallow(self._asking.where, error)
            return None


class _Watch:
    """
    What need not be looked at for every request: whether this is still the same process, and what the loop's lateness counts for.

    Some 20 times a second do. Where somebody counts at all, the loop's lateness is a metric, too: looked at where a loop is new or
    another ruleset serves (a rollout that begins makes it another one).
    """

    __slots__ = ("_lag", "_loop", "_serving", "due")

    def __init__(self) -> None:
        self._lag: LoopLag | None = None
        self._loop: object = None
        self._serving: object = None
        self.due = 0.0

    def look(self, client: Client | None, now: float) -> None:
        self.due = now + _EVERY
        look()
        loop = _get_running_loop()  # None: not asyncio's (trio)
        if client is not None and (loop is not self._loop or client.serving is not self._serving):
            self._loop, self._serving = loop, client.serving
            self._meet(client)

    def _meet(self, client: Client) -> None:
        if self._lag is None and isinstance(client, Flags) and client.delivers:
            self._lag = LoopLag()
            client.metrics.source("event_loop_lag", self._lag.read)
        if self._lag is not None:
            self._lag.meet()


def _cookies(scope: MutableMapping[str, Any]) -> tuple[str, bool]:
    if isinstance(scope["headers"], Iterator):  # any iterable may be given, and looking would use this one up
        scope["headers"] = list(scope["headers"])
    # Over HTTP/2 a browser may send the pairs as several headers.
    cookies = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    return cookies, scope.get("scheme") in ("https", "wss")


class _Head:
    """Holds a response's head back until its first piece (a server sends it no earlier): until then the id may be needed."""

    __slots__ = ("_held", "_here", "_send")

    def __init__(self, here: Scope, send: Send) -> None:
        self._here = here
        self._send = send
        self._held: Message | None = None

    async def send(self, message: Message) -> None:
        await self.let_go()
        if message["type"] == "http.response.start":
            self._held = message
        else:
            await self._send(message)

    async def let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await self._send(_with_head(held, self._here))


def _with_head(message: Message, here: Scope) -> Message:
    found = sending(here)
    if found is None:
        return message
    told = head(((name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers") or ()), found)
    return {**message, "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told]}


def _shaking_hands(here: Scope, send: Send) -> Send:
    """`send` of a websocket. The handshake is its only head and no cache's matter, so a visitor gets the id with it, needed or not."""

    async def shaking(message: Message) -> None:
        if message["type"] == "websocket.accept":
            _ = here.context
            found = sending(here)
            if found is not None and found.cookie is not None:
                message = {**message, "headers": [*(message.get("headers") or ()), (b"set-cookie", found.cookie.encode("latin-1"))]}
        elif message["type"] == "websocket.http.response.start":  # refused, with a page of its own
            message = _with_head(message, here)
        await send(message)

    return shaking


class _Request(Scope):
    """One request on its way through: its status and its end. Changes nothing of it."""

    client: Client | None  # that it is counted with
    pass_on: Send  # the server's
    ask_server: Receive  # likewise
    told = False
    _status = 0
    _trailers = False
    _gone = False

    async def receive(self) -> Message:
        message = await self.ask_server()
        if message["type"] == "http.disconnect":
            self._gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """The server's, for the application. While nothing was met there is nothing to tell of, and it is handed on as it is."""
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            if message.get("trailers"):
                self._trailers = True
            complete = False
        else:
            complete = not (message.get("more_body") or message.get("more_trailers")) and self._completes(kind)
        if self.exposures:
            return self._sending(message, complete=complete)
        if complete:
            self.told = True
        return self.pass_on(message)

    def _completes(self, kind: str) -> bool:
        """Whether a message without more to follow is the answer's last; said to who closes before the last of the body goes."""
        if kind in _LAST:
            if self._closing:
                self.closing()
            return not self._trailers or kind == "http.response.pathsend"
        return kind == "http.response.trailers"

    async def _sending(self, message: Message, *, complete: bool) -> None:
        try:
            await self.pass_on(message)
        except OSError:  # how a server says, since ASGI 2.4, that the client has left
            self._gone = True
            raise
        if complete:
            self.tell(failed=self._status >= 500)

    def tell(self, *, failed: bool) -> None:
        """Tell once, and only of requests that met an arm and whose client was still there."""
        if self.told:
            return
        self.told = True
        if self.exposures and not (self.client is None or self._gone or self.silent):
            self.client.bus.tell(Served.of(self, perf_counter() - self.began, failed=failed))
