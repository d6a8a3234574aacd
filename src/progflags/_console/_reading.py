"""What is read: every page, and the same as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from progflags._console._api import schema
from progflags._console._desk import Desk, base_of, fields
from progflags._console._files import read
from progflags._console.pages import PAGES
from progflags.errors import missing

try:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
except ImportError as error:
    raise missing(error, "starlette", "starlette", "console") from error

__all__ = ["Handler", "reading"]

Handler = Callable[[Request], Awaitable[Response]]


def reading(desk: Desk) -> list[tuple[str, Handler, str]]:
    """Addresses, what answers there, and the method. Nothing here changes anything."""
    pages = [(f"/{name}", partial(_page, desk, name), "GET") for name in PAGES]
    data = [(f"/api/{name or 'now'}", partial(_data, desk, name), "GET") for name in PAGES]
    return [
        *pages,
        *data,
        ("/flag", partial(_explain, desk), "POST"),
        ("/api/flag", partial(_explain_as_json, desk), "POST"),
        ("/api/openapi.json", _schema, "GET"),
        ("/static/{name}", _static, "GET"),
    ]


async def _page(desk: Desk, name: str, request: Request) -> Response:
    return desk.drawn(request, await desk.view(PAGES[name], dict(request.query_params)))


async def _data(desk: Desk, name: str, request: Request) -> Response:
    view = await desk.view(PAGES[name], dict(request.query_params))
    return JSONResponse(view.data, view.status)


async def _explain(desk: Desk, request: Request) -> Response:
    """Who gets what, for a context that is not to stand in an address, nor in a log of addresses."""
    return desk.drawn(request, await desk.view(PAGES["flag"], await fields(request)))


async def _explain_as_json(desk: Desk, request: Request) -> Response:
    view = await desk.view(PAGES["flag"], await fields(request))
    return JSONResponse(view.data, view.status)


async def _schema(request: Request) -> Response:
    return JSONResponse(schema(base_of(request.scope)))


async def _static(request: Request) -> Response:
    found = read(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    return Response(found[0], media_type=found[1])
