"""
The applications that bench_doors serves: a trivial one of each protocol bare and behind our middlewares, and those of request_apps.

By name: `asgi_bare`, `wsgi_off`, … make the former, `fastapi_bare`, `flask_five`, `django_peers`, … the latter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import progflags as pf
from benchmarks.request_apps import FRAMEWORKS, Framework, Row, connect, five, given, peer_rows
from progflags import asgi, wsgi

FLAGS = {"flags": {"off": {"percent": 0}, "hundredth": {"percent": 1}, "all": {"percent": 100}}}
LAUNCHED = {"launch": "off", "off": "off", "sampled": "hundredth", "on": "all"}
TRIVIAL = ("bare", "flags", *LAUNCHED)


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def plain_wsgi(environ: Any, start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def _dressed(door: Any, plain: Any, stack: str) -> Any:
    if stack == "bare":
        return plain
    flags = pf.connect(FLAGS, poll=None)
    app = plain
    if stack in LAUNCHED:
        app = door.DarkLaunchMiddleware(app, flag=LAUNCHED[stack], candidate=plain, flags=flags, key=lambda _: None)
    return app if stack == "launch" else door.FlagsMiddleware(app, flags=flags, context=lambda _: pf.Context("u1"))


def _asked(framework: Framework, stack: str) -> Any:
    """A framework's application: bare, with five flags of ours (`given` without the middleware), or a peer's: `peer0`, `peer1`, …"""
    if stack.startswith("peer"):
        return _working(framework, list(peer_rows(framework))[int(stack.removeprefix("peer"))])
    if stack == "bare":
        return _working(framework, Row("bare", framework.plain()))
    flags = connect()
    if stack == "given":
        return _working(framework, Row(stack, framework.plain(), given(flags, framework.context)))
    app = framework.dressed(framework.plain(), flags, framework.context, None)
    return _working(framework, Row(stack, app, five(flags, "released" if stack == "rolled" else "tenth")))


def _working(framework: Framework, row: Row) -> Any:
    """Told with each request what the handler does."""
    app, work = row.app, row.work

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        scope["work"] = work
        await app(scope, receive, send)

    def wsgi_app(environ: Any, start: Any) -> Any:
        environ["work"] = work
        return app(environ, start)

    return asgi_app if framework.protocol == "asgi" else wsgi_app


def __getattr__(name: str) -> Callable[[], Any]:
    """`asgi_bare`, `fastapi_five`, …: what makes that application."""
    kind, _, stack = name.partition("_")
    if kind in ("asgi", "wsgi") and stack in TRIVIAL:
        door, plain = (asgi, plain_asgi) if kind == "asgi" else (wsgi, plain_wsgi)
        return lambda: _dressed(door, plain, stack)
    if kind not in FRAMEWORKS:
        raise AttributeError(name)
    return lambda: _asked(FRAMEWORKS[kind], stack)
