"""
The OpenFeature Remote Evaluation Protocol, as an application to mount: browsers and other languages ask the same flags.

`asgi(flags)` and `wsgi(flags)` answer `POST …/ofrep/v1/evaluate/flags/{key}` and the bulk request `POST
…/ofrep/v1/evaluate/flags` with its ETag, below whatever path they are mounted on, and `GET …/openfeature/v0/manifest` for the
OpenFeature CLI. `asgi` tells of every change by server-sent events besides (OFREP 0.3's `eventStreams`). Install nothing; any OFREP
provider is a client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from functools import partial
from typing import Any, Final

from progflags._small_asgi import lifespan, read
from progflags._streaming import stream
from progflags._trouble import swallow
from progflags.contrib._ofrep import JSON, LIMIT, Answer, Asked, Authorize, Endpoint
from progflags.contrib._streams import STUCK, Streams
from progflags.contrib._ticket import Tickets
from progflags.flags import Client

__all__ = ["asgi", "wsgi"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def asgi(
    flags: Client | None = None,
    *,
    authorize: Authorize | None = None,
    expose: Callable[[str], bool] | None = None,
    origins: Iterable[str] = (),
    streams: int = 10_000,
    secret: str | None = None,
    public_url: str = "",
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """
    The protocol as an ASGI application, to be mounted (`app.mount("/flags", ofrep.asgi(flags))`) or served alone.

    `authorize` sees the request's headers (lower-case names) and answers whether it may ask; without it everybody who can
    reach the path may. `expose` limits which keys can be asked for: the rest don't exist from outside. `origins` are the web
    origins whose pages may read answers (`"*"`: all).

    `streams`: how many event streams may be open at once in this process; who comes later is answered 503. 0: none are offered.
    With `authorize`, an answer's address of the stream has a ticket in it that is good for 12 hours at least, since a browser sends no
    headers there; `secret` signs it and has to be the same in every process that serves.
    `public_url`: where this application is found from outside (`"https://flags.example/api"`), if that can't be seen from a request;
    otherwise answers name the path that was asked, and clients add the origin.

    Streams need a server on asyncio.

        def may(headers):
            return headers.get("authorization") == f"Bearer {TOKEN}"

        def shown(key):
            return key.startswith("web-")

        app.mount("/flags", asgi(flags, authorize=may, expose=shown, secret=SECRET))
    """
    told = Streams(streams, expose) if streams > 0 else None
    endpoint = Endpoint(flags, authorize, expose, frozenset(origins), told, Tickets(secret), public_url.rstrip("/"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"OFREP is spoken over HTTP, not {scope['type']}")
        body = await read(receive, LIMIT)
        if body is None:
            return
        asked = _asked(scope, body)
        await endpoint.caught_up(asked)
        answer = endpoint.answer(asked)
        if answer.follows is not None and told is not None:
            follow = partial(told.follow, answer.follows, asked.headers.get("last-event-id", ""))
            why = await stream(receive, send, _raw(answer.headers), follow, stuck=STUCK)
            if why is not None and not isinstance(why, (TimeoutError, OSError)):  # those are readers that do not read, or are gone
                swallow("OFREP streams", why)
            return
        content = answer.content()
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": _raw((*_content_headers(answer, content), *answer.headers))}
        )
        await send({"type": "http.response.body", "body": content})

    return app


def _asked(scope: Scope, body: bytes) -> Asked:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    root, path = str(scope.get("root_path", "")).rstrip("/"), str(scope["path"])
    whole = path if path.startswith(f"{root}/") else f"{root}{path}"  # older frameworks cut off where they mount
    return Asked(scope["method"], whole, headers, body, scope.get("query_string", b"").decode("latin-1"))


def wsgi(
    flags: Client | None = None,
    *,
    authorize: Authorize | None = None,
    expose: Callable[[str], bool] | None = None,
    origins: Iterable[str] = (),
) -> Callable[[dict[str, Any], Callable[..., Any]], Sequence[bytes]]:
    """
    The protocol as a WSGI application; the same as `asgi`, but for event streams: each would hold a worker, so none are offered.

        from werkzeug.middleware.dispatcher import DispatcherMiddleware

        answers = wsgi(flags, origins=["https://shop.example.com"])
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/flags": answers})
    """
    endpoint = Endpoint(flags, authorize, expose, frozenset(origins))

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Sequence[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        # A chunked request has no length; a server that ends such input by itself says so.
        size = int(length) if length.isdecimal() else LIMIT + 1 if environ.get("wsgi.input_terminated") else 0
        body = environ["wsgi.input"].read(min(size, LIMIT + 1))
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
        answer = endpoint.answer(Asked(environ["REQUEST_METHOD"], path, headers, body, environ.get("QUERY_STRING", "")))
        content = answer.content()
        start_response(f"{answer.status} {_PHRASES[answer.status]}", [*_content_headers(answer, content), *answer.headers])
        return [content]

    return app


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _content_headers(answer: Answer, content: bytes) -> tuple[tuple[str, str], ...]:
    return () if answer.body is None else (JSON, ("content-length", str(len(content))))


_PHRASES: Final = {
    200: "OK",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    500: "Internal Server Error",
}
