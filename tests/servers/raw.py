"""One application as WSGI and ASGI that says what it was asked; with PROGFLAGS_RAW=around our middlewares are around it."""

import hashlib
import json
import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from lifespan import lived

import progflags as pf
from progflags import asgi, wsgi

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get")
TEXT = ("Content-Type", "text/plain; charset=utf-8")
COOKIES = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; HttpOnly"), ("X-Odd", ""), ("Vary", "Accept")]


def answer(method, path, query, body):
    """Status, headers and pieces; an exception among the pieces is raised there."""
    said = f"{method} {path} {query!r} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    match path:
        case "/empty":
            return 204, [], []
        case "/same":
            return 304, [("ETag", '"1"')], []
        case "/elsewhere":
            return 302, [("Location", "/there?x=1"), TEXT, ("Content-Length", "2"), *COOKIES], [b"go"]
        case "/stream":
            return 200, [TEXT], [b"one ", b"", b"two ", b"x" * 5000]
        case "/big":
            return 200, [TEXT, ("Content-Length", "300000")], [b"y" * 100_000] * 3
        case "/fails":
            return 0, [], [RuntimeError("before it has answered")]
        case "/breaks":
            return 200, [TEXT, ("Content-Length", "1000")], [b"one ", RuntimeError("in the middle")]
        case _:
            return 200, [TEXT, ("Content-Length", str(len(said)))], [said]


def pieces(of):
    for each in of:
        if isinstance(each, Exception):
            raise each
        yield each


def plain_wsgi(environ, start):
    path, read = environ["PATH_INFO"], environ["wsgi.input"].read
    length = environ.get("CONTENT_LENGTH")
    body = b"" if path == "/ignores" else read(int(length)) if length else read() if environ.get("wsgi.input_terminated") else b""
    status, headers, parts = answer(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), body)
    if not status:
        raise parts[0]
    write = start(f"{status} Said", headers)
    if path == "/written":
        for piece in parts:
            write(piece)
        return []
    return list(parts) if path != "/stream" and not any(isinstance(each, Exception) for each in parts) else pieces(parts)


async def plain_asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await lived(receive, send)
        return
    if scope["type"] != "http":
        await send({"type": "websocket.close"})
        return
    body, more = b"", scope["path"] != "/ignores"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status, headers, parts = answer(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), body)
    if not status:
        raise parts[0]
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    for piece in pieces(parts):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def told(door):
    """What the shadows found here; on a path of its own, outside what is compared."""
    return json.dumps(door.dark_launch.stats().outcomes).encode()


if os.environ.get("PROGFLAGS_RAW") == "around":
    flags = pf.connect({"flags": {"door": {"percent": 100}}}, poll=None)
    door_wsgi = wsgi.DarkLaunchMiddleware(plain_wsgi, flag="door", candidate=plain_wsgi, flags=flags, methods=METHODS)
    door_asgi = asgi.DarkLaunchMiddleware(plain_asgi, flag="door", candidate=plain_asgi, flags=flags, methods=METHODS)
    around_wsgi, around_asgi = wsgi.FlagsMiddleware(door_wsgi, flags=flags), asgi.FlagsMiddleware(door_asgi, flags=flags)

    def for_wsgi(environ, start):
        if environ["PATH_INFO"] != "/told":
            return around_wsgi(environ, start)
        body = told(door_wsgi)
        start("200 OK", [TEXT, ("Content-Length", str(len(body)))])
        return [body]

    async def for_asgi(scope, receive, send):
        if scope["type"] != "http" or scope["path"] != "/told":
            await around_asgi(scope, receive, send)
            return
        body = told(door_asgi)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

else:
    for_wsgi, for_asgi = plain_wsgi, plain_asgi

application = for_wsgi  # the name uWSGI looks for


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), for_wsgi, handler_class=_Quiet).serve_forever()
