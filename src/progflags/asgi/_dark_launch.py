"""
DarkLaunchMiddleware for ASGI: the same request to another application, after the client has its answer.

The control gets the scope, receive and send it would get, wrapped in two functions that only look. Nothing is read on the
application's behalf, nothing is held back; what the application did not read, the shadow does not get. The shadow begins
when the last byte of the control's response has been handed to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from operator import itemgetter
from time import perf_counter
from typing import Any, Final, Unpack

from progflags._trouble import say, swallow
from progflags.darklaunch import Experiment, Options, Outcome, Shed
from progflags.darklaunch._call import Call
from progflags.darklaunch._exchange import MAX_BODY, METHODS, Answer, Reader, rooted
from progflags.darklaunch._lane import Later
from progflags.darklaunch._marker import HEADER, mark
from progflags.darklaunch._observation import Observation
from progflags.darklaunch._remote import Remote
from progflags.darklaunch.shadow import current
from progflags.flags import Forced

__all__ = ["DarkLaunchMiddleware"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_MARK: Final = HEADER.encode()
_name = itemgetter(0)
# What the control's server offers and a shadow must not use: it has no file descriptors to send, no client to push to.
_SHADOW_EXTENSIONS: Final = frozenset({"tls"})


class DarkLaunchMiddleware:
    """
    Send the requests `flag` lets through to `candidate` as well, and compare the two responses.

    `candidate`: another ASGI application; `pf.force(flag, variant)`, this same application with a flag forced; or the origin
    of a remote one (`"https://host"`). The client always gets `app`'s response, untouched and undelayed.

    Only `methods` are shadowed, by default those without effects. A request body beyond `max_body` bytes, or a response's,
    flows through and is not compared. Compared are the status, the headers of HEADERS and `headers`, and the body by what it
    is: JSON part by part, text, or a digest. `trust_marker`: leave the shadow marker on inbound requests (it is stripped
    otherwise: whoever may send it can switch off the writes of code that heeds it). `forward`: names of request headers
    (credentials among them) a remote candidate may get beside the harmless ones. All other options are Options.

    Its experiment is the attribute `dark_launch`. Websockets pass; a lifespan passes, ends with a drain of two seconds at
    most, and is also run for the candidate application, whose failure to start switches only the shadow off.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        flag: str,
        candidate: ASGIApp | Forced | str,
        methods: Iterable[str] = METHODS,
        max_body: int = MAX_BODY,
        headers: Iterable[str] = (),
        trust_marker: bool = False,
        forward: Iterable[str] = (),
        **options: Unpack[Options],
    ) -> None:
        options["rules"] = rooted(options.get("rules", ()))
        self.app = app
        self.dark_launch = Experiment(flag, **options)
        self.dark_launch.comparer.read = Reader(headers)
        self._candidate = _Candidate(self, candidate, forward)
        self._methods = frozenset(method.upper() for method in methods)
        self._max_body = max_body
        self._trusts = trust_marker
        self._passes = self.dark_launch.gate.passes
        engine = self.dark_launch.engine
        if self.dark_launch.inline:
            self.dark_launch.lane = Later()
        else:
            self.dark_launch.lane = engine.background if self.dark_launch.executor == "thread" else engine.tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                receive = self._candidate.lifespan(scope, receive)
            await self.app(scope, receive, send)
            return
        if not self._trusts and _MARK in map(_name, scope["headers"]) and current() is None:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != _MARK]
        if scope["method"] not in self._methods:
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
        request = _Request(scope, headers, self._max_body)
        call = experiment.admit(lambda: self._candidate.runner(request), (), {}, lambda: self._candidate.again(request))
        if call is None:
            began = perf_counter()
            await self.app(scope, receive, send)
            experiment.timed(perf_counter() - began)
            return
        tee = _Tee(call, request, scope, receive, send, self._max_body)
        try:
            await self.app(scope, tee.receive, tee.send)
        except BaseException as error:
            tee.failed(error)
            raise
        finally:
            tee.end()
            if experiment.inline:
                await call.finish()


_NONE: Final[dict[str, Any]] = {}


class _Request:
    """What of the request the candidate is to get: the scope as it came, and the body as far as the application read it."""

    __slots__ = ("_max", "chunks", "complete", "scope", "size", "too_large")

    def __init__(self, scope: Scope, headers: Mapping[bytes, bytes], most: int) -> None:
        # Copied now: routers and frameworks write into the scope they are given.
        self.scope = {**scope, "headers": list(scope["headers"])}
        if "state" in scope:
            self.scope["state"] = dict(scope["state"])
        if "extensions" in scope:
            self.scope["extensions"] = {name: value for name, value in (scope["extensions"] or {}).items() if name in _SHADOW_EXTENSIONS}
        self.chunks: list[bytes] = []
        self.size = 0
        self.too_large = False
        self._max = most
        #: Whether all of the body was read; one that is announced nowhere is empty.
        self.complete = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers

    def note(self, message: Message) -> None:
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.size += len(body)
            if self.size > self._max:
                self.too_large = True
                self.chunks.clear()
            else:
                self.chunks.append(body)
            self.complete = not message.get("more_body", False)


