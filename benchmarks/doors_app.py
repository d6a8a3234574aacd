"""The applications that bench_doors serves: a trivial one of each protocol, bare and behind our middlewares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import progflags as pf
from progflags import asgi, wsgi

FLAGS = {"flags": {"off": {"percent": 0}, "hundredth": {"percent": 1}, "all": {"percent": 100}}}
LAUNCHED = {"launch": "off", "off": "off", "sampled": "hundredth", "on": "all"}


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


def __getattr__(name: str) -> Callable[[], Any]:
    """`asgi_bare`, `wsgi_off`, …: what makes that application."""
    protocol, _, stack = name.partition("_")
    if protocol not in ("asgi", "wsgi"):
        raise AttributeError(name)
    door, plain = (asgi, plain_asgi) if protocol == "asgi" else (wsgi, plain_wsgi)
    return lambda: _dressed(door, plain, stack)
