"""A FastAPI dependency as the console's `auth=`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from progflags.errors import missing

try:
    from starlette.requests import Request
except ImportError as error:
    raise missing(error, "starlette", "fastapi", "fastapi") from error

if TYPE_CHECKING:
    from progflags._console import Asked

__all__ = ["let_in"]

_FOUND = "progflags.viewer"


def let_in(who: Callable[..., Any]) -> Callable[[Asked], Awaitable[Any]]:
    """
    An `auth=` for `pf.console` out of a dependency: what your endpoints ask to know the user, asked for the console as well.

    `who` is a dependency, `def` or `async def`, with others below it, and returns a `pf.Viewer` or None. One that raises
    HTTPException lets nobody in. A mount runs no dependencies of the application it is in, so this runs them; overrides of that
    application (`dependency_overrides`) count.

        async def viewer(user: Annotated[User, Depends(current_user)]) -> pf.Viewer | None:
            return pf.Viewer(user.name, ("operator",)) if user.is_staff else None

        app.mount("/ops", pf.console(flags, auth=let_in(viewer), hosts=("shop.example.com",)))
    """
    try:
        from fastapi import Depends, FastAPI  # pyright: ignore[reportAttributeAccessIssue] # it may take our own file for the package
    except ImportError as error:
        raise missing(error, "fastapi", "fastapi", "fastapi") from error

    async def endpoint(*, request: Request, answer: Any) -> None:
        request.scope[_FOUND].append(answer)

    kind = inspect.Parameter.KEYWORD_ONLY
    request, answer = inspect.Parameter("request", kind, annotation=Request), inspect.Parameter("answer", kind, default=Depends(who))
    endpoint.__signature__ = inspect.Signature([request, answer])  # type: ignore[attr-defined] # what FastAPI reads
    asking = FastAPI(openapi_url=None)
    asking.add_api_route("/", endpoint)

    async def auth(asked: Asked) -> Any:
        found: list[Any] = []
        outer = asked.scope.get("app")
        if outer is not None:
            asking.state = outer.state
            asking.dependency_overrides = getattr(outer, "dependency_overrides", {})
        here = {"method": "GET", "path": "/", "raw_path": b"/", "root_path": "", _FOUND: found}
        await asking({**asked.scope, **here}, _nothing, _unheard)
        return found[0] if found else None

    return auth


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _unheard(message: Any) -> None:
    """What it would answer is of no interest: only what the dependency returned is."""
