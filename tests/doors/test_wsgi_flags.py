"""FlagsMiddleware for WSGI: PEP 3333 to the letter, under the validator, under gunicorn."""

import io
import sys
from collections import Counter
from textwrap import dedent
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest

from progflags.context import scope
from progflags.events import Served
from progflags.wsgi import FlagsMiddleware
from support.clients import heard, rolling
from support.patience import until
from support.web import gunicorn, wsgi_server

FLAG = "new-checkout"


class Shop:
    """The applications below, each shaped as PEP 3333 allows; all of them ask for the flag."""

    def __init__(self, client):
        self.client = client
        self.closed = 0

    def a_list(self, environ, start_response):
        self.client.is_enabled(FLAG)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"list"]

    def a_generator(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        self.client.is_enabled(FLAG)
        yield b"gener"
        yield b"ator"

    def a_late_start(self, environ, start_response):
        def body():
            self.client.is_enabled(FLAG)
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"late"

        return body()

    def a_write(self, environ, start_response):
        self.client.is_enabled(FLAG)
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"wri")
        return [b"te"]

    def a_second_start(self, environ, start_response):
        self.client.is_enabled(FLAG)
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise ValueError("half way")
        except ValueError:
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    def a_closing(self, environ, start_response):
        self.client.is_enabled(FLAG)
        start_response("200 OK", [("Content-Type", "text/plain")])
        shop = self

        class Body:
            def __iter__(self):
                return iter([b"clo", b"sing"])

            def close(self):
                shop.closed += 1

        return Body()


SHAPES = {
    "a_list": b"list",
    "a_generator": b"generator",
    "a_late_start": b"late",
    "a_write": b"write",
    "a_second_start": b"sorry",
    "a_closing": b"closing",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_body_has_a_length_exactly_where_the_applications_has(shape):
    """Waitress asks whether there is a length, and fails a response whose `__len__` then raises."""
    client = rolling()
    application = getattr(Shop(client), shape)

    def sized(app):
        body = app(an_environ(), lambda *_: lambda _: None)
        return hasattr(body, "__len__") and len(body)

    assert sized(FlagsMiddleware(application, flags=client)) == sized(application)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_validator_is_content_on_both_sides(shape):
    """The middleware is a correct server to the application and a correct application to the server; it tells once."""
    client = rolling()
    told = heard(client, Served)
    shop = Shop(client)
    app = validator(FlagsMiddleware(validator(getattr(shop, shape)), flags=client, context=lambda environ: "u1"))

    status, _, content = call(app)

    assert content == SHAPES[shape]
    assert len(told) == 1
    assert told[0].failed is status.startswith("500")
    assert told[0].unit == b"u1"
    assert shop.closed == (shape == "a_closing")


def test_a_response_the_server_cut_short_is_not_counted():
    """The client left after the first chunk: the body is closed, nothing is told."""
    client = rolling()
    told = heard(client, Served)
    shop = Shop(client)

    body = FlagsMiddleware(shop.a_closing, flags=client, context=lambda environ: "u1")(an_environ(), lambda *_: None)
    assert next(iter(body)) == b"clo"
    body.close()
    body.close()

    assert told == []
    assert shop.closed == 2  # what the server does to us, we do to the body


def test_an_exception_is_the_servers_and_a_failure():
    """Raised by the call or while the body is produced: it passes, and counts against the arm."""
    client = rolling()
    told = heard(client, Served)

    def at_once(environ, start_response):
        client.is_enabled(FLAG)
        raise RuntimeError("at once")

    def later(environ, start_response):
        start_response("200 OK", [])
        client.is_enabled(FLAG)
        yield b"x"
        raise RuntimeError("later")

    for app in (at_once, later):
        with pytest.raises(RuntimeError, match="at once|later"):
            call(FlagsMiddleware(app, flags=client, context=lambda environ: "u1"))

    assert [event.failed for event in told] == [True, True]


def test_leaving_the_interpreter_is_nobodys_failure():
    client = rolling()
    told = heard(client, Served)

    def app(environ, start_response):
        client.is_enabled(FLAG)
        raise SystemExit

    with pytest.raises(SystemExit):
        call(FlagsMiddleware(app, flags=client, context=lambda environ: "u1"))

    assert told == []


def test_a_files_wrapper_reaches_the_server_as_it_is():
    """So that the server can still send the file by itself; the request counts when it is handed on."""
    client = rolling()
    told = heard(client, Served)

    def app(environ, start_response):
        client.is_enabled(FLAG)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))

    environ = an_environ() | {"wsgi.file_wrapper": FileWrapper}
    body = FlagsMiddleware(app, flags=client, context=lambda environ: "u1")(environ, lambda *_: None)

    assert type(body) is FileWrapper
    assert len(told) == 1


