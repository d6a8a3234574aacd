"""
The applications that bench_request asks: the same answer from seven frameworks, dressed as an application would dress them.

What a handler does is called `work`; it is given the ASGI scope, the WSGI environ or Django's request, and an asynchronous handler awaits
what it returns. In the bare application it does nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, cycle
from typing import Any, Literal

import progflags as pf
from benchmarks import request_peers
from benchmarks.peers import OURS
from progflags import asgi, wsgi
from progflags.events import Served

USERS = 256
SECRET = "a long secret from the settings"
ATTRIBUTES = {"plan": "pro", "app": "2.4.1", "country": "DE"}
GATES = [{"metric": "error_rate", "max_increase": 0.1}, {"metric": "p99_latency", "max_increase": 0.5}]
FLAGS: dict[str, Any] = {
    **OURS,
    "hundredth": {"percent": 1},
    "released": {"rollout": {"stages": [{"percent": 50, "bake": "10h", "gates": GATES}], "deadline": "20h"}},
}
HEAD = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"5")]
Whose = Literal["ours", "peer", "floor"]
Protocol = Literal["asgi", "wsgi"]
Work = Callable[[Any], object]


def connect() -> pf.Flags:
    """A client with a rollout under way, whose recorder hears every request."""
    flags = pf.connect({"flags": FLAGS}, poll=None)
    flags.rollouts.start("released")
    flags.rollouts.tick()
    assert flags.bus.hears(Served)
    return flags


def nothing(around: Any) -> None:
    """What the bare handler does."""


def five(flags: pf.Flags, last: str = "tenth") -> Work:
    """Five flags, asked for whom the request is of."""

    def work(_: Any) -> None:
        flags.is_enabled("everybody")
        flags.is_enabled("half")
        flags.is_enabled("ruled")
        flags.get("layout", "a")
        flags.is_enabled(last)

    return work


def given(flags: pf.Flags, context: Callable[[Any], pf.Context]) -> Work:
    """The five without a middleware: the handler says whom it asks for, as with other libraries. The request counts for nothing."""

    def work(around: Any) -> None:
        user = context(around)
        flags.is_enabled("everybody", user)
        flags.is_enabled("half", user)
        flags.is_enabled("ruled", user)
        flags.get("layout", "a", user)
        flags.is_enabled("tenth", user)

    return work


def again(flags: pf.Flags) -> Work:
    """One flag five times: asking alone, whatever the flags are."""

    def work(_: Any) -> None:
        flags.is_enabled("half")
        flags.is_enabled("half")
        flags.is_enabled("half")
        flags.is_enabled("half")
        flags.is_enabled("half")

    return work


def user_of(scope: Any) -> str:
    """Who asks, as ours and every peer finds out: a header that a proxy sets."""
    for name, value in scope["headers"]:
        if name == b"x-user":
            return str(value.decode())
    return ""


def wsgi_user_of(environ: Any) -> str:
    return str(environ["HTTP_X_USER"])


def django_user_of(request: Any) -> str:
    return str(request.META["HTTP_X_USER"])


def nobody(_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """`app` answers; it is set beside the row called `beside`. `cookie`: the visitors bring one that they had of the application."""

    name: str
    app: Any
    work: Work = nothing
    beside: str = "bare"
    cookie: bool = False
    visitor: bool = False
    whose: Whose = "ours"


@dataclass(frozen=True, slots=True)
class Framework:
    """`dressed(plain(), flags, context, anonymous)` is its application with the middleware, as it is put there."""

    name: str
    protocol: Protocol
    plain: Callable[[], Any]
    dressed: Callable[..., Any]
    user_of: Callable[[Any], str]
    path: str = "/"
    waits: bool = False  # its coroutines need a loop, and threads

    def context(self, around: Any) -> pf.Context:
        return pf.Context(self.user_of(around), ATTRIBUTES)


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    answer = scope["work"](scope)
    if answer is not None:
        await answer
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": b"hello"})


def plain_wsgi(environ: Any, start: Any) -> list[bytes]:
    environ["work"](environ)
    start("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "5")])
    return [b"hello"]


async def candidate_asgi(scope: Any, receive: Any, send: Any) -> None:
    await plain_asgi({"work": nothing}, receive, send)


def candidate_wsgi(environ: Any, start: Any) -> list[bytes]:
    return plain_wsgi({"work": nothing}, start)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def home(request: Request) -> PlainTextResponse:
        answer = request.scope["work"](request.scope)
        if answer is not None:
            await answer
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", home)])


def fastapi() -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import PlainTextResponse

    app = FastAPI(openapi_url=None)

    async def home(request: Any) -> str:
        answer = request.scope["work"](request.scope)
        if answer is not None:
            await answer
        return "hello"

    home.__annotations__ = {"request": Request, "return": str}  # as objects: FastAPI looks for names in the module
    app.get("/", response_class=PlainTextResponse)(home)
    return app


def flask() -> Any:
    from flask import Flask, request

    app = Flask("bench")

    @app.get("/")
    def home() -> tuple[str, int, dict[str, str]]:
        request.environ["work"](request.environ)
        return "hello", 200, {"Content-Type": "text/plain; charset=utf-8"}

    return app


def django(protocol: Protocol, middleware: tuple[str, ...] = ()) -> Any:
    """A handler with these middlewares. The views find their work in what the request came in."""
    from benchmarks.django_site import handler

    return handler(protocol, middleware)


def added(app: Any, flags: Any, context: Any, anonymous: Any) -> Any:
    """As Starlette and FastAPI take middleware."""
    app.add_middleware(asgi.FlagsMiddleware, flags=flags, context=context, anonymous=anonymous)
    return app


def around_asgi(app: Any, flags: Any, context: Any, anonymous: Any) -> Any:
    return asgi.FlagsMiddleware(app, flags=flags, context=context, anonymous=anonymous)


def around_wsgi(app: Any, flags: Any, context: Any, anonymous: Any) -> Any:
    return wsgi.FlagsMiddleware(app, flags=flags, context=context, anonymous=anonymous)


def extended(app: Any, flags: Any, context: Any, anonymous: Any) -> Any:
    """Flask's extension, which says who asks inside the request."""
    from flask import request

    from progflags.contrib.flask import Progflags

    app.config["PROGFLAGS"] = {"anonymous": anonymous}
    Progflags(app, flags=flags, context=lambda: context(request.environ))
    return app


