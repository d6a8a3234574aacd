"""A remote candidate: one origin, named headers, and nothing a request could bend."""

import asyncio
import contextlib
import gc
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

import progflags as pf
from progflags.asgi import DarkLaunchMiddleware
from progflags.darklaunch.http._remote import Remote

from .test_asgi import ask, json_app, scope


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/evil")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b'{"a": 1}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "candidate=leak")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.seen = []
    made.origin = f"http://127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


CREDENTIALS = [
    (b"authorization", b"Bearer x"),
    (b"cookie", b"session=1"),
    (b"x-api-key", b"k"),
    (b"proxy-authorization", b"y"),
    (b"x-csrf-token", b"t"),
]


async def test_the_remote_gets_the_request_without_anybodys_credentials(flags, engine, server, monkeypatch):
    """And without the environment's proxies, and with the marker."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    middleware = DarkLaunchMiddleware(json_app({"a": 1}), flag="on", candidate=server.origin, flags=flags)
    headers = [*CREDENTIALS, (b"host", b"evil.test"), (b"accept", b"application/json"), (b"x-forwarded-host", b"evil.test")]
    sent = await ask(middleware, scope(path="/items", headers=headers, query_string=b"q=1&r=%20"))

    assert await middleware.dark_launch.adrain()
    assert middleware.dark_launch.stats().outcomes["match"] == 1, middleware.dark_launch.stats()
    assert sent[0]["headers"] == [(b"content-type", b"application/json")]
    method, path, seen = server.seen[0]
    assert (method, path, seen["host"]) == ("GET", "/items?q=1&r=%20", server.origin.removeprefix("http://"))
    assert not set(seen) & {"authorization", "cookie", "x-api-key", "proxy-authorization", "x-csrf-token", "x-forwarded-host"}
    assert seen["accept"] == "application/json"
    assert seen["progflags-shadow"].startswith("on;")
    await middleware._remote.aclose()


HOSTILE_PATHS = [
    b"//evil.test/x",
    b"/\\evil.test",
    b"http://evil.test/x",
    b"@evil.test/",
    b":80@evil.test/",
    b"/x\r\nHost: evil.test\r\n",
    b"/x HTTP/1.1\r\nX: y",
    b"/\x00",
    b"/../../x",
    b"/%0d%0aX:y",
    b"/redirect",
    "/ü".encode(),
    b"/#fragment",
    b"/?a#b",
    b"",
    b"/x;y=z",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=range(len(HOSTILE_PATHS)))
@pytest.mark.parametrize("query", [b"", b"a=1#@evil.test", b"x\r\nHost: evil.test"])
async def test_no_path_reaches_another_host_or_smuggles_a_line(path, query, server):
    remote = Remote(server.origin, forward=["x-extra"])
    answer = await remote.ask(
        "GET", path, query, [("x-extra", "a\r\nHost: evil.test"), ("x-extra\r\nA", "b"), ("transfer-encoding", "chunked")], b""
    )
    await remote.aclose()

    assert len(server.seen) == 1
    assert answer.status in {200, 302}
    _, seen, headers = server.seen[0]
    assert seen.startswith("/")
    assert "\r" not in seen
    assert "\n" not in seen
    assert "x-extra" not in headers
    assert "transfer-encoding" not in headers
    assert headers["host"] == server.origin.removeprefix("http://")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "example.com",
        "ftp://x",
        "https://",
        "https://user:secret@host",
        "https://host?x",
        "https://host#x",
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://0.0.0.0",
        "http://[::ffff:169.254.169.254]",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://169.254.43518",
        "http://169.254.169.254.",
    ],
)
def test_what_is_no_safe_origin_is_refused_when_written(origin):
    with pytest.raises(ValueError):
        Remote(origin)


def test_headers_of_a_connection_cannot_be_forwarded():
    with pytest.raises(ValueError, match="host"):
        Remote("https://host", forward=["Host"])


async def test_a_cookie_set_for_one_user_does_not_go_with_the_request_of_another(server):
    """The remote answers each shadow with a Set-Cookie: a session that is that user's."""
    remote = Remote(server.origin, forward=["cookie"])
    for own in ([], [("cookie", "mine=1")], []):
        await remote.ask("GET", b"/", b"", own, b"")
    await remote.aclose()

    assert [headers.get("cookie") for _, _, headers in server.seen] == [None, "mine=1", None]


