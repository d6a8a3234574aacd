"""
DarkLaunchMiddleware for ASGI: the same request to another application, after the client has its answer.

The control gets the scope, receive and send it would get, wrapped in two functions that only look. Nothing is read on the
application's behalf, nothing is held back; what the application did not read, the shadow does not get. The shadow begins
when the last byte of the control's response has been handed to the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from operator import itemgetter
from time import perf_counter
from typing import Any, Final, Unpack

from progflags._route import LABEL
from progflags._trouble import swallow
from progflags.asgi._lifespan import Lifespan
from progflags.asgi._replay import MARK, ASGIApp, Message, Receive, Replay, Request, Scope, Send, marked, to_remote
from progflags.asgi._template import template
from progflags.darklaunch import Call, DoorOptions, Outcome, Shed
from progflags.darklaunch.compare import Answer
from progflags.darklaunch.http import Door, Tee
from progflags.darklaunch.lanes import Later
from progflags.darklaunch.shadow import current
from progflags.flags import Forced

__all__ = ["DarkLaunchMiddleware"]

_name = itemgetter(0)


class DarkLaunchMiddleware(Door[ASGIApp]):
    """
    Send the requests `flag` lets through to `candidate` as well, and compare the two responses.

    `candidate`: another ASGI application; `pf.force(flag, variant)`, this same application with a flag forced; or the origin
    of a remote one (`"https://host"`). The client always gets `app`'s response, untouched and undelayed.

    Only safe methods are shadowed unless `methods` says otherwise. Compared are the status, the headers that matter and the
    body by what it is: JSON part by part, text, or a digest. The options are DoorOptions and Options; `key` and `run_if` get
    the scope.

    Its experiment is the attribute `dark_launch`. Websockets pass; a lifespan passes, and its shutdown begins with a drain of
    two seconds at most. A candidate application's own lifespan begins after the application has started and holds nothing
    up: until it has started there are no shadows, and where it fails there are none.

        other = pf.force("new-search", "on")
        app = DarkLaunchMiddleware(app, flag="pricing-v2", candidate=other, flags=flags)
        print(app.dark_launch.verdict(max_mismatch=0.01))
    """

    def __init__(self, app: ASGIApp, *, flag: str, candidate: ASGIApp | Forced | str, **options: Unpack[DoorOptions]) -> None:
        super().__init__(app, flag, candidate, **options)
        self._life: Lifespan | None = None  # of a candidate application, where the server runs lifespans
        experiment = self.dark_launch
        if experiment.inline:
            experiment.lane = Later()
        else:
            # Connections, TLS and parsing are work of ours: none of it in the application's loop.
            aside = experiment.executor == "thread" or self._remote is not None
            experiment.lane = experiment.engine.background if aside else experiment.engine.tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._lifespan(scope, receive, send)
            else:
                await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        if type(headers) is not list and type(headers) is not tuple:  # any iterable may be given, and looking would use it up
            scope["headers"] = headers = list(headers)
        is_shadow = MARK in map(_name, headers)
        if is_shadow and not self._trusts and current() is None:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != MARK]
        # A candidate elsewhere may have this very middleware in front of it: its shadows of our shadows would never end.
        if is_shadow or scope["method"] not in self._methods:
            if current() is None:
                self.dark_launch.gate.not_sampled()
        elif self._passes((scope,), _NONE):
            await self._shadowed(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _shadowed(self, scope: Scope, receive: Receive, send: Send) -> None:
        experiment = self.dark_launch
        headers = dict(scope["headers"])
        if b"range" in headers or b"upgrade" in headers or b"text/event-stream" in headers.get(b"accept", b""):
            experiment.gate.not_sampled()
            await self.app(scope, receive, send)
            return
        if self._life is not None and not self._life.ready:
            experiment.turn_away(Shed.NOT_STARTED)
            await self.app(scope, receive, send)
            return
        request = Request(scope, headers, self._max_body)
        call = experiment.admit(lambda: self._runner(request), (), {}, lambda: self._again(request))
        if call is None:
            began = perf_counter()
            await self.app(scope, receive, send)
            experiment.timed(perf_counter() - began)
            return
        tee = _Tee(call, request, scope, receive, send)
        try:
            await self.app(scope, tee.receive, tee.send)
        except BaseException as error:
            tee.broke(error, answered=tee.start is not None)
            raise
        finally:
            if not tee.handed:
                tee.ended(None)
            if experiment.inline:
                await call.finish()

    # The shadow's side.

    def _runner(self, request: Request) -> Callable[[], Awaitable[Answer]]:
        """The candidate's answer to this request, as a coroutine function."""
        if self._remote is not None:
            return to_remote(self._remote, request)
        return lambda: self._run(request)

    async def _again(self, request: Request) -> Answer:
        """The control once more, to see what differs anyway."""
        return await Replay(request, self._max_body).run(self.app, marked(request))

    async def _run(self, request: Request) -> Answer:
        scope, replay = marked(request), Replay(request, self._max_body)
        if self._forced is not None:
            with self._forcing(self._forced):
                return await replay.run(self.app, scope)
        if self._life is not None:
            scope["state"] = dict(self._life.state)
        assert self._other is not None
        return await replay.run(self._other, scope)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's lifespan, and after each half of it the candidate's: neither start nor end of the one waits for the other."""
        life = self._life = None if self._other is None else Lifespan(self._other, scope, self.dark_launch.flag)

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._end_shadows()
            return message

        async def sending(message: Message) -> None:
            kind = message["type"]
            if life is not None and kind.startswith("lifespan.shutdown."):
                await life.stop()
            await send(message)
            if life is not None and kind == "lifespan.startup.complete":
                life.begin()

        try:
            await self.app(scope, receiving, sending)
        except Exception:  # an application without one says so like this
            if life is not None:
                life.begin()
            raise

    async def _end_shadows(self) -> None:
        experiment = self.dark_launch
        try:
            await experiment.adrain(2.0)
            experiment.close(0.0)
            if self._remote is not None:
                await self._remote.aclose()
        except Exception as error:
            swallow(f"dark launch {experiment.flag}", error)


_NONE: Final[dict[str, Any]] = {}
_HARMLESS: Final = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


class _Tee(Tee):
    """One request on its way through the control. Only where we must see something arrive is there a coroutine of ours."""

    start: Message | None = None

    def __init__(self, call: Call, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        self.call = call
        self.request = request
        self.most = request.most
        self.chunks = []
        self._scope = scope
        self._receive = receive
        self._send = send
        self.began = perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message.get("type") == "http.request":
            request = self.request
            request.keep(message.get("body") or b"")
            request.complete = not message.get("more_body", False)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        headers = message.get("headers") if type(message) is dict else None
        if headers is not None and type(headers) is not list and isinstance(headers, Iterator):
            # Any iterable may be given, and looking would use this one up. Should it fail, it fails as it would in the server.
            message = {**message, "headers": list(headers)}
        try:
            kind = message.get("type")
            if kind == "http.response.body":
                if not message.get("more_body", False):
                    return self._last(message)
                self._body(message)
            elif kind == "http.response.start":
                self._begins(message)
            elif kind not in _HARMLESS:
                # A path, a descriptor, trailers: sent, but not through here.
                self.reason = Outcome.INCOMPLETE
        except Exception as error:  # what is no ASGI message is the server's to refuse
            self._lost(error)
        return self._send(message)

    def _begins(self, message: Message) -> None:
        self.start = message
        for name, value in message.get("headers", ()):
            if b"event-stream" in value and name.lower() == b"content-type":
                self.reason = Shed.RESPONSE_BODY

    def _body(self, message: Message) -> None:
        body = message.get("body")
        if body and not self.handed:
            self.keep(bytes(body))

    async def _last(self, message: Message) -> None:
        """The response's end: once it has been handed to the server, the shadow may begin."""
        await self._send(message)
        if self.handed:
            return
        heard = route = None
        try:
            self._body(message)
            start = self.start
            if start is not None:
                heard = start["status"], tuple(start.get("headers", ())), self.chunks
                scope = self._scope
                route = template(scope) if "route" in scope or LABEL in scope else None
        except Exception as error:
            self._lost(error)
        self.ended(heard, route)

    def _lost(self, error: Exception) -> None:
        self.reason = Outcome.INCOMPLETE
        swallow(f"dark launch {self.call.experiment.flag}", error)
