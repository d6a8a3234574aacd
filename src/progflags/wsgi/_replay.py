"""The request of a control, kept as far as it was read, and made once more: of an application, or of a remote candidate."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

from progflags.darklaunch.compare import Answer
from progflags.darklaunch.guards import HEADER, mark
from progflags.darklaunch.http import Remote
from progflags.darklaunch.http import Request as _Kept
from progflags.darklaunch.shadow import current

__all__ = ["MARK", "Environ", "ExcInfo", "Request", "StartResponse", "WSGIApp", "headers_of", "replay", "to_remote"]

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

MARK: Final = "HTTP_" + HEADER.upper().replace("-", "_")
_KEPT: Final = frozenset({"wsgi.version", "wsgi.url_scheme", "wsgi.run_once", "wsgi.multiprocess"})
_NONE: Final[dict[str, Any]] = {}
_DIGITS: Final = 20  # of a Content-Length that can be meant
_PLAIN_PATH: Final = "/!$&'()*+,;=:@~-._"


class Request(_Kept):
    """`wsgi.input` for the control, which remembers what it hands out; and the environ as it came."""

    def __init__(self, environ: Environ, most: int) -> None:
        super().__init__(most)
        # Upper-case names are the request's; the rest belongs to the server or to what ran before us.
        self.environ = {name: value for name, value in environ.items() if name.isupper() or name in _KEPT}
        self._input = environ["wsgi.input"]
        self._ended = False
        length = environ.get("CONTENT_LENGTH") or ""
        self._length = int(length) if length.isascii() and length.isdecimal() and len(length) < _DIGITS else -1 if length else 0
        # Without a length a body ends where the server says so; one that is neither chunked nor of a later HTTP has none.
        # `wsgi.input_terminated` is no sign of a body: gunicorn says it of every request.
        self._endless = "HTTP_TRANSFER_ENCODING" in environ or (
            not length and not environ.get("SERVER_PROTOCOL", "HTTP/1").startswith("HTTP/1")
        )

    @property
    def complete(self) -> bool:  # type: ignore[override]  # worked out when asked
        """Whether the control read the whole body, as far as anyone can tell."""
        return self._ended if self._endless else self.size == self._length

    def _note(self, data: bytes, asked: int | None = None) -> bytes:
        if not data or asked is None or asked < 0:
            self._ended = True
        self.keep(data)
        return data

    # Asked as we are asked: where a server's input does not know a size of -1, it does not with us either.

    def read(self, *size: int) -> bytes:
        return self._note(self._input.read(*size), *size)

    def readline(self, *size: int) -> bytes:
        return self._note(self._input.readline(*size), 1)

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._note(line, 1) for line in self._input.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._input:
            yield self._note(line, 1)
        self._ended = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._input, name)


def headers_of(environ: Environ) -> list[tuple[str, str]]:
    pairs = [(name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name.startswith("HTTP_")]
    return [*pairs, ("content-type", environ["CONTENT_TYPE"])] if environ.get("CONTENT_TYPE") else pairs


def replay(app: WSGIApp, request: Request, most: int) -> Answer:
    """The request once more, with nothing of the server's; the response read to its end, up to `most` bytes."""
    errors = io.StringIO()
    environ: Environ = {
        **request.environ,
        "wsgi.input": io.BytesIO(b"".join(request.chunks)),
        "wsgi.errors": errors,
        "wsgi.multithread": True,
    }
    environ["wsgi.input_terminated"] = True
    here = current()
    if here is not None:
        environ[MARK] = mark(here)
    said: list[Any] = []
    parts = _Capped(most)

    def start(status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        if exc_info is not None and parts.kept:
            raise exc_info[1]
        said[:] = [status, headers]
        return parts.keep

    body = app(environ, start)
    try:
        for data in body:
            parts.keep(data)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    if not said:
        raise RuntimeError("the candidate never called start_response")
    return Answer(int(said[0][:3]), tuple((name.lower(), value) for name, value in said[1]), b"".join(parts.kept))


class _Capped:
    """What the candidate says, whether it returns it or writes it: so many bytes and no more."""

    __slots__ = ("_left", "kept")

    def __init__(self, most: int) -> None:
        self._left = most
        self.kept: list[bytes] = []

    def keep(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise OverflowError("the candidate's response is larger than max_body")
        self.kept.append(data)


def to_remote(remote: Remote, request: Request) -> Callable[[], Awaitable[Answer]]:
    environ = request.environ
    # WSGI decodes the path, so a `?` or a `%` in it is a character of a name: encoded again, or it would be read as syntax.
    path = quote((environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1"), safe=_PLAIN_PATH).encode("ascii")
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    return lambda: remote.ask(environ["REQUEST_METHOD"], path, query, headers_of(environ), b"".join(request.chunks))