async def test_a_header_that_is_not_ascii_goes_along_as_it_came(server):
    remote = Remote(server.origin)
    await remote.ask("GET", b"/", b"", [("user-agent", "caf\xe9")], b"")
    await remote.aclose()

    assert server.seen[0][2]["user-agent"] == "caf\xe9"


@pytest.mark.parametrize("up", [b"/../secret", b"/a/../../secret", b"/%2e%2e/secret", b"/a/%2E%2e/.%2e/secret", b"/..", b"/./%2e/../../"])
async def test_no_path_climbs_above_the_origins_own(up, server):
    remote = Remote(f"{server.origin}/tenant")
    await remote.ask("GET", up, b"", [], b"")
    await remote.aclose()

    assert server.seen[0][1] in {"/tenant/secret", "/tenant/"}


@pytest.mark.parametrize(
    ("path", "asked"), [(b"/a/./b/../c", "/a/c"), (b"/a/b/..", "/a/"), (b"/a.b/..c/...", "/a.b/..c/..."), (b"/a/", "/a/")]
)
def test_a_path_is_otherwise_the_same(path, asked):
    assert Remote("https://host").url(path, b"") == f"https://host{asked}"


def test_one_remote_serves_one_event_loop_after_the_other(server):
    """Each `asyncio.run` has a loop of its own, perhaps where the last one was in memory."""
    remote = Remote(server.origin)

    async def ask_once():
        answer = await remote.ask("GET", b"/", b"", [], b"")
        await remote.aclose()
        return answer.status

    assert [asyncio.run(ask_once()) for _ in range(10)] == [200] * 10


async def test_a_candidate_that_is_down_is_the_candidates_failure(flags, engine):
    middleware = DarkLaunchMiddleware(json_app({}), flag="on", candidate="http://127.0.0.1:9", flags=flags)
    for _ in range(3):
        await ask(middleware)
    assert await middleware.dark_launch.adrain()

    outcomes = middleware.dark_launch.stats().outcomes
    assert outcomes["candidate_error"] + outcomes["timeout"] == 3


def test_wsgi_asks_remotes_too(flags, engine, server):
    from progflags.wsgi import DarkLaunchMiddleware as WSGIMiddleware

    from .test_wsgi import ask as ask_wsgi
    from .test_wsgi import environ
    from .test_wsgi import json_app as wsgi_app

    middleware = WSGIMiddleware(wsgi_app({"a": 1}), flag="on", candidate=server.origin, flags=flags)
    ask_wsgi(middleware, environ(path="/x", HTTP_AUTHORIZATION="Bearer x"))

    assert middleware.dark_launch.drain()
    assert middleware.dark_launch.stats().outcomes["match"] == 1, middleware.dark_launch.stats()
    assert "authorization" not in server.seen[0][2]
    loop = engine.background._loop
    asyncio.run_coroutine_threadsafe(middleware._remote.aclose(), loop).result(5)


class Raw:
    """A server that says what it is told to, byte by byte, and then nothing."""

    def __init__(self, *pieces, ends=True):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._pieces = pieces
        self._ends = ends
        self.clients = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.clients.append(client)
            client.recv(65536)
            with contextlib.suppress(OSError):
                for piece in self._pieces:
                    client.sendall(piece)
                if self._ends:
                    client.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for one in (self._server, *self.clients):
            one.close()