def installed(protocol: Protocol) -> Callable[..., Any]:
    """Django's middleware, which has client and context from the settings."""

    def dressed(_: Any, flags: Any, context: Any, anonymous: Any) -> Any:
        from benchmarks.django_site import configured

        async def asked(request: Any) -> Any:
            return context(request)

        with configured(flags, asked if protocol == "asgi" else context, anonymous):
            return django(protocol, ("progflags.contrib.django.middleware.FlagsMiddleware",))

    return dressed


FRAMEWORKS = {
    "fastapi": Framework("FastAPI", "asgi", fastapi, added, user_of),
    "starlette": Framework("Starlette", "asgi", starlette, added, user_of),
    "asgi": Framework("plain ASGI", "asgi", lambda: plain_asgi, around_asgi, user_of),
    "django": Framework("Django, WSGI", "wsgi", lambda: django("wsgi"), installed("wsgi"), django_user_of),
    "django-asgi": Framework("Django, ASGI", "asgi", lambda: django("asgi"), installed("asgi"), django_user_of, path="/async", waits=True),
    "flask": Framework("Flask", "wsgi", flask, extended, wsgi_user_of),
    "wsgi": Framework("plain WSGI", "wsgi", lambda: plain_wsgi, around_wsgi, wsgi_user_of),
}


def batches(framework: Framework, peers: bool = True) -> Iterator[Iterator[Row]]:
    """Rows that are made and measured together. The last one leaves OpenTelemetry listening in this process."""
    yield chain(_ours(framework), peer_rows(framework) if peers else ())
    yield _told(framework)