def test_a_one_element_body_keeps_its_length():
    """wsgiref sets Content-Length from `len(body) == 1`; going through the middleware does not change the framing."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one"]

    with wsgi_server(app) as bare, wsgi_server(FlagsMiddleware(app, flags=rolling())) as through:
        assert httpx.get(bare).headers["content-length"] == httpx.get(through).headers["content-length"] == "3"


@pytest.mark.parametrize("context", [lambda environ: 1 / 0, lambda environ: object(), lambda environ: b"bytes"])
def test_a_context_that_cannot_be_had_costs_the_targeting_not_the_request(context):
    client = rolling()
    keys = []

    def app(environ, start_response):
        keys.append(scope().context.key)
        start_response("200 OK", [])
        return [b""]

    call(FlagsMiddleware(app, flags=client, context=context))

    assert keys == [None]


def test_two_requests_on_one_thread_do_not_meet():
    """The second request of a thread starts with no exposure of the first."""
    client = rolling()
    told = heard(client, Served)
    app = FlagsMiddleware(Shop(client).a_list, flags=client, context=lambda environ: environ["HTTP_X_USER"])

    for user in ("u1", "u2"):
        call(app, HTTP_X_USER=user)

    assert [event.unit for event in told] == [b"u1", b"u2"]
    assert [len(event.exposures) for event in told] == [1, 1]


GUNICORN_APP = """
    import json, os
    from support.clients import heard, rolling
    from progflags.events import Served
    from progflags.wsgi import FlagsMiddleware

    client = rolling()
    told = heard(client, Served)

    def shop(environ, start_response):
        if environ["PATH_INFO"] == "/":
            client.is_enabled("new-checkout")
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"pid": os.getpid(), "told": len(told), "failed": sum(event.failed for event in told)}).encode()]

    app = FlagsMiddleware(shop, flags=client, context=lambda environ: environ.get("HTTP_X_USER"))
"""


@pytest.mark.parametrize(
    "arguments",
    [("--workers", "4", "--preload"), ("--workers", "2", "--worker-class", "gthread", "--threads", "4")],
    ids=["preload, 4 workers", "threads"],
)
def test_gunicorn_workers_each_count_their_own(arguments, tmp_path):
    """Forked after loading or before, in threads or not: every request is counted once, by the worker that served it."""
    (tmp_path / "shop.py").write_text(dedent(GUNICORN_APP))
    (tmp_path / "support").symlink_to(__import__("pathlib").Path(__file__).parents[1] / "support")

    one_each = httpx.Limits(max_keepalive_connections=0)  # a new connection per request, so that every worker gets some
    with gunicorn("shop:app", *arguments, cwd=tmp_path) as address, httpx.Client(base_url=address, limits=one_each) as browser:
        served = Counter(browser.get("/", headers={"x-user": f"u{i}"}).json()["pid"] for i in range(60))
        seen = {}

        def ask():
            reply = browser.get("/seen").json()
            seen[reply["pid"]] = reply
            return set(seen) >= set(served)

        assert until(ask)

    # A worker's answer to /seen was given after all of its other requests had ended.
    assert {pid: reply["told"] for pid, reply in seen.items() if pid in served} == dict(served)


# -- a request by hand ------------------------------------------------------------------------------------------------


def an_environ(**more):
    environ = {}
    setup_testing_defaults(environ)
    environ["wsgi.input"] = io.BytesIO()
    return environ | {"QUERY_STRING": ""} | more


def call(app, **more):
    """What a server does with an application: status, headers and content."""
    state, written = [], []

    def start_response(status, headers, exc_info=None):
        if exc_info and written:
            raise exc_info[1]
        state[:] = [status, headers]
        return written.append

    body = app(an_environ(**more), start_response)
    try:
        written.extend(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return state[0], state[1], b"".join(written)
