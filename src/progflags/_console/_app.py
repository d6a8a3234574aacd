"""The console as an ASGI application: who is let in, and what answers where."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from progflags._console._acting import HOOK, acting, alerted
from progflags._console._desk import Desk, base_of, inside, too_many
from progflags._console._guard import Guard, Known, headers_of
from progflags._console._headers import HEADERS
from progflags._console._live import following
from progflags._console._reading import Handler, reading
from progflags._console._signing import signing
from progflags._console._view import View
from progflags._console._viewer import Asked
from progflags._trouble import swallow
from progflags.errors import missing

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route
except ImportError as error:
    raise missing(error, "starlette", "starlette", "console") from error

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.notify import Hook

__all__ = ["Console"]

_OPEN: Final = ("/static/", "/login")  # what somebody sees who was not let in yet
_SAID: Final = {404: "there is no such page", 405: "that can't be done here", 413: "that is too much", 400: "that can't be read"}


class Console:
    """An ASGI application. Made by `console`, which says what the options mean."""

    def __init__(self, flags: Flags, guard: Guard, hook: Hook | None = None) -> None:
        self._guard = guard
        self._hook = hook
        self._desk = desk = Desk(flags, guard)
        told = [*reading(desk), *following(desk), *acting(desk), *([] if guard.tokens is None else signing(desk, guard.tokens))]
        told += [] if hook is None else alerted(desk, hook)
        self.routes = tuple((path, method) for path, _, method in told)
        routes = [Route(path, _calm(handler), methods=[method]) for path, handler, method in told]
        self._app = Starlette(routes=routes, exception_handlers={HTTPException: self._refused})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let in who may, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = await self._door(scope)
        await (answer or self._app)(scope, receive, partial(_with_headers, send))

    async def _door(self, scope: Any) -> Response | None:
        """None for who is let in; what everybody else is answered."""
        asked = Asked(scope["method"], scope["path"], headers_of(scope), (scope.get("client") or ("",))[0] or "", scope)
        if not self._guard.takes(asked.headers.get("host", "")):
            return PlainTextResponse("this host is not one of the console's: say hosts=(…) where it is made\n", 421)
        open_to_alerts = self._hook is not None and inside(scope) == HOOK
        known = Known(None) if open_to_alerts else await self._guard.who(asked)
        scope["state"] = {**scope.get("state", {}), "asked": asked, "known": known}
        if known.viewer is not None or open_to_alerts or (self._guard.tokens is not None and inside(scope).startswith(_OPEN)):
            return None
        return self._nobody(scope, known)

    def _nobody(self, scope: Any, known: Known) -> Response:
        if known.wait > 0:
            return too_many(known.wait)
        if self._guard.tokens is not None and scope["method"] == "GET" and not inside(scope).startswith("/api/"):
            return RedirectResponse(f"{base_of(scope)}/login", 303)
        headers = {"www-authenticate": "Bearer"} if self._guard.tokens is not None else {}
        return JSONResponse({"ok": False, "error": "nobody let you in"}, 401, headers)

    async def _refused(self, request: Request, error: Any) -> Response:
        why, status = _SAID.get(error.status_code, "refused"), error.status_code
        if inside(request.scope).startswith("/api/"):
            return JSONResponse({"ok": False, "error": why}, status)
        return self._desk.drawn(request, View("Not done", "refused.html", {"error": why}, status=status))


def _calm(handler: Handler) -> Handler:
    """What goes wrong in the console is no affair of the application it is mounted in: it is logged, and answered with its kind."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except HTTPException:
            raise
        except Exception as error:
            swallow("console", error)
            said = f"something went wrong here; the log has it as a {type(error).__name__} of the console"
            return JSONResponse({"ok": False, "error": said}, 500)

    return answer


async def _with_headers(send: Any, message: Any) -> None:
    if message["type"] == "http.response.start":
        kept = [(name, value) for name, value in message["headers"] if name.decode("latin-1").lower() not in HEADERS]
        message = {**message, "headers": [*kept, *((name.encode(), value.encode()) for name, value in HEADERS.items())]}
    await send(message)
