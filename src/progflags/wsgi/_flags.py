"""FlagsMiddleware for WSGI: who is asking, and what became of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from progflags._anonymous import AnonymousId
from progflags._identity import Asking, head, sending
from progflags._process import look
from progflags.context import NOBODY, Scope, enter
from progflags.events import Served
from progflags.flags import Client, given
from progflags.wsgi._body import Body, Sized
from progflags.wsgi._response import code, is_iterable, is_whole

__all__ = ["FlagsMiddleware"]

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class FlagsMiddleware:
    """
    Bind each request's context, and count the whole request for every flag evaluated during it.

    `context` is called with the environ and returns what every evaluation takes (a Context, a targeting key, a mapping,
    None); it is called when a flag is first asked for, or not at all. What it raises is counted and logged once, and the
    request goes on as nobody.

    A request counts with the last piece of its response: `failed` is a status of 500 or more, or an exception on the
    way; seconds run from the call to that piece, so a streamed body counts to its end. A response the server closed
    before its end (the client left) is not counted. A list, a tuple and a `wsgi.file_wrapper` are handed on as they are, so
    that the server takes their length or sends the file by itself, and count when they are handed on. The context stays
    bound while the body is produced.

    `anonymous` (a secret, or an AnonymousId) gives visitors without a targeting key a sticky one, in a signed cookie: in the
    answers to requests that needed it, which also say `Vary: Cookie`. With it the server is told the head of a response with
    its first piece.

        def who(environ):
            return pf.Context(environ.get("REMOTE_USER"), {"path": environ["PATH_INFO"]})

        app.wsgi_app = FlagsMiddleware(app.wsgi_app, flags=flags, context=who, anonymous=SECRET)
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        flags: Client | None = None,
        context: Callable[[Environ], Any] | None = None,
        anonymous: AnonymousId | str | bytes | None = None,
    ) -> None:
        self.app = app
        self._flags = flags
        self._asking = Asking.of(context, anonymous, _cookies)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        asking = self._asking
        look()
        request = _Request(None if asking.known else NOBODY, asking, environ)
        request.client = self._flags if self._flags is not None else given(None)
        enter(request)
        if asking.anonymous is not None:
            request.waiting = _Head(request, start_response)
            start_response = request.waiting.start

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            request.status = code(status)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = self.app(environ, start)
            whole = type(body) is list or is_whole(body, environ)
            if request.waiting is not None and (whole or not is_iterable(body)):  # nothing of the application runs from here on
                request.waiting.let_go()
        except BaseException as error:
            request.finish(failed=isinstance(error, Exception), told=isinstance(error, Exception))
            raise
        if whole:
            request.finish(failed=False)
            return body
        if not is_iterable(body):  # the server knows what it means (gunicorn's ALREADY_HANDLED); one that was announced it refuses
            request.finish(failed=True, told=request.status != 0)
            return body
        return _SizedBody(body, request) if hasattr(type(body), "__len__") else _Body(body, request)


def _cookies(environ: Environ) -> tuple[str, bool]:
    return environ.get("HTTP_COOKIE", ""), environ.get("wsgi.url_scheme") == "https"


class _Head:
    """Holds a response's head back until its first piece (a server sends it no earlier): until then the id may be needed."""

    __slots__ = ("_held", "_here", "_start", "_write")

    def __init__(self, here: Scope, start: StartResponse) -> None:
        self._here = here
        self._start = start
        self._held: tuple[Any, ...] | None = None
        self._write: Callable[[bytes], object] | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """The application's `start_response`. With `exc_info` it may start over; without, a second time is the server's to refuse."""
        if self._held is not None and not exc_info:
            self.let_go()
        self._held = (status, headers, exc_info) if exc_info else (status, headers)
        if self._write is not None:
            self.let_go()
        return self.write

    def write(self, piece: bytes) -> object:
        self.let_go()
        return None if self._write is None else self._write(piece)

    def let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            status, headers, *error = held
            found = sending(self._here)
            self._write = self._start(status, headers if found is None else head(headers, found), *error)


class _Request(Scope):
    """One request: what status it got, and one telling at its end. `waiting`: its head, where that is held back."""

    status = 0
    waiting: _Head | None = None

    def let_go(self) -> None:
        """The first piece is there, or the end."""
        if self.waiting is not None:
            self.waiting.let_go()

    def finish(self, *, failed: bool, told: bool = True) -> None:
        """`failed`: something was raised; a bad status is seen here."""
        if self.over:
            return
        if self._closing:
            self.closing()
        if told and self.exposures and self.client is not None and not self.silent:
            # Without a status nobody has called `start_response`: the server answers 500.
            failed = failed or self.status >= 500 or self.status == 0
            self.client.bus.tell(Served.of(self, perf_counter() - self.began, failed=failed))
        self.end()


class _Body(Body):
    """
    The response's iterable, watched to its end.

    The request is over with the last piece, or with `close`, whichever comes first; a body that is dropped without either
    (test clients do) ends it, too, so that the thread does not stay that request's.
    """

    __slots__ = ("_complete", "_failed", "_request")

    def __init__(self, inner: Iterable[bytes], request: _Request) -> None:
        self._inner, self._iterator = inner, None
        self._request = request
        self._complete = False
        self._failed = False

    def _met(self, piece: bytes) -> None:
        self._request.let_go()
        if piece and self._request.status == 0:  # without a status the server answers 500, and asks for no more
            self._complete = True

    def _ran_out(self) -> None:
        self._complete = True
        self._request.let_go()
        self._end()

    def _broke(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._complete = self._failed = True

    def close(self) -> None:
        try:
            self._close_inner()
        finally:
            self._end()

    def __del__(self) -> None:
        self._end()

    def _end(self) -> None:
        self._request.finish(failed=self._failed, told=self._complete)


class _SizedBody(Sized, _Body):
    __slots__ = ()
