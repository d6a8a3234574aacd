"""What is done: the verbs, by a form or by JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from progflags._console._acts import Refused, after, tried
from progflags._console._desk import Desk, base_of, fields, whole
from progflags._console._reading import Handler
from progflags.errors import missing

try:
    from starlette.requests import Request
    from starlette.responses import JSONResponse, RedirectResponse, Response
except ImportError as error:
    raise missing(error, "starlette", "starlette", "console") from error

if TYPE_CHECKING:
    from progflags.notify import Hook

__all__ = ["HOOK", "acting", "alerted"]

HOOK: Final = "/hooks/rollback"
"""Where alerts come in. Who sends them proves that they may to the hook itself."""


_ALERT: Final = 1_048_576  # bytes: Alertmanager groups a hundred alerts


def acting(desk: Desk) -> list[tuple[str, Handler, str]]:
    """Addresses, what answers there, and the method: everything that changes something is a POST."""
    return [("/act/{verb}", partial(_by_form, desk), "POST"), ("/api/act/{verb}", partial(_by_json, desk), "POST")]


async def _by_form(desk: Desk, request: Request) -> Response:
    form = await fields(request)
    try:
        done = await _done(desk, request, form, form.get("csrf", ""))
    except Refused as refused:
        return desk.drawn(request, refused.view)
    page, flag = after(done)
    where = f"{page}?flag={quote(flag, safe='')}" if page else ""
    return RedirectResponse(f"{base_of(request.scope)}/{where}", 303)


async def _by_json(desk: Desk, request: Request) -> Response:
    form = await fields(request)
    try:
        return JSONResponse(await _done(desk, request, form, request.headers.get("x-csrf-token", "")))
    except Refused as refused:
        return JSONResponse(refused.view.data, refused.status)


async def _done(desk: Desk, request: Request, form: Mapping[str, str], proof: str) -> dict[str, Any]:
    if not desk.is_ours(request, proof):
        why = "this form was not made for you by this console, or by one that has ended since: load the page again"
        raise Refused(403, f"{why} (several workers sign alike where console(secret=…) says with what)")
    return await desk.beside(tried, desk.flags, request.path_params["verb"], form, request.state.known.viewer)


def alerted(desk: Desk, hook: Hook) -> list[tuple[str, Handler, str]]:
    """Where an alert rolls back: a progflags.notify.Hook decides about it."""
    return [(HOOK, partial(_alert, desk, hook), "POST")]


async def _alert(desk: Desk, hook: Hook, request: Request) -> Response:
    status, told = await desk.beside(hook.answer, dict(request.headers), await whole(request, _ALERT), request.state.asked.client)
    return JSONResponse(told, status)
