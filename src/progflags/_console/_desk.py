"""The desk: what every answer is made with. Threads for the work, the page around a view, the fields of a form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, quote

from progflags._console._guard import CSRF, Guard
from progflags._console._render import Shell, draw
from progflags._console._view import View, looked
from progflags._deadline import within
from progflags._printed import printable
from progflags.errors import missing

try:
    import anyio
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
except ImportError as error:
    raise missing(error, "starlette", "starlette", "console") from error

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["Desk", "base_of", "fields", "inside", "keep", "too_many", "whole"]

T = TypeVar("T")
Scope = Mapping[str, Any]
_TIMEOUT: Final = 4.0  # seconds that a page may wait for the store, a verb included
_BODY: Final = 65_536  # bytes of a form
_AT_ONCE: Final = 4  # threads that pages and verbs take: the application's own requests have the rest


class Desk:
    """What the handlers share."""

    def __init__(self, flags: Flags, guard: Guard) -> None:
        self.flags = flags
        self.guard = guard
        self._threads: anyio.CapacityLimiter | None = None

    async def beside(self, work: Callable[..., T], *arguments: Any) -> T:
        """In a thread, of which the console takes few, and not for long."""
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(_AT_ONCE)

        def run() -> T:
            with within(_TIMEOUT):
                return work(*arguments)

        return await anyio.to_thread.run_sync(run, limiter=self._threads)

    async def view(self, page: Callable[[Any, Mapping[str, str]], View], query: Mapping[str, str]) -> View:
        """What a page says; one that can't be had says why."""
        return await self.beside(looked, page, self.flags, query)

    def drawn(self, request: Request, view: View) -> Response:
        """The page of a view, for who asks."""
        viewer = request.state.known.viewer
        csrf, cookie = self.guard.form(request.state.asked, viewer)
        base = base_of(request.scope)
        login = self.guard.tokens is not None and viewer is not None
        shell = Shell(base, viewer, f"{base}/static", csrf=csrf, login=login, here=inside(request.scope)[1:])
        response = HTMLResponse(draw(view, shell), view.status)
        keep(response, request, CSRF, cookie)
        return response

    def is_ours(self, request: Request, given: str) -> bool:
        """Whether what changes something was sent from a page of ours, or by a program that shows its token."""
        known = request.state.known
        return known.bearer or self.guard.ours(request.state.asked, known.viewer, given)


def base_of(scope: Scope) -> str:
    """Where the console is mounted, for an address in a page."""
    return quote(str(scope.get("root_path", "")).rstrip("/"), safe="/-._~")


def inside(scope: Scope) -> str:
    """The address below where it is mounted."""
    path = str(scope["path"])
    return path.removeprefix(str(scope.get("root_path", "")).rstrip("/")) or "/"


def too_many(wait: float) -> Response:
    """What somebody is told who has shown too many wrong tokens."""
    headers = {"retry-after": str(int(wait) + 1)}
    return JSONResponse({"ok": False, "error": "too many wrong tokens from your address: wait"}, 429, headers)


def keep(response: Response, request: Request, name: str, value: str) -> None:
    """A cookie that scripts can't read and other sites' forms don't send."""
    path, secure = base_of(request.scope) or "/", request.scope.get("scheme") == "https"
    response.set_cookie(name, value, path=path, secure=secure, httponly=True, samesite="lax")


async def whole(request: Request, most: int) -> bytes:
    """
    The body of a request.

    Raises:
        HTTPException: it has more than `most` bytes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413)
    return bytes(body)


async def fields(request: Request) -> dict[str, str]:
    """
    The fields of a form, or of a JSON object of texts.

    Raises:
        HTTPException: too large, or neither.
    """
    body = await whole(request, _BODY)
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
            said = json.loads(body or b"{}")
            return {str(name): value for name, value in said.items() if isinstance(value, str)}
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except (ValueError, AttributeError, RecursionError) as error:
        raise HTTPException(400, printable(str(error))) from error
