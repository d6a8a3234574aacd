"""What a middleware looks at it does not use up, and what is odd reaches the server as it came."""

from __future__ import annotations

import pytest

import progflags as pf
from progflags import asgi, wsgi
from progflags.events import Served
from support.clients import heard, rolling

HEADERS = [(b"x-one", b"1"), (b"x-two", b"2")]


def doors(module, app, **options):
    """The two middlewares of one protocol, each in front of `app`."""
    flags = pf.connect({"flags": {"shadow": {"percent": 100}}}, poll=None)
    yield module.FlagsMiddleware(app, flags=flags, context=lambda _: "u1", **options)
    yield module.DarkLaunchMiddleware(app, flag="shadow", candidate=app, flags=flags, executor="inline")


async def asked(app, headers=()):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            message = {**message, "headers": [tuple(pair) for pair in message.get("headers", ())]}
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "scheme": "http"}
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("made", [iter, lambda pairs: (pair for pair in pairs), tuple, list, lambda pairs: dict(pairs).items()])
@pytest.mark.parametrize("options", [{}, {"anonymous": "a secret of some length"}])
async def test_headers_may_be_any_iterable(made, options):
    """The specification says Iterable, and one framework at least sends a generator."""

    async def app(scope, receive, send):
        seen.append(list(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": made(HEADERS)})
        await send({"type": "http.response.body", "body": b"ok"})

    for door in doors(asgi, app, **options):
        seen = []
        start, _ = await asked(door, made([(b"host", b"x")]))
        assert start["headers"][:2] == HEADERS
        assert seen[0] == [(b"host", b"x")]


async def test_headers_that_fail_fail_in_the_application_as_they_would_without_us():
    def failing():
        yield HEADERS[0]
        raise LookupError("no such header")

    async def app(scope, receive, send):
        with pytest.raises(LookupError):
            await send({"type": "http.response.start", "status": 200, "headers": failing()})
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    for door in doors(asgi, app):
        assert [message.get("status") for message in await asked(door)] == [500, None]


class Handled:
    """A constant of a server's: the worker has taken the socket over."""


ALREADY_HANDLED = Handled()


class IterableConstant:
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize("constant", [ALREADY_HANDLED, IterableConstant()], ids=["object", "iterable"])
def test_a_response_that_the_server_knows_is_the_one_it_gets(constant):
    """gunicorn and eventlet ask whether the response equals a constant of theirs; nothing was started, and nothing failed."""
    for door in doors(wsgi, lambda environ, start: constant):
        assert door({"REQUEST_METHOD": "GET"} | INPUT, None) == constant


INPUT = {"wsgi.input": None, "wsgi.url_scheme": "http"}


def test_a_handled_request_is_no_failure_of_its_arm():
    client = rolling()
    served = heard(client, Served)

    def app(environ, start):
        client.is_enabled("new-checkout")
        return ALREADY_HANDLED

    wsgi.FlagsMiddleware(app, flags=client, context=lambda _: "u1")({"REQUEST_METHOD": "GET"} | INPUT, None)

    assert served == []


@pytest.mark.parametrize("pieces", [["text"], [None], [b"a", 1], [memoryview(b"a")], [bytearray(b"a")]])
@pytest.mark.parametrize("made", [list, iter])
def test_odd_pieces_reach_the_server(made, pieces):
    def app(environ, start):
        start("200 OK", [])
        return made(pieces)

    for door in doors(wsgi, app):
        assert list(door({"REQUEST_METHOD": "GET"} | INPUT, lambda *_: None)) == pieces


@pytest.mark.parametrize("status", ["200", "OK", "", 200, b"200 OK", None])
@pytest.mark.parametrize("headers", [list, lambda: iter([("a", "b")]), lambda: None, lambda: [("one",)], lambda: {"a": "b"}])
def test_an_odd_start_reaches_the_server(status, headers):
    def app(environ, start):
        start(status, headers())
        return [b""]

    for door in doors(wsgi, app):
        started = []
        door({"REQUEST_METHOD": "GET"} | INPUT, lambda *given: started.append(given))
        assert started[-1][0] == status
        assert list(started[-1][1] or ()) == list(headers() or ())


@pytest.mark.parametrize("made", [list, tuple])
def test_a_list_stays_that_list(made):
    """Servers take the length of a single piece for the Content-Length, and some ask for the very class."""
    body = made([b"a"])

    def app(environ, start):
        start("200 OK", [])
        return body

    for door in doors(wsgi, app):
        assert door({"REQUEST_METHOD": "GET"} | INPUT, lambda *_: None) is body
