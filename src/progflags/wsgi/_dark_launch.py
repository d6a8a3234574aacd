"""
DarkLaunchMiddleware for WSGI: the same request to another application, while the client gets its answer.

The control's environ, `start_response`, `write` and iterable keep the meaning PEP 3333 gives them: a list stays the very
list (servers take its length for the Content-Length), `close` closes what the application returned, a file wrapper is
handed on so that the server can send the file by itself.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Unpack

from progflags._trouble import swallow
from progflags.darklaunch import Experiment, Options, Outcome, Shed
from progflags.darklaunch._call import Call
from progflags.darklaunch._exchange import MAX_BODY, METHODS, Answer, Reader, rooted, skipped
from progflags.darklaunch._lane import Here
from progflags.darklaunch._marker import HEADER, mark
from progflags.darklaunch._observation import Observation
from progflags.darklaunch._remote import Remote
from progflags.darklaunch.shadow import current
from progflags.flags import Forced

__all__ = ["DarkLaunchMiddleware"]

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_MARK: Final = "HTTP_" + HEADER.upper().replace("-", "_")
_KEPT: Final = frozenset({"wsgi.version", "wsgi.url_scheme", "wsgi.run_once", "wsgi.multiprocess"})
_NONE: Final[dict[str, Any]] = {}


class DarkLaunchMiddleware:
    """
    Send the requests `flag` lets through to `candidate` as well, and compare the two responses.

    `candidate`: another WSGI application; `pf.force(flag, variant)`, this same application with a flag forced; or the origin
    of a remote one (`"https://host"`). The client always gets `app`'s response. Options are those of
    `progflags.asgi.DarkLaunchMiddleware`; `key` and `run_if` get the environ. An application may put a label of its route
    into `environ["progflags.route"]`; mismatches are told apart by it. The experiment is the attribute `dark_launch`.
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        flag: str,
        candidate: WSGIApp | Forced | str,
        methods: Iterable[str] = METHODS,
        max_body: int = MAX_BODY,
        headers: Iterable[str] = (),
        trust_marker: bool = False,
        forward: Iterable[str] = (),
        **options: Unpack[Options],
    ) -> None:
        options["rules"] = rooted(options.get("rules", ()))
        if not (isinstance(candidate, (Forced, str)) or callable(candidate)):
            raise TypeError(f"the candidate is a WSGI application, an origin or pf.force(…), not {candidate!r}")
        self.app = app
        self.dark_launch = Experiment(flag, **options)
        self.dark_launch.comparer.read = Reader(headers)
        self._candidate = candidate
        self._remote = Remote(candidate, forward) if isinstance(candidate, str) else None
        self._methods = frozenset(method.upper() for method in methods)
        self._max_body = max_body
        self._trusts = trust_marker
        self._passes = self.dark_launch.gate.passes
        engine = self.dark_launch.engine
        if self.dark_launch.inline:
            self.dark_launch.lane = Here()
        else:
            self.dark_launch.lane = engine.workers if self._remote is None else engine.background

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if _MARK in environ and not self._trusts and current() is None:
            del environ[_MARK]
        if environ["REQUEST_METHOD"] not in self._methods:
            self.dark_launch.gate.not_sampled()
        elif self._passes((environ,), _NONE):
            return self._shadowed(environ, start_response)
        return self.app(environ, start_response)

    def _shadowed(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        experiment = self.dark_launch
        if skipped(_headers(environ)):
            experiment.gate.not_sampled()
            return self.app(environ, start_response)
        request = _Request(environ, self._max_body)
        call = experiment.admit(lambda: self._runner(request), (), {}, lambda: _replay(self.app, request, self._max_body))
        if call is None:
            return self.app(environ, start_response)
        tee = _Tee(call, request, environ, start_response, self._max_body)
        environ["wsgi.input"] = request
        try:
            body = self.app(environ, tee.start)
        except BaseException as error:
            tee.failed(error)
            raise
        return tee.body(body)

    def _runner(self, request: _Request) -> Callable[[], Any]:
        remote = self._remote
        if remote is not None:
            return _to_remote(remote, request)
        candidate = self._candidate
        if not isinstance(candidate, Forced):
            return lambda: _replay(candidate, request, self._max_body)  # type: ignore[arg-type]  # a str has become a Remote
        client = self.dark_launch.gate.client
        if client is None:
            raise LookupError(f"no client to force {candidate.flag!r} on")

        def forced() -> Answer:
            with candidate.over(client):
                return _replay(self.app, request, self._max_body)

        return forced


def _headers(environ: Environ) -> list[tuple[str, str]]:
    pairs = [(name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name.startswith("HTTP_")]
    return [*pairs, ("content-type", environ["CONTENT_TYPE"])] if environ.get("CONTENT_TYPE") else pairs


class _Request:
    """`wsgi.input` for the control, which remembers what it hands out; and the environ as it came."""

    def __init__(self, environ: Environ, most: int) -> None:
        # Upper-case names are the request's; the rest belongs to the server or to what ran before us.
        self.environ = {name: value for name, value in environ.items() if name.isupper() or name in _KEPT}
        self.chunks: list[bytes] = []
        self.size = 0
        self.too_large = False
        self._input = environ["wsgi.input"]
        self._max = most
        self._ended = False
        length = environ.get("CONTENT_LENGTH") or "0"
        self._length = int(length) if length.isascii() and length.isdecimal() else -1
        self._terminated = bool(environ.get("wsgi.input_terminated"))
        self._chunked = "HTTP_TRANSFER_ENCODING" in environ

    @property
    def complete(self) -> bool:
        """Whether the control read the whole body, as far as anyone can tell."""
        if self._terminated or self._chunked:
            return self._ended
        return self.size == self._length

    def _note(self, data: bytes, asked: int | None = None) -> bytes:
        self.size += len(data)
        if not data or asked is None or asked < 0:
            self._ended = True
        if self.size > self._max:
            self.too_large = True
            self.chunks.clear()
        else:
            self.chunks.append(data)
        return data

    def read(self, size: int = -1) -> bytes:
        return self._note(self._input.read(size) if size is not None and size >= 0 else self._input.read(), size)

    def readline(self, size: int = -1) -> bytes:
        line = self._input.readline(size) if size is not None and size >= 0 else self._input.readline()
        return self._note(line, 1)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return [
            self._note(line, 1) for line in (self._input.readlines(hint) if hint is not None and hint >= 0 else self._input.readlines())
        ]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._input:
            yield self._note(line, 1)
        self._ended = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._input, name)


class _Tee:
    """One request on its way through the control: looks at the response, hands the shadow over at its end."""

    __slots__ = (
        "_began",
        "_call",
        "_chunks",
        "_environ",
        "_handed",
        "_headers",
        "_max",
        "_reason",
        "_request",
        "_size",
        "_start",
        "_status",
    )

    def __init__(self, call: Call, request: _Request, environ: Environ, start: StartResponse, most: int) -> None:
        self._call = call
        self._request = request
        self._environ = environ
        self._start = start
        self._max = most
        self._began = perf_counter()
        self._status = 0
        self._headers: tuple[tuple[str, str], ...] = ()
        self._chunks: list[bytes] = []
        self._size = 0
        self._reason: Shed | Outcome | None = None
        self._handed = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        self._status = int(status[:3]) if status[:3].isdecimal() else 0
        self._headers = tuple((name.lower(), value) for name, value in headers)
        if any(name == "content-type" and "event-stream" in value for name, value in self._headers):
            self._reason = Shed.RESPONSE_BODY
        try:
            write = self._start(status, headers, exc_info) if exc_info is not None else self._start(status, headers)
        finally:
            exc_info = None  # a traceback held by a frame that it holds is collected late

        def writing(data: bytes) -> object:
            self.note(data)
            return write(data)

        return writing

    def note(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max:
            self._reason = Shed.RESPONSE_BODY
            self._chunks.clear()
        else:
            self._chunks.append(data)

    def body(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """What the server gets: the list or file wrapper itself, or a watched iterator."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            self._reason = Outcome.INCOMPLETE
            self.ended(complete=True)
            return body
        if type(body) is list or type(body) is tuple:
            for data in body:
                self.note(data)
            self.ended(complete=True)
            return body
        return _Body(body, self)

    def failed(self, error: BaseException) -> None:
        if not self._handed:
            self._handed = True
            if not self._status and self._request.complete and not self._request.too_large:
                self._call.raised(error, perf_counter() - self._began)
            else:
                self._call.experiment.conclude(self._call, Outcome.INCOMPLETE)

    def ended(self, *, complete: bool) -> None:
        """The response has ended: by itself, or (not `complete`) because the server stopped reading it."""
        if self._handed:
            return
        self._handed = True
        call = self._call
        experiment = call.experiment
        seconds = perf_counter() - self._began
        try:
            experiment.timed(seconds)
            if self._request.too_large:
                experiment.drop(call, Shed.REQUEST_BODY)
            elif isinstance(self._reason, Shed):
                experiment.drop(call, self._reason)
            elif self._reason is not None or not complete or not self._status or not self._request.complete:
                experiment.conclude(call, Outcome.INCOMPLETE)
            else:
                route = self._environ.get("progflags.route")
                call.endpoint = route if isinstance(route, str) else ""
                call.size = self._size + self._request.size
                call.control = Observation(Answer(self._status, self._headers, b"".join(self._chunks)), None, seconds)
                experiment.dispatch(call)
        except Exception as error:
            if experiment.is_ours(error):
                raise
            swallow(f"dark launch {experiment.flag}", error)
            experiment.drop(call, Shed.HOOK)


class _Body:
    """The application's iterable, watched; its `close` closes that iterable, once, then the shadow may begin."""

    __slots__ = ("_closed", "_complete", "_inner", "_iterator", "_tee")

    def __init__(self, inner: Iterable[bytes], tee: _Tee) -> None:
        self._inner = inner
        self._tee = tee
        self._iterator: Iterator[bytes] | None = None
        self._complete = False
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._inner)
            data = next(self._iterator)
        except StopIteration:
            self._complete = True
            raise
        except BaseException as error:
            self._tee.failed(error)
            raise
        self._tee.note(data)
        return data

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            close = getattr(self._inner, "close", None)
            if close is not None:
                close()
        finally:
            self._tee.ended(complete=self._complete)

    def __del__(self) -> None:
        if not self._closed:  # a server that does not close: the call must still have an end
            self._tee.ended(complete=self._complete)


def _replay(app: WSGIApp, request: _Request, most: int) -> Answer:
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
        environ[_MARK] = mark(here)
    said: list[Any] = []
    parts: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        if exc_info is not None and parts:
            raise exc_info[1]
        said[:] = [status, headers]
        return parts.append

    body = app(environ, start)
    try:
        size = 0
        for data in body:
            size += len(data)
            if size > most:
                raise OverflowError("the candidate's response is larger than max_body")
            parts.append(data)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    if not said:
        raise RuntimeError("the candidate never called start_response")
    return Answer(int(said[0][:3]), tuple((name.lower(), value) for name, value in said[1]), b"".join(parts))


def _to_remote(remote: Remote, request: _Request) -> Callable[[], Awaitable[Answer]]:
    environ = request.environ
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    return lambda: remote.ask(environ["REQUEST_METHOD"], path, query, _headers(environ), b"".join(request.chunks))
