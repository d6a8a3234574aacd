"""FlagsMiddleware for WSGI: who is asking, and what became of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from progflags._anonymous import AnonymousId
from progflags._trouble import swallow
from progflags.context import Scope, as_context, begin
from progflags.events import Served
from progflags.flags import Client, given

__all__ = ["FlagsMiddleware"]

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class FlagsMiddleware:
    """
    Bind each request's context, and count the whole request for every flag evaluated during it.

    `context` is called with the environ and returns what every evaluation takes (a Context, a targeting key, a mapping,
    None). What it raises is counted and logged once, and the request goes on as nobody.

    A request counts with the last piece of its response: `failed` is a status of 500 or more, or an exception on the
    way; seconds run from the call to that piece, so a streamed body counts to its end. A response the server closed
    before its end (the client left) is not counted. A `wsgi.file_wrapper` response is handed on as it is, so that the
    server can still send the file by itself, and counts when it is handed on. The context stays bound while the body is
    produced.

    `anonymous` (a secret, or an AnonymousId) gives visitors without a targeting key a sticky one, in a signed cookie.
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
        self._context = context
        self._anonymous = AnonymousId.of(anonymous)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        who, cookie = self._who(environ), None
        if self._anonymous is not None:
            https = environ.get("wsgi.url_scheme") == "https"
            who, cookie = self._anonymous.identify(who, environ.get("HTTP_COOKIE", ""), https=https)
        request = _Request(begin(who), given(self._flags))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            request.status = int(status[:3])
            if cookie is not None:
                headers = [*headers, ("Set-Cookie", cookie)]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = self.app(environ, start)
        except BaseException as error:
            request.end(failed=isinstance(error, Exception), told=isinstance(error, Exception))
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            request.end(failed=False)
            return body
        return _SizedBody(body, request) if hasattr(type(body), "__len__") else _Body(body, request)

    def _who(self, environ: Environ) -> Any:
        if self._context is None:
            return None
        try:
            return as_context(self._context(environ))
        except Exception as error:
            swallow("FlagsMiddleware context", error)
            return None


class _Request:
    """One request: when it began, what status it got, and one telling at its end."""

    __slots__ = ("_client", "_here", "_over", "_started", "status")

    def __init__(self, here: Scope, client: Client | None) -> None:
        self._here = here
        self._client = client
        self._started = perf_counter()
        self._over = False
        self.status = 0

    def end(self, *, failed: bool, told: bool = True) -> None:
        """`failed`: something was raised; a bad status is seen here."""
        if self._over:
            return
        self._over = True
        here = self._here
        here.closing()
        # Without a status nobody has called `start_response`: the server answers 500.
        failed = failed or self.status >= 500 or self.status == 0
        if told and self._client is not None and here.exposures and not here.silent:
            self._client.bus.tell(Served(tuple(here.exposures.values()), perf_counter() - self._started, failed, here.context._kb))
        here.end()


class _Body:
    """
    The response's iterable, watched to its end.

    The request is over with the last piece, or with `close`, whichever comes first; a body that is dropped without either
    (test clients do) ends it, too, so that the thread does not stay that request's.
    """

    __slots__ = ("_complete", "_failed", "_inner", "_iterator", "_request")

    def __init__(self, inner: Iterable[bytes], request: _Request) -> None:
        self._inner = inner
        self._iterator: Iterator[bytes] | None = None
        self._request = request
        self._complete = False
        self._failed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._inner)
            piece = next(self._iterator)
        except StopIteration:
            self._complete = True
            self._end()
            raise
        except Exception:
            self._complete = self._failed = True
            raise
        if self._request.status == 0 and piece:  # without a status the server answers 500, and asks for no more
            self._complete = True
        return piece

    def close(self) -> None:
        try:
            close = getattr(self._inner, "close", None)
            if close is not None:
                close()
        finally:
            self._end()

    def __del__(self) -> None:
        self._end()

    def _end(self) -> None:
        self._request.end(failed=self._failed, told=self._complete)


class _SizedBody(_Body):
    """
    One whose length is the inner one's.

    A class of its own, because servers ask whether there is a length before they take it: waitress fails a request whose
    iterable has `__len__` and raises from it.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._inner)  # type: ignore[arg-type] # it has one

    def __bool__(self) -> bool:
        return True  # an empty list is still a response
