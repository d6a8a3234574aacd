"""Coming and going: a browser shows a token once and has a session from then on."""

from __future__ import annotations

from functools import partial

from progflags._console._desk import Desk, base_of, fields, keep, too_many
from progflags._console._guard import SESSION
from progflags._console._reading import Handler
from progflags._console._tokens import Tokens
from progflags._console._view import View
from progflags.errors import missing

try:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import RedirectResponse, Response
except ImportError as error:
    raise missing(error, "starlette", "starlette", "console") from error

__all__ = ["signing"]


def signing(desk: Desk, tokens: Tokens) -> list[tuple[str, Handler, str]]:
    """Addresses, what answers there, and the method."""
    return [
        ("/login", partial(_ask, desk, ""), "GET"),
        ("/login", partial(_login, desk, tokens), "POST"),
        ("/logout", partial(_logout, desk), "POST"),
    ]


async def _ask(desk: Desk, wrong: str, request: Request, status: int = 200) -> Response:
    return desk.drawn(request, View("Sign in", "login.html", {"error": wrong}, status=status))


async def _login(desk: Desk, tokens: Tokens, request: Request) -> Response:
    form = await fields(request)
    if not desk.is_ours(request, form.get("csrf", "")):
        return await _ask(desk, "this page was too old: try again", request, 403)
    token = form.get("token", "").strip()
    known = desk.guard.token(token, request.state.asked.client)
    if known.wait > 0:
        return too_many(known.wait)
    if known.viewer is None:
        return await _ask(desk, "that is nobody's token", request, 401)
    response = RedirectResponse(f"{base_of(request.scope)}/", 303)
    keep(response, request, SESSION, tokens.session(token))
    return response


async def _logout(desk: Desk, request: Request) -> Response:
    form = await fields(request)
    if not desk.is_ours(request, form.get("csrf", "")):
        raise HTTPException(403)
    response = RedirectResponse(f"{base_of(request.scope)}/login", 303)
    response.delete_cookie(SESSION, path=base_of(request.scope) or "/")
    return response