class _Tee:
    """One request on its way through the control: looks at both bodies, hands the shadow over at the response's end."""

    __slots__ = ("_began", "_call", "_chunks", "_handed", "_max", "_reason", "_receive", "_request", "_scope", "_send", "_size", "_start")

    def __init__(self, call: Call, request: _Request, scope: Scope, receive: Receive, send: Send, most: int) -> None:  # noqa: PLR0917
        self._call = call
        self._request = request
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max = most
        self._began = perf_counter()
        self._start: Message | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._reason: Shed | Outcome | None = None
        self._handed = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._request.note(message)
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        if self._handed:
            return
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body", b"")
            self._size += len(body)
            if self._size > self._max:
                self._chunks.clear()
                self._reason = Shed.RESPONSE_BODY
            elif body:
                self._chunks.append(bytes(body))
            if not message.get("more_body", False):
                self._hand_over()
        elif kind == "http.response.start":
            self._start = message
            if any(name.lower() == b"content-type" and b"event-stream" in value for name, value in message.get("headers", ())):
                self._reason = Shed.RESPONSE_BODY
        elif kind not in {"http.response.debug", "http.response.early_hint", "http.response.push"}:
            # A path, a descriptor, trailers: sent, but not through here.
            self._reason = Outcome.INCOMPLETE

    def _hand_over(self) -> None:
        self._handed = True
        call, start = self._call, self._start
        seconds = perf_counter() - self._began
        experiment = call.experiment
        try:
            experiment.timed(seconds)
            if self._request.too_large:
                experiment.drop(call, Shed.REQUEST_BODY)
            elif isinstance(self._reason, Shed):
                experiment.drop(call, self._reason)
            elif self._reason is not None or start is None or not self._request.complete:
                experiment.conclude(call, Outcome.INCOMPLETE)
            else:
                call.endpoint = _endpoint(self._scope)
                call.size = self._size + self._request.size
                call.control = Observation(_answer(start, self._chunks), None, seconds)
                experiment.dispatch(call)
        except Exception as error:
            swallow(f"dark launch {experiment.flag}", error)
            experiment.drop(call, Shed.HOOK)

    def failed(self, error: BaseException) -> None:
        """The application raised. Before its response was complete, that is its answer; afterwards it has given one."""
        if not self._handed:
            self._handed = True
            if self._start is None and self._request.complete and not self._request.too_large:
                self._call.raised(error, perf_counter() - self._began)
            else:
                self._call.experiment.conclude(self._call, Outcome.INCOMPLETE)

    def end(self) -> None:
        """The application has returned; one that never finished its response has given no answer."""
        if not self._handed:
            self._handed = True
            self._call.experiment.conclude(self._call, Outcome.INCOMPLETE)


def _endpoint(scope: Scope) -> str:
    """The route's template, where a router has left it; never the path, which holds data."""
    path = getattr(scope.get("route"), "path", "")
    return path if isinstance(path, str) else ""


def _answer(start: Message, chunks: list[bytes]) -> Answer:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start.get("headers", ()))
    return Answer(start["status"], headers, b"".join(chunks))


