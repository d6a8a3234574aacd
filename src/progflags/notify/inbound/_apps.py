"""The hook as an application to mount: ASGI and WSGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

from progflags._printed import json_text
from progflags._small_asgi import Receive, Send, lifespan, read
from progflags.notify.inbound._hook import LIMIT, Hook

__all__ = ["asgi", "wsgi"]


def asgi(hook: Hook) -> Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]:
    """
    The hook as an ASGI application, to be mounted. The store is waited for in a thread, not on the loop.

        app.mount("/hooks/rollback", pf.notify.asgi(pf.notify.Hook(flags, token=TOKEN)))
    """

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"an alert comes over HTTP, not {scope['type']!s:.20}")
        body = await read(receive, LIMIT)
        if body is None:
            return
        import asyncio

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, said = await asyncio.to_thread(_answer, hook, scope["method"], headers, body, (scope.get("client") or ("",))[0] or "")
        content, told = _content(status, said)
        raw = [(name.encode(), value.encode()) for name, value in told]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return app


def wsgi(hook: Hook) -> Callable[[dict[str, Any], Callable[..., Any]], Sequence[bytes]]:
    """
    The hook as a WSGI application.

        from werkzeug.middleware.dispatcher import DispatcherMiddleware

        hook = pf.notify.Hook(flags, secret=SECRET)
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/hooks/rollback": pf.notify.wsgi(hook)})
    """

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Sequence[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        # A chunked request has no length; a server that ends such input by itself says so.
        size = int(length) if length.isdecimal() else LIMIT + 1 if environ.get("wsgi.input_terminated") else 0
        body = environ["wsgi.input"].read(min(size, LIMIT + 1))
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        status, said = _answer(hook, environ["REQUEST_METHOD"], headers, body, environ.get("REMOTE_ADDR", ""))
        content, told = _content(status, said)
        start_response(f"{status} {HTTPStatus(status).phrase}", list(told))
        return [content]

    return app


def _answer(hook: Hook, method: str, headers: Mapping[str, str], body: bytes, client: str) -> tuple[int, dict[str, Any]]:
    if method != "POST":
        return 405, {"ok": False, "error": "an alert is sent by POST"}
    return hook.answer(headers, body, client)


def _content(status: int, said: Mapping[str, Any]) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    content = json_text(said).encode()
    allow = (("allow", "POST"),) if status == 405 else (("www-authenticate", "Bearer"),) if status == 401 else ()
    return content, (("content-type", "application/json"), ("content-length", str(len(content))), ("cache-control", "no-store"), *allow)
