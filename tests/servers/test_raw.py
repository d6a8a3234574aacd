"""Whatever bytes a client sends, it gets the bytes it would get without our middlewares, from every server."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.patience import until
from support.web import free_port

from .test_servers import APP, BIN, needed

CRLF = b"\r\n"
WAITS = object()  # for the server to say something, as a client that expects 100-continue does
ENDS = object()  # the client has said all it will
TRIES = 25  # of a request that a server answers now so, now so, as the pieces it comes in happen to arrive


def request(method="GET", path="/", *headers, body=b"", version="1.1", last=True, host=True, length=None):
    """One request as bytes; the `last` of its connection says so."""
    lines = [f"{method} {path} HTTP/{version}".encode()]
    lines += [b"Host: example.test"] if host else []
    lines += [f"Content-Length: {len(body) if length is None else length}".encode()] if body or length is not None else []
    lines += [each if isinstance(each, bytes) else each.encode() for each in headers]
    lines += [b"Connection: close"] if last else []
    return CRLF.join(lines) + CRLF + CRLF + body


def chunked(*pieces, extension=b"", trailers=b""):
    said = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return said + b"0\r\n" + trailers + CRLF


LAST = request(path="/last")
CHUNKED = "Transfer-Encoding: chunked"
REQUESTS = {
    "get": [request()],
    "get of 1.0": [request(version="1.0", last=False)],
    "get of 1.0 that keeps the connection": [request("GET", "/", "Connection: keep-alive", version="1.0", last=False), LAST],
    "two on one connection": [request(last=False) + LAST],
    "five on one connection": [b"".join(request(path=f"/{n}", last=False) for n in range(4)) + LAST],
    "head": [request("HEAD", last=False) + LAST],
    "head of a stream": [request("HEAD", "/stream", last=False) + LAST],
    "head of much": [request("HEAD", "/big", last=False) + LAST],
    "options": [request("OPTIONS")],
    "options of everything": [request("OPTIONS", "*")],
    "delete": [request("DELETE", "/thing")],
    "put": [request("PUT", "/thing", body=b"new")],
    "patch of nothing": [request("PATCH", "/thing", length=0)],
    "trace": [request("TRACE")],
    "a method in lower case": [request("get")],
    "post": [request("POST", "/", "Content-Type: application/json", body=b'{"a": 1}', last=False) + LAST],
    "post without a length": [request("POST")],
    "post in chunks": [request("POST", "/", CHUNKED) + chunked(b"one ", b"two")],
    "chunks with extensions and trailers": [request("POST", "/", CHUNKED) + chunked(b"one", extension=b";a=b", trailers=b"X-Sum: 3\r\n")],
    "chunks and another request": [request("POST", "/", CHUNKED, last=False) + chunked(b"one ", b"two") + LAST],
    "a body nobody reads": [request("POST", "/ignores", body=b"z" * 2_000, last=False) + LAST],
    "a body that is announced": [request("POST", "/", "Expect: 100-continue", length=3, last=False), WAITS, b"abc" + LAST],
    "a body that is announced and not read": [request("POST", "/ignores", "Expect: 100-continue", length=3), WAITS, b"abc"],
    "a large body": [request("POST", "/", body=b"abcdefgh" * 40_000)],
    "a large body in chunks": [request("POST", "/", CHUNKED) + chunked(*[b"q" * 9_000] * 20)],
    "a body with a get": [request("GET", "/", body=b"odd", last=False) + LAST],
    "a body that is cut off": [request("POST", "/", body=b"half", length=10), ENDS],
    "an odd query": [request(path="/?a=%20b&c=%C3%A9&&=&%zz")],
    "an odd path": [request(path="/%E2%82%AC%2F..%2f/./x;y=1")],
    "a long path": [request(path="/" + "p" * 2_000)],
    "an absolute address": [request(path="http://example.test/absolute?x=1")],
    "empty and repeated headers": [request("GET", "/", "X-Empty:", "X-Two: 1", "X-Two: 2", b"X-Latin: caf\xe9", "X-Space: \t a \t")],
    "many headers": [request("GET", "/", *(f"X-{n}: {n}" for n in range(60)))],
    "odd cookies": [request("GET", "/", 'Cookie: a="b; c=\\\\; ;;=; progflags=x')],
    "our own marker": [request("GET", "/", "Progflags-Shadow: door;1")],
    "nothing of a body": [request(path="/empty", last=False) + LAST],
    "not modified": [request("GET", "/same", 'If-None-Match: "1"', last=False) + LAST],
    "elsewhere, with cookies": [request(path="/elsewhere", last=False) + LAST],
    "a stream": [request(path="/stream", last=False) + LAST],
    "a stream for 1.0": [request(path="/stream", version="1.0", last=False)],
    "much": [request(path="/big", last=False) + LAST],
    "what is written": [request(path="/written", last=False) + LAST],
    "a range": [request("GET", "/big", "Range: bytes=0-9")],
    "an event stream": [request("GET", "/stream", "Accept: text/event-stream")],
    "an upgrade to something unknown": [request("GET", "/", "Upgrade: teapot", "Connection: upgrade", last=False) + LAST],
    "what fails": [request(path="/fails", last=False) + LAST],
    "what breaks off": [request(path="/breaks")],
    "no host": [request(host=False)],
    "lines before it": [CRLF + request()],
    "no request": [b"HELLO\r\n\r\n"],
    "no version there is": [request(version="9.9")],
    "two lengths": [request("POST", "/", "Content-Length: 4", body=b"abc"), ENDS],
    "a length that is none": [request("POST", "/", "Content-Length: abc")],
    "a length and chunks": [request("POST", "/", CHUNKED, length=3) + chunked(b"abc")],
    "chunks that are none": [request("POST", "/", CHUNKED) + b"zz\r\nabc\r\n"],
    "a header without a name": [request("GET", "/", ": nothing")],
}
SERVERS = {
    "wsgiref": ("progflags", "python raw.py {port}"),
    "gunicorn": ("gunicorn", "gunicorn -b 127.0.0.1:{port} --log-level critical raw:for_wsgi"),
    "gunicorn-gthread": ("gunicorn", "gunicorn -k gthread --threads 2 -b 127.0.0.1:{port} --log-level critical raw:for_wsgi"),
    "uwsgi": ("pyuwsgi", "uwsgi --http-socket 127.0.0.1:{port} --wsgi-file raw.py --need-app --enable-threads --die-on-term"),
    "waitress": ("waitress", "waitress-serve --listen=127.0.0.1:{port} raw:for_wsgi"),
    "granian-wsgi": ("granian", "granian --interface wsgi --host 127.0.0.1 --port {port} raw:for_wsgi"),
    "uvicorn-h11": ("uvicorn", "uvicorn --http h11 --port {port} --log-level critical raw:for_asgi"),
    "uvicorn-httptools": ("httptools", "uvicorn --http httptools --port {port} --log-level critical raw:for_asgi"),
    "hypercorn": ("hypercorn", "hypercorn -b 127.0.0.1:{port} raw:for_asgi"),
    "daphne": ("daphne", "daphne -b 127.0.0.1 -p {port} -v 0 raw:for_asgi"),
    "granian-asgi": ("granian", "granian --interface asgi --host 127.0.0.1 --port {port} raw:for_asgi"),
}
QUIET = 2.0  # seconds after which a server that neither answers nor hangs up has said all it will


@contextlib.contextmanager
def serving(name, which, folder):
    """The server with the application alone, or with our middlewares around it; yields its port."""
    package, command = SERVERS[name]
    needed(package)
    port = free_port()
    program, *rest = command.format(port=port).split()
    home = ["--home", sys.prefix] if program == "uwsgi" else []
    environ = {**os.environ, "PROGFLAGS_RAW": which, "PYTHONPATH": str(APP), "VIRTUAL_ENV": sys.prefix}
    with (folder / f"{name}-{which}").open("wb") as log:
        process = subprocess.Popen([str(BIN / program), *home, *rest], cwd=APP, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: said(port, REQUESTS["get"]) or process.poll() is not None, 60)
        assert process.poll() is None, (folder / f"{name}-{which}").read_text()[-2000:]
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def said(port, steps):
    """Every byte that comes back, dates aside, and nothing where nobody listens."""
    heard = bytearray()
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), QUIET) as connection:
        for step in steps:
            if step is WAITS:
                with contextlib.suppress(TimeoutError):
                    heard += connection.recv(1 << 16)
            elif step is ENDS:
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.sendall(step)
        with contextlib.suppress(TimeoutError):
            while piece := connection.recv(1 << 16):
                heard += piece
    return re.sub(rb"(?i)\r\ndate: [^\r]*", b"\r\ndate: then", bytes(heard))


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_every_request_has_the_answer_it_would_have_without_us(name, tmp_path):
    assert len(REQUESTS) >= 40
    with serving(name, "alone", tmp_path) as alone, serving(name, "around", tmp_path) as around, ThreadPoolExecutor(2) as both:

        def differs(steps):
            """A server may answer one and the same request now so, now so: then so may it with us, but in no other way."""
            first, second = both.map(said, (alone, around), (steps, steps))
            if first == second:
                return None
            for _ in range(TRIES):
                if said(alone, steps) == second or said(around, steps) == first:
                    return None
            return first[:600], second[:600]

        found = {what: apart for what, steps in REQUESTS.items() if (apart := differs(steps)) is not None}
        assert found == {}
        ended = {}

        def compared():
            ended.update(json.loads(said(around, [request(path="/told")]).partition(b"\r\n\r\n")[2]))
            return ended.get("match", 0) >= 20

        until(compared, said=lambda: ended)
        assert ended["mismatch"] == ended["candidate_error"] == 0, ended
