"""The WSGI door as real servers drive it: what they say of a request, and what they ask of a response."""

import asyncio
import io
from textwrap import dedent

import httpx
import pytest

from progflags.wsgi import DarkLaunchMiddleware
from support.patience import until
from support.web import gunicorn

from .test_remote import server as server  # noqa: PLC0414 - a fixture
from .test_wsgi import ask, environ, json_app

GUNICORN_APP = """
    import json

    import progflags as pf
    from progflags.wsgi import DarkLaunchMiddleware

    flags = pf.connect({"flags": {"on": {"percent": 100}}}, poll=None)

    def shop(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"] == "/seen":
            return [json.dumps(app.dark_launch.stats().outcomes).encode()]
        return [json.dumps({"body": environ["wsgi.input"].read().decode() if environ["REQUEST_METHOD"] == "POST" else ""}).encode()]

    app = DarkLaunchMiddleware(shop, flag="on", candidate=shop, flags=flags, deadline=600, run_if=lambda e: e["PATH_INFO"] != "/seen",
                               methods=["GET", "POST"])
"""


def test_gunicorns_requests_are_compared_with_a_body_and_without(tmp_path):
    """It says `wsgi.input_terminated` of every request, also of one that has no body and whose input nobody reads."""
    (tmp_path / "shop.py").write_text(dedent(GUNICORN_APP))

    with gunicorn("shop:app", cwd=tmp_path) as address, httpx.Client(base_url=address) as browser:
        assert browser.get("/").json() == {"body": ""}
        assert browser.post("/", content=b"abc").json() == {"body": "abc"}
        assert browser.post("/", content=iter([b"chunk", b"ed"])).json() == {"body": "chunked"}
        until(lambda: browser.get("/seen").json()["match"] == 3, said=lambda: browser.get("/seen").json())


@pytest.mark.parametrize(
    ("request_", "reads", "outcome"),
    [
        ({"wsgi.input_terminated": True}, False, "match"),
        ({"wsgi.input_terminated": True, "CONTENT_LENGTH": "3"}, False, "incomplete"),
        ({"wsgi.input_terminated": True, "CONTENT_LENGTH": "3"}, True, "match"),
        ({"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}, False, "incomplete"),
        ({"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}, True, "match"),
        ({"wsgi.input_terminated": True, "SERVER_PROTOCOL": "HTTP/2"}, False, "incomplete"),
        ({"wsgi.input_terminated": True, "SERVER_PROTOCOL": "HTTP/2"}, True, "match"),
        ({"CONTENT_LENGTH": "9" * 5000}, False, "incomplete"),
        ({"CONTENT_LENGTH": "three"}, False, "incomplete"),
    ],
)
def test_a_request_is_complete_when_its_body_was_read_or_it_has_none(request_, reads, outcome, flags, engine):
    def app(environ, start_response):
        return json_app({"read": environ["wsgi.input"].read(10).decode() + environ["wsgi.input"].read(10).decode() if reads else ""})(
            environ, start_response
        )

    middleware = DarkLaunchMiddleware(app, flag="on", candidate=app, flags=flags, methods=["POST"])
    given = environ("POST") | {"wsgi.input": io.BytesIO(b"abc")} | request_
    ask(middleware, given)

    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes[outcome] == 1, middleware.dark_launch.stats()


class Sized:
    """An iterable that is no list and has a length."""

    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        return iter(self.parts)

    def __len__(self):
        return len(self.parts)


@pytest.mark.parametrize("sized", [True, False])
def test_a_response_has_a_length_exactly_where_the_applications_has(sized, flags, engine):
    """Servers take it for the Content-Length of a single piece; waitress fails a response that has `__len__` and raises from it."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Sized([b"one"]) if sized else iter([b"one"])

    middleware = DarkLaunchMiddleware(app, flag="on", candidate=app, flags=flags)
    result = ask(middleware)[3]

    assert hasattr(result, "__len__") is sized
    if sized:
        assert len(result) == 1
    assert result
    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes["match"] == 1


def test_a_shadow_that_arrives_here_is_not_shadowed_again(flags, engine):
    """A candidate deployment is the same program: behind the same middleware its shadows of our shadows would never end."""
    seen = []

    def app(environ, start_response):
        seen.append(environ.get("HTTP_PROGFLAGS_SHADOW"))
        return json_app({})(environ, start_response)

    for trust in (False, True):
        middleware = DarkLaunchMiddleware(app, flag="on", candidate=app, flags=flags, trust_marker=trust)
        ask(middleware, environ(HTTP_PROGFLAGS_SHADOW="on;1"))
        assert middleware.dark_launch.drain()
        stats = middleware.dark_launch.stats()
        assert (stats.calls, stats.outcomes["not_sampled"]) == (1, 1)

    assert seen == [None, "on;1"]


def test_a_candidate_that_writes_without_end_is_cut(flags, engine):
    """`write` counts as what is returned does: a candidate's response is held up to `max_body` and no further."""
    written = []

    def endless(environ, start_response):
        write = start_response("200 OK", [])
        while True:
            write(b"x" * 1024)
            written.append(1)

    middleware = DarkLaunchMiddleware(json_app({}), flag="on", candidate=endless, flags=flags, max_body=10_000)
    ask(middleware)

    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes["candidate_error"] == 1
    assert len(written) == 9


def test_a_remote_is_asked_for_the_path_the_application_was(flags, engine, server):
    """A decoded path holds characters that mean something else in a URL."""
    middleware = DarkLaunchMiddleware(json_app({"a": 1}), flag="on", candidate=server.origin, flags=flags)
    ask(middleware, environ(path="/a?b%20c/é".encode().decode("latin-1"), QUERY_STRING="x=1"))

    assert middleware.dark_launch.drain()
    assert [path for _, path, _ in server.seen] == ["/a%3Fb%2520c/%C3%A9?x=1"]
    asyncio.run_coroutine_threadsafe(middleware._remote.aclose(), engine.background._loop).result(60)