def _ours(framework: Framework) -> Iterator[Row]:
    """What progflags costs there, in the order of the table."""
    flags, context = connect(), framework.context

    def dressed(context: Any = context, anonymous: Any = None) -> Any:
        return framework.dressed(framework.plain(), flags, context, anonymous)

    ann = pf.Context("user-1", ATTRIBUTES)
    yield Row("bare", framework.plain(), whose="floor")
    yield Row("five flags, no middleware", framework.plain(), given(flags, context))
    yield Row("no flag asked", dressed())
    yield Row("one flag five times, context at hand", dressed(lambda _: ann), again(flags))
    yield Row("five flags", dressed(), five(flags))
    yield Row("five, one of them rolled out", dressed(), five(flags, "released"))
    yield Row("five, a visitor who comes again", dressed(nobody, SECRET), five(flags), visitor=True, cookie=True)
    yield Row("five, a new visitor", dressed(nobody, SECRET), five(flags), visitor=True)
    yield from _launched(framework, flags, context)


def peer_rows(framework: Framework) -> Iterator[Row]:
    """Five flags of other libraries in the same handler."""
    for name, work in request_peers.works(framework.protocol == "asgi", framework.user_of, ATTRIBUTES):
        yield Row(name, framework.plain(), work, whose="peer")
    if framework.name == "Django, WSGI":
        from benchmarks.django_site import handler, waffle

        yield Row("django-waffle", handler("wsgi", ("waffle.middleware.WaffleMiddleware",)), waffle(), cookie=True, whose="peer")


def _launched(framework: Framework, flags: pf.Flags, context: Any) -> Iterator[Row]:
    """One request in a hundred asked of another application as well, after its answer."""
    door: Any = asgi if framework.protocol == "asgi" else wsgi
    candidate = candidate_asgi if framework.protocol == "asgi" else candidate_wsgi
    app = framework.plain()
    app = door.DarkLaunchMiddleware(app, flag="hundredth", candidate=candidate, flags=flags)
    around = around_asgi if framework.protocol == "asgi" else around_wsgi
    yield Row("no flag asked, one in a hundred shadowed", around(app, flags, context, None))


def _told(framework: Framework) -> Iterator[Row]:
    yield Row("bare", framework.plain(), whose="floor")
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        print(f"OpenTelemetry: not measured ({error}); install the tests group")
        return
    from progflags.telemetry import instrument, tee

    if framework.protocol == "asgi":
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as Middleware
    else:
        from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as Middleware  # type: ignore[assignment]
    told, context = connect(), framework.context
    meters, spans = MeterProvider(metric_readers=[InMemoryMetricReader()]), TracerProvider()
    instrument(told, meter_provider=meters, tracer_provider=spans)
    alone: Any = {"meter_provider": meters, "tracer_provider": spans}
    if framework.protocol == "asgi":
        alone["exclude_spans"] = ["receive", "send"]
    teed = {**alone, "meter_provider": tee(meters, told)}
    yield Row("OpenTelemetry alone", Middleware(framework.plain(), **alone), whose="floor")
    app = framework.dressed(framework.plain(), told, context, None)
    yield Row("five, one rolled out, instrumented and teed", Middleware(app, **teed), five(told, "released"), "OpenTelemetry alone")


def scopes(row: Row, path: str = "/") -> list[dict[str, Any]]:
    """The requests, as an ASGI server hands them over: of so many users."""
    base = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    base |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 50000)}
    base |= {"server": ("127.0.0.1", 8000), "work": row.work}
    usual = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*"), (b"accept-encoding", b"gzip")]
    return [{**base, "headers": [*usual, *([] if row.visitor else [(b"x-user", b"user-%d" % n)])]} for n in range(USERS)]


def environs(row: Row) -> list[dict[str, Any]]:
    """The same, as a WSGI server does."""
    base = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "localhost"}
    base |= {"SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
    base |= {"HTTP_USER_AGENT": "bench", "HTTP_ACCEPT": "*/*", "HTTP_ACCEPT_ENCODING": "gzip"}
    more: dict[str, Any] = {"wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()}
    more |= {"wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False, "work": row.work}
    return [{**base, **more, **({} if row.visitor else {"HTTP_X_USER": f"user-{n}"})} for n in range(USERS)]


def turning(requests: list[dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    return cycle(requests).__next__
