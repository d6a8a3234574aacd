"""Console: what is being rolled out, on a page that people look at, with buttons for those who may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from progflags._console._viewer import Auth, Viewer
from progflags.errors import ProgflagsError

if TYPE_CHECKING:
    from progflags import notify
    from progflags._connect import Flags

__all__ = ["console"]


def console(
    flags: Flags,
    *,
    auth: Auth | None = None,
    token: str | Mapping[str, Viewer] | None = None,
    insecure: bool = False,
    hosts: Iterable[str] = (),
    secret: str | None = None,
    hook: notify.Hook | None = None,
) -> Any:
    """
    An ASGI application that shows what `flags` is rolling out and lets people steer it: serve it alone, or mount it in yours.

    Who may look and who may act is said by `auth`, a function (`async` or not) from a request (headers, address, ASGI scope) to a
    `Viewer` or None; or by `token`, which a browser is asked for and a program sends as `Authorization: Bearer …`: one for everybody,
    or a mapping of tokens to viewers. The viewer's name is the actor in the history. `insecure=True` lets everybody in, and act.

    `hosts` are the names it is reached by besides those of the loopback; a request for any other is refused. `secret` signs forms
    and is to be the same in all workers of one service; with `token` it need not be said. `hook` is a `progflags.notify.Hook`, which
    answers alerts at `POST /hooks/rollback`.

        app.mount("/ops", pf.console(flags, auth=who, hosts=("shop.example.com",)))

    Raises:
        ProgflagsError: neither `auth` nor `token`, and not `insecure`; or a token that is too short.
        MissingExtraError: Starlette or Jinja2 is not installed: `pip install 'progflags[console]'`.
    """
    from progflags._console._app import Console
    from progflags._console._guard import Guard
    from progflags._console._tokens import Tokens

    if auth is None and token is None and not insecure:
        raise ProgflagsError(
            "who may look, and who may act? say auth= or token=, or insecure=True where everybody who reaches it may do all"
        )
    try:
        tokens = None if token is None else Tokens(token, flags.clock)
    except ValueError as error:
        raise ProgflagsError(str(error)) from error
    return Console(flags, Guard(auth=auth, tokens=tokens, hosts=hosts, secret=secret, clock=flags.clock), hook)
