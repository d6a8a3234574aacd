"""
The OpenFeature Remote Evaluation Protocol, as an application to mount: browsers and other languages ask the same flags.

`asgi(flags)` and `wsgi(flags)` answer `POST …/ofrep/v1/evaluate/flags/{key}` and the bulk request `POST
…/ofrep/v1/evaluate/flags` with its ETag, below whatever path they are mounted on. Install nothing; any OFREP provider is a
client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from progflags.flags import Client

if TYPE_CHECKING:
    pass
from progflags._small_asgi import lifespan, read
from progflags.contrib._ofrep import JSON, LIMIT, Answer, Authorize, Endpoint

__all__ = ["asgi", "wsgi"]


def asgi(
    flags: Client | None = None,
    *,
    authorize: Authorize | None = None,
    expose: Callable[[str], bool] | None = None,
    origins: Iterable[str] = (),
) -> Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]:
    """
    The protocol as an ASGI application, to be mounted (`app.mount("/flags", ofrep.asgi(flags))`) or served alone.

    `authorize` sees the request's headers (lower-case names) and answers whether it may ask; without it everybody who can
    reach the path may. `expose` limits which keys can be asked for: the rest don't exist from outside. `origins` are the web
    origins whose pages may read answers (`"*"`: all).
    """
    endpoint = Endpoint(flags, authorize, expose, frozenset(origins))

    async def app(scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"OFREP is spoken over HTTP, not {scope['type']}")
        body = await read(receive, LIMIT)
        if body is None:
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = endpoint.answer(scope["method"], scope["path"], headers, body)
        content = answer.content()
        extra = _content_headers(answer, content)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*extra, *answer.headers)]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return app


def wsgi(
    flags: Client | None = None,
    *,
    authorize: Authorize | None = None,
    expose: Callable[[str], bool] | None = None,
    origins: Iterable[str] = (),
) -> Callable[[dict[str, Any], Callable[..., Any]], Sequence[bytes]]:
    """The protocol as a WSGI application; the same as `asgi` otherwise."""
    endpoint = Endpoint(flags, authorize, expose, frozenset(origins))

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Sequence[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        # A chunked request has no length; a server that ends such input by itself says so.
        size = int(length) if length.isdecimal() else LIMIT + 1 if environ.get("wsgi.input_terminated") else 0
        body = environ["wsgi.input"].read(min(size, LIMIT + 1))
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
        answer = endpoint.answer(environ["REQUEST_METHOD"], path, headers, body)
        content = answer.content()
        start_response(f"{answer.status} {_PHRASES[answer.status]}", [*_content_headers(answer, content), *answer.headers])
        return [content]

    return app


def _content_headers(answer: Answer, content: bytes) -> tuple[tuple[str, str], ...]:
    return () if answer.body is None else (JSON, ("content-length", str(len(content))))


_PHRASES: Final = {
    200: "OK",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    500: "Internal Server Error",
}