@pytest.fixture
def raw():
    made = []

    def make(*pieces, **options):
        made.append(Raw(*pieces, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def test_a_remote_candidates_connections_are_none_of_the_applications_loop(flags, engine, server):
    middleware = DarkLaunchMiddleware(json_app({"a": 1}), flag="on", candidate=server.origin, flags=flags)
    await ask(middleware)
    assert await middleware.dark_launch.adrain(60)

    assert middleware.dark_launch.stats().outcomes["match"] == 1
    assert asyncio.get_running_loop() not in middleware._remote._clients
    assert len(middleware._remote._clients) == 1
    await middleware._remote.aclose()
    assert not middleware._remote._clients


@pytest.mark.parametrize("given_up", [False, True], ids=["answered", "given up"])
async def test_the_work_of_an_exchange_is_charged_to_the_shadows_share(flags, raw, given_up):
    """It runs in a task of its own, also after it was given up; and it is charged once."""
    chunk = b"1\r\nx\r\n" * 1000
    server = raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n", *[chunk] * 5, b"0\r\n\r\n", ends=not given_up
    )
    charged = []
    remote = Remote(server.origin, charge=charged.append)
    began = time.thread_time()
    try:
        async with asyncio.timeout(1.0 if given_up else 60):
            await remote.ask("GET", b"/", b"", [], b"")
    except TimeoutError:
        pass
    async with asyncio.timeout(60):  # what was given up ends in its own task
        while not charged:
            await asyncio.sleep(0.005)
    await remote.aclose()
    assert len(charged) == 1
    assert (0 if given_up else 0.001) < charged[0] <= time.thread_time() - began


async def test_a_middlewares_remote_charges_its_engine(flags, engine, server, monkeypatch):
    spent = []
    middleware = DarkLaunchMiddleware(json_app({"a": 1}), flag="on", candidate=server.origin, flags=flags)
    monkeypatch.setattr(engine, "cpu", SimpleNamespace(spend=spent.append, allows=lambda: True, spent=0.0))
    await ask(middleware)
    assert await middleware.dark_launch.adrain(60)
    async with asyncio.timeout(60):  # its own steps, the exchange, and comparing, which is charged when its thread is done with it
        while len([seconds for seconds in spent if seconds > 0]) < 3:
            await asyncio.sleep(0.005)
    await middleware._remote.aclose()


async def test_an_answer_in_too_many_pieces_is_the_candidates_failure(flags, engine, raw):
    """Each piece is an event: a megabyte of single bytes would be a million of them."""
    chunk = b"1\r\nx\r\n" * 1000
    server = raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n")
    middleware = DarkLaunchMiddleware(json_app({"a": 1}), flag="on", candidate=server.origin, flags=flags, deadline=60)
    await ask(middleware)

    assert await middleware.dark_launch.adrain(60)
    assert middleware.dark_launch.stats().outcomes["candidate_error"] == 1
    await middleware._remote.aclose()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"], ids=["nothing", "half"])
async def test_an_exchange_that_is_given_up_ends_in_its_own_task(flags, engine, raw, said, caplog):
    """Nothing is closed from outside (`coroutine ignored GeneratorExit`), and no exception is left for nobody to hear."""
    server = raw(said, ends=False)
    middleware = DarkLaunchMiddleware(json_app({"a": 1}), flag="on", candidate=server.origin, flags=flags, deadline=0.1)
    for _ in range(3):
        await ask(middleware)
    assert await middleware.dark_launch.adrain(60)
    await middleware._remote.aclose()
    gc.collect()

    outcomes = middleware.dark_launch.stats().outcomes
    assert outcomes["timeout"] + outcomes["abandoned"] == 3
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_remote_candidate_without_its_package_is_refused_at_once(flags, monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)

    with pytest.raises(pf.ProgflagsError, match="fastapi"):
        DarkLaunchMiddleware(json_app({}), flag="on", candidate="https://example.org", flags=flags)
