"""
DarkLaunchMiddleware for WSGI: the same request to another application, while the client gets its answer.

The control's environ, `start_response`, `write` and iterable keep the meaning PEP 3333 gives them: a list stays the very
list (servers take its length for the Content-Length), `close` closes what the application returned, a file wrapper is
handed on so that the server can send the file by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Unpack

from progflags._route import LABEL
from progflags.darklaunch import Call, DoorOptions, Outcome, Shed
from progflags.darklaunch.compare import Answer, skipped
from progflags.darklaunch.http import Door, Tee
from progflags.darklaunch.lanes import Here
from progflags.darklaunch.shadow import current
from progflags.flags import Forced
from progflags.wsgi._body import Body, Sized
from progflags.wsgi._replay import MARK, Environ, ExcInfo, Request, StartResponse, WSGIApp, headers_of, replay, to_remote
from progflags.wsgi._response import code, is_iterable, is_whole
from progflags.wsgi._template import template

__all__ = ["DarkLaunchMiddleware"]

_NONE: Final[dict[str, Any]] = {}


class DarkLaunchMiddleware(Door[WSGIApp]):
    """
    Send the requests `flag` lets through to `candidate` as well, and compare the two responses.

    `candidate`: another WSGI application; `pf.force(flag, variant)`, this same application with a flag forced; or the origin
    of a remote one (`"https://host"`). The client always gets `app`'s response. The options are DoorOptions and Options;
    `key` and `run_if` get the environ. Mismatches are told apart by the endpoint's template: Flask's whole rule, or the label
    that an application puts into `environ["progflags.route"]`. The experiment is the attribute `dark_launch`.

        next_release = "https://next.shop.example.com"
        app.wsgi_app = DarkLaunchMiddleware(
            app.wsgi_app, flag="pricing-v2", candidate=next_release, flags=flags
        )
        print(app.wsgi_app.dark_launch.verdict(max_mismatch=0.01))
    """

    def __init__(self, app: WSGIApp, *, flag: str, candidate: WSGIApp | Forced | str, **options: Unpack[DoorOptions]) -> None:
        super().__init__(app, flag, candidate, **options)
        experiment = self.dark_launch
        if experiment.inline:
            experiment.lane = Here()
        else:
            experiment.lane = experiment.engine.workers if self._remote is None else experiment.engine.background

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_shadow = MARK in environ
        if is_shadow and not self._trusts and current() is None:
            del environ[MARK]
        # A candidate elsewhere may have this very middleware in front of it: its shadows of our shadows would never end.
        if is_shadow or environ["REQUEST_METHOD"] not in self._methods:
            if current() is None:
                self.dark_launch.gate.not_sampled()
        elif self._passes((environ,), _NONE):
            return self._shadowed(environ, start_response)
        return self.app(environ, start_response)

    def _shadowed(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        experiment = self.dark_launch
        if skipped(headers_of(environ)):
            experiment.gate.not_sampled()
            return self.app(environ, start_response)
        request = Request(environ, self._max_body)
        call = experiment.admit(lambda: self._runner(request), (), {}, lambda: replay(self.app, request, self._max_body))
        if call is None:
            return self.app(environ, start_response)
        tee = _Tee(call, request, environ, start_response)
        environ["wsgi.input"] = request
        try:
            body = self.app(environ, tee.start)
        except BaseException as error:
            tee.broke(error, answered=bool(tee.status))
            raise
        return tee.body(body)

    def _runner(self, request: Request) -> Callable[[], Any]:
        if self._remote is not None:
            return to_remote(self._remote, request)
        other, forced = self._other, self._forced
        if forced is None:
            assert other is not None
            return lambda: replay(other, request, self._max_body)

        def forcing() -> Answer:
            with self._forcing(forced):
                return replay(self.app, request, self._max_body)

        return forcing


class _Tee(Tee):
    """One request on its way through the control: looks at the response, hands the shadow over at its end."""

    status = 0  # until start_response was called

    def __init__(self, call: Call, request: Request, environ: Environ, start: StartResponse) -> None:
        super().__init__(call, request)
        self._environ = environ
        self._start = start
        self._headers: tuple[tuple[str, str], ...] = ()
        self._route: str | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        self.status = code(status)
        try:
            self._route = template(self._environ)
            self._heard(headers)
        except Exception:  # what is no list of headers is the server's to refuse
            self.reason = Outcome.INCOMPLETE
        try:
            write = self._start(status, headers, exc_info) if exc_info is not None else self._start(status, headers)
        finally:
            exc_info = None  # a traceback held by a frame that it holds is collected late

        def writing(data: bytes) -> object:
            self.piece(data)
            return write(data)

        return writing

    def _heard(self, headers: Any) -> None:
        if not isinstance(headers, (list, tuple)):  # looking would use it up
            self.reason = Outcome.INCOMPLETE
            return
        self._headers = tuple(headers)  # now: servers add to the list they are given
        if any(name.lower() == "content-type" and "event-stream" in value for name, value in headers):
            self.reason = Shed.RESPONSE_BODY

    def piece(self, data: Any) -> None:
        """One piece of the body; what is none is the server's to refuse."""
        if isinstance(data, bytes):
            self.keep(data)
        else:
            self.reason = Outcome.INCOMPLETE

    def body(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """What the server gets: the list or file wrapper itself, or a watched iterator."""
        if type(body) is list or type(body) is tuple:
            for data in body:
                self.piece(data)
            self.over(complete=True)
            return body
        if is_whole(body, self._environ) or not is_iterable(body):  # a file, or what the server knows or refuses
            self.reason = Outcome.INCOMPLETE
            self.over(complete=True)
            return body
        return _SizedBody(body, self) if hasattr(type(body), "__len__") else _Body(body, self)

    def over(self, *, complete: bool) -> None:
        """The response has ended: by itself, or (not `complete`) because the server stopped reading it."""
        whole = complete and self.status
        self.ended((self.status, self._headers, self.chunks) if whole else None, self._environ.get(LABEL, self._route))


class _Body(Body):
    """The application's iterable, watched; its `close` closes that iterable, once, then the shadow may begin."""

    __slots__ = ("_closed", "_complete", "_tee")

    def __init__(self, inner: Iterable[bytes], tee: _Tee) -> None:
        self._inner, self._iterator = inner, None
        self._tee = tee
        self._complete = False
        self._closed = False

    def _met(self, piece: bytes) -> None:
        self._tee.piece(piece)

    def _ran_out(self) -> None:
        self._complete = True

    def _broke(self, error: BaseException) -> None:
        self._tee.broke(error, answered=bool(self._tee.status))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._close_inner()
        finally:
            self._tee.over(complete=self._complete)

    def __del__(self) -> None:
        if not self._closed:  # a server that does not close: the call must still have an end
            self._tee.over(complete=self._complete)


class _SizedBody(Sized, _Body):
    __slots__ = ()
