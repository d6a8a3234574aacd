"""The request once more, for the shadow: as it came, as far as the application read it, and its response to nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from progflags._trouble import swallow
from progflags.darklaunch.compare import Answer, answer
from progflags.darklaunch.guards import HEADER, mark
from progflags.darklaunch.http import Remote
from progflags.darklaunch.http import Request as Captured
from progflags.darklaunch.shadow import current

__all__ = ["MARK", "ASGIApp", "Message", "Receive", "Replay", "Request", "Scope", "Send", "marked", "to_remote"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MARK: Final = HEADER.encode()
# What the control's server offers and a shadow must not use: it has no file descriptors to send, no client to push to.
_SHADOW_EXTENSIONS: Final = frozenset({"tls"})


class Request(Captured):
    """What of the request the candidate is to get: the scope as it came, and the body as far as the application read it."""

    def __init__(self, scope: Scope, headers: Mapping[bytes, bytes], most: int) -> None:
        self.most = most
        self.chunks = []
        # Copied now: routers and frameworks write into the scope they are given.
        self.scope = own = {**scope, "headers": list(scope["headers"])}
        if "state" in own:
            own["state"] = dict(scope["state"])
        if "extensions" in own:
            own["extensions"] = {name: value for name, value in (scope["extensions"] or {}).items() if name in _SHADOW_EXTENSIONS}
        # One that is announced nowhere is empty.
        self.complete = headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers


def marked(request: Request) -> dict[str, Any]:
    """A scope for one run of a shadow, with the marker among its headers."""
    scope = dict(request.scope)
    here = current()
    if here is not None:
        scope["headers"] = [*scope["headers"], (MARK, mark(here).encode())]
    return scope


def to_remote(remote: Remote, request: Request) -> Callable[[], Awaitable[Answer]]:
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return lambda: remote.ask(scope["method"], path, scope.get("query_string", b""), pairs, b"".join(request.chunks))


class Replay:
    """The request once more: the same chunks, then silence; and a place for the response that goes nowhere."""

    __slots__ = ("_chunks", "_max", "_parts", "_size", "_start", "complete")

    def __init__(self, request: Request, most: int) -> None:
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
        return answer(self._start["status"], self._start["headers"], self._parts)

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
