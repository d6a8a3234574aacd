"""The guard before the console: which host is meant, who asks, whether a form is ours; and what a browser may do with the answer."""

from __future__ import annotations

import hmac
import inspect
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from progflags._clock import Clock
from progflags._console._tokens import Tokens, fresh
from progflags._console._viewer import Asked, Auth, Role, Viewer
from progflags._limit import Limit
from progflags._trouble import swallow
from progflags.errors import missing

try:
    import anyio
except ImportError as error:
    raise missing(error, "anyio", "starlette", "console") from error

__all__ = ["ANYBODY", "CSRF", "SESSION", "Guard", "Known", "headers_of"]

SESSION: Final = "progflags_session"
CSRF: Final = "progflags_form"
ANYBODY: Final = Viewer("somebody", (Role.OPERATOR, Role.APPROVER))
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?\Z")


@dataclass(frozen=True, slots=True)
class Known:
    """Who was let in, and whether by a header that no browser sends by itself: then no form needs to prove that it is ours."""

    viewer: Viewer | None
    bearer: bool = False
    wait: float = field(default=0.0)


class Guard:
    """Decides about requests before any page is made. `secret` is what several workers sign forms with."""

    def __init__(self, *, auth: Auth | None, tokens: Tokens | None, hosts: Iterable[str], secret: str | None, clock: Clock) -> None:
        self._auth = auth
        self.tokens = tokens
        self._hosts = frozenset(host.lower() for host in (*_LOOPBACK, *hosts))
        self._limit = Limit(clock)
        self._secret = (secret.encode() if secret else b"") or (tokens.secret if tokens else secrets.token_bytes(32))

    def takes(self, host: str) -> bool:
        """Whether a Host header names us. A page of somebody else's whose name was made to lead here is refused by that."""
        found = _HOST.match(host)
        return found is not None and found[1].lower() in self._hosts

    async def who(self, asked: Asked) -> Known:
        """Who asks: by a token in the header, by a session, by the hook; everybody where nothing of these was wanted."""
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if self.tokens is not None and scheme.lower() == "bearer":
            return self.token(token.strip(), asked.client)
        if self.tokens is not None and (viewer := self.tokens.of_session(cookies(asked).get(SESSION, ""))) is not None:
            return Known(viewer)
        if self._auth is not None:
            return Known(await self._hook(self._auth, asked))
        return Known(None if self.tokens is not None else ANYBODY)

    def token(self, token: str, address: str) -> Known:
        """Whose it is; after ten wrong ones in a minute from an address nothing is, from there, for a while."""
        if (wait := self._limit.wait(address)) > 0:
            return Known(None, wait=wait)
        viewer = None if self.tokens is None else self.tokens.holder(token)
        if viewer is None:
            self._limit.wrong(address)
        return Known(viewer, bearer=True)

    async def _hook(self, auth: Auth, asked: Asked) -> Viewer | None:
        """What the application's hook says. One that fails lets nobody in."""
        try:
            answer = auth(asked) if inspect.iscoroutinefunction(auth) else await anyio.to_thread.run_sync(auth, asked)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:
            swallow("console auth", error)
            return None
        return answer if isinstance(answer, Viewer) else None

    def form(self, asked: Asked, viewer: Viewer | None) -> tuple[str, str]:
        """What a form of ours carries for this viewer, and the cookie it goes with."""
        cookie = cookies(asked).get(CSRF, "") or fresh()
        return self._signed(cookie, viewer), cookie

    def ours(self, asked: Asked, viewer: Viewer | None, given: str) -> bool:
        """Whether a form that changes something was made by us, for this viewer, and sent from a page of ours."""
        if asked.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin, host = asked.headers.get("origin"), asked.headers.get("host", "")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return False
        cookie = cookies(asked).get(CSRF, "")
        return bool(cookie) and hmac.compare_digest(self._signed(cookie, viewer).encode(), given.encode("utf-8", "surrogatepass"))

    def _signed(self, cookie: str, viewer: Viewer | None) -> str:
        name = "" if viewer is None else viewer.name
        return hmac.new(self._secret, f"form\0{name}\0{cookie}".encode("utf-8", "surrogatepass"), sha256).hexdigest()


def cookies(asked: Asked) -> Mapping[str, str]:
    """The cookies of a request; none where they can't be read."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(asked.headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """By lower-case name; of one that came twice, both: no hook takes the first of two for the whole."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, said = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {said}" if key in found else said
    return found