class _Candidate:
    """Who answers in the shadow, and the lifespan it may need."""

    def __init__(self, middleware: DarkLaunchMiddleware, candidate: ASGIApp | Forced | str, forward: Iterable[str]) -> None:
        self._middleware = middleware
        self._forced = candidate if isinstance(candidate, Forced) else None
        self._remote = Remote(candidate, forward) if isinstance(candidate, str) else None
        self._app: ASGIApp | None = None if isinstance(candidate, (Forced, str)) else candidate
        if self._app is not None and not callable(self._app):
            raise TypeError(f"the candidate is an ASGI application, an origin or pf.force(…), not {candidate!r}")
        self._state: dict[str, Any] | None = None
        self._broken = False
        self._life: _Lifespan | None = None

    def runner(self, request: _Request) -> Callable[[], Awaitable[Answer]]:
        """The candidate's answer to this request, as a coroutine function."""
        if self._broken:
            raise RuntimeError("the candidate's lifespan failed")
        if self._remote is not None:
            return _to_remote(self._remote, request)
        return lambda: self._run(request)

    async def again(self, request: _Request) -> Answer:
        """The control once more, to see what differs anyway."""
        return await _Replay(request, self._middleware._max_body).run(self._middleware.app, _marked(request))

    async def _run(self, request: _Request) -> Answer:
        scope = _marked(request)
        if self._forced is not None:
            client = self._middleware.dark_launch.gate.client
            if client is None:
                raise LookupError(f"no client to force {self._forced.flag!r} on")
            with self._forced.over(client):
                return await _Replay(request, self._middleware._max_body).run(self._middleware.app, scope)
        if self._state is not None:
            scope["state"] = dict(self._state)
        assert self._app is not None
        return await _Replay(request, self._middleware._max_body).run(self._app, scope)

    def lifespan(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` for the application's lifespan, beside which the candidate's runs."""
        life = self._life = _Lifespan(self._app, scope)
        experiment = self._middleware.dark_launch

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._broken = not await life.start()
                self._state = life.state
                if self._broken:
                    say(f"dark launch {experiment.flag}", "the candidate did not start: its shadow is off")
            elif message["type"] == "lifespan.shutdown":
                await experiment.adrain(2.0)
                experiment.close(0.0)
                await life.stop()
                if self._remote is not None:
                    await self._remote.aclose()
            return message

        return receiving


def _marked(request: _Request) -> dict[str, Any]:
    """A scope for one run of a shadow, with the marker among its headers."""
    scope = dict(request.scope)
    here = current()
    if here is not None:
        scope["headers"] = [*scope["headers"], (_MARK, mark(here).encode())]
    return scope


def _to_remote(remote: Remote, request: _Request) -> Callable[[], Awaitable[Answer]]:
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return lambda: remote.ask(scope["method"], path, scope.get("query_string", b""), pairs, b"".join(request.chunks))


class _Replay:
    """The request once more: the same chunks, then silence; and a place for the response that goes nowhere."""

    __slots__ = ("_chunks", "_max", "_parts", "_size", "_start", "complete")

    def __init__(self, request: _Request, most: int) -> None:
        self._chunks = list(request.chunks) or [b""]
        self._max = most
        self._start: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self.complete = False

    async def run(self, app: ASGIApp, scope: Scope) -> Answer:
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            # An error page was sent first, as servers' middleware does it: that is the answer. Otherwise the failure is.
            if not self.complete:
                raise
            swallow("dark launch, after the candidate's answer", error)
        if not self.complete or self._start is None:
            raise RuntimeError("the candidate returned without completing its response")
        return _answer(self._start, self._parts)

    async def receive(self) -> Message:
        if self._chunks:
            body = self._chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._chunks)}
        # Not a disconnect: Django would answer nothing, Starlette cut its stream. The client is simply quiet.
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    async def send(self, message: Message) -> None:
        if self.complete:
            return
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = {**message, "headers": list(message.get("headers", ()))}
        elif kind == "http.response.body" and self._start is not None:
            body = message.get("body", b"")
            self._size += len(body)
            if self._size > self._max:
                raise OverflowError("the candidate's response is larger than max_body")
            self._parts.append(bytes(body))
            self.complete = not message.get("more_body", False)


class _Lifespan:
    """The candidate application's own lifespan, in a task of its own. Applications without one are ready as they are."""

    def __init__(self, app: ASGIApp | None, scope: Scope) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._scope = {**scope, "state": self.state}
        self._inbox: asyncio.Queue[Message] | None = None
        self._outbox: asyncio.Queue[str] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> bool:
        if self._app is None:
            return True
        self._inbox, self._outbox = asyncio.Queue(), asyncio.Queue()
        self._task = asyncio.create_task(self._run(self._app), name="progflags-shadow-lifespan")
        await self._inbox.put({"type": "lifespan.startup"})
        return await self._said(30.0) != "lifespan.startup.failed"

    async def stop(self) -> None:
        if self._task is None or self._task.done() or self._inbox is None:
            return
        await self._inbox.put({"type": "lifespan.shutdown"})
        await self._said(2.0)
        self._task.cancel()

    async def _said(self, seconds: float) -> str:
        assert self._outbox is not None
        try:
            return await asyncio.wait_for(self._outbox.get(), seconds)
        except TimeoutError:
            return "lifespan.startup.failed"

    async def _run(self, app: ASGIApp) -> None:
        assert self._inbox is not None
        assert self._outbox is not None
        outbox = self._outbox

        async def send(message: Message) -> None:
            await outbox.put(message["type"])

        try:
            await app(self._scope, self._inbox.get, send)
        except Exception:  # it has no lifespan: that is how applications say so
            await outbox.put("none")
        await outbox.put("none")
