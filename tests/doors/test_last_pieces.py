"""Requests at the edges of both protocols: bodies that fail to begin, answers nobody started, requests within requests."""

import asyncio
import gc
import weakref
from contextvars import ContextVar
from wsgiref.util import setup_testing_defaults

import httpx
import pytest

from progflags import asgi, wsgi
from progflags._anonymous import AnonymousId
from progflags.asgi._lag import LoopLag
from progflags.asgi._lifespan import Lifespan
from progflags.context import bind, current
from progflags.events import Served
from support.clients import heard, rolling
from support.web import wsgi_server

FLAG = "new-checkout"


class Unbegun:
    def __iter__(self):
        raise RuntimeError("no body")


def nothing_returned(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])


def a_body_that_does_not_begin(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return Unbegun()


def nothing_started(environ, start):
    return [b"nobody said what this is"]


@pytest.mark.parametrize("app", [nothing_returned, a_body_that_does_not_begin, nothing_started], ids=lambda app: app.__name__)
def test_what_makes_the_server_answer_500_is_a_failure(app):
    """Under a real server, which answers 500 to each of them: the arm that did it is charged with it."""
    client = rolling()
    served = heard(client, Served)

    def asking(environ, start):
        client.is_enabled(FLAG)
        return app(environ, start)

    with wsgi_server(wsgi.FlagsMiddleware(asking, flags=client, context=lambda environ: "u1")) as url:
        assert httpx.get(url).status_code == 500

    assert [event.failed for event in served] == [True]


def test_a_file_sent_by_its_descriptor_is_an_answer():
    """ASGI's zero-copy extension ends a response as a body does."""

    async def app(scope, receive, send):
        client.is_enabled(FLAG)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.zerocopysend", "file": 0, "more_body": True})
        assert not served
        await send({"type": "http.response.zerocopysend", "file": 0})

    async def send(message):
        pass

    client = rolling()
    served = heard(client, Served)
    asyncio.run(asgi.FlagsMiddleware(app, flags=client, context=lambda scope: "u1")({"type": "http", "headers": []}, None, send))

    assert [event.failed for event in served] == [False]


def test_a_request_within_a_request_gives_the_outer_one_back_asgi():
    """An endpoint asks another application in its own task: it still serves its own user afterwards, and counts for that one."""
    inner = asgi.FlagsMiddleware(_ok, context=lambda scope: "inner")

    async def outer(scope, receive, send):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner") as http:
            await http.get("/")
        seen.append(current().key)
        client.is_enabled(FLAG)
        await _ok(scope, receive, send)

    async def ask():
        app = asgi.FlagsMiddleware(outer, flags=client, context=lambda scope: "outer")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://outer") as http:
            with bind("the program"):
                await http.get("/")
                seen.append(current().key)

    seen = []
    client = rolling()
    served = heard(client, Served)
    asyncio.run(ask())

    assert seen == ["outer", "the program"]
    assert [event.unit for event in served] == [b"outer"]


def test_a_request_within_a_request_gives_the_outer_one_back_wsgi():
    inner = wsgi.FlagsMiddleware(_plain, context=lambda environ: "inner")

    def outer(environ, start):
        body = inner(environ, lambda *_: None)
        assert list(body) == [b"ok"]
        seen.append(current().key)
        return _plain(environ, start)

    seen = []
    environ = {}
    setup_testing_defaults(environ)
    app = wsgi.FlagsMiddleware(outer, context=lambda environ: "outer")
    assert list(app(environ, lambda *_: None)) == [b"ok"]
    assert seen == ["outer"]
    assert current() is None


async def _ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def _plain(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


class Body:
    """Something large that a request's context holds."""


LARGE = ContextVar("large", default=None)


def test_a_watched_loop_keeps_nothing_of_the_request_that_met_it():
    """The beats go on as long as the loop does; the first request's context variables must not."""

    async def first(lag):
        body = Body()
        LARGE.set(body)
        lag.meet()
        return weakref.ref(body)

    async def main():
        kept = await asyncio.create_task(first(LoopLag()))
        await asyncio.sleep(0)
        gc.collect()
        return kept()

    assert asyncio.run(main()) is None


def test_a_candidate_that_exits_at_its_start_leaves_the_server_running():
    """`sys.exit("no settings")` in the candidate's lifespan ends the shadow, not the process that serves."""

    async def app(scope, receive, send):
        await receive()
        raise SystemExit("no settings")

    async def main():
        life = Lifespan(app, {"type": "lifespan"}, "new-app")
        life.begin()
        await asyncio.wait(life._tasks, timeout=60)
        started = life.ready
        await life.stop()
        return started

    assert asyncio.run(main()) is False


@pytest.mark.parametrize(
    "options",
    [{"path": "/zażółć"}, {"domain": "żółw.pl"}, {"same_site": "Laxx"}, {"same_site": "None", "secure": False}],
    ids=str,
)
def test_a_cookie_no_browser_would_take_is_refused_when_it_is_made(options):
    """Not at every request: a header that can't be encoded, a word browsers ignore, a cookie they drop."""
    with pytest.raises(ValueError, match=r"break the Set-Cookie|Lax, Strict or None|not Secure"):
        AnonymousId("a secret of enough length", **options)
