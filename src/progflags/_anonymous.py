"""AnonymousId: a random, signed name for a browser nobody has signed in on, kept in a cookie."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from typing import Final

from progflags._printed import quoted
from progflags.context import Context, as_context

__all__ = ["AnonymousId"]

_YEAR: Final = 365 * 24 * 3600
_BYTES: Final = 16  # of randomness and of signature: 128 bits each


class AnonymousId:
    """
    A sticky targeting key for visitors without one: the same browser keeps its buckets between visits.

    `secret` signs the cookie, so that nobody can choose a bucket or another visitor's; a sequence rotates it: the first one
    signs, all of them are believed, and a cookie signed with an older one is renewed. The id is random, says nothing about
    the person, and is never read by scripts (`HttpOnly`); `Secure` is set on https requests unless `secure` decides.
    It stands in only where the middleware's `context` gave no targeting key, and only in requests that need to know who is
    asking: those get the cookie and `Vary: Cookie`, and no other does. A response that brings a new id is `Cache-Control: private`.

        keep = AnonymousId([NEW_SECRET, OLD_SECRET], max_age=90 * 86_400, same_site="Strict")
        app = FlagsMiddleware(app, flags=flags, anonymous=keep)

    Raises:
        ValueError: a secret shorter than 16 bytes, which could be guessed, or a cookie name, path or domain that would
            break the header.
    """

    def __init__(
        self,
        secret: str | bytes | Sequence[str | bytes],
        *,
        cookie: str = "progflags_id",
        max_age: int = _YEAR,
        path: str = "/",
        domain: str | None = None,
        secure: bool | None = None,
        same_site: str = "Lax",
    ) -> None:
        given = (secret,) if isinstance(secret, (str, bytes)) else tuple(secret)
        self._keys = tuple(_key(one) for one in given)
        if not self._keys:
            raise ValueError("an anonymous id needs a secret to be signed with")
        if not cookie or not all(c.isalnum() or c in "_-." for c in cookie) or not cookie.isascii():
            raise ValueError(f"{quoted(cookie)} is no cookie name: use letters, digits, '_', '-' and '.'")
        for word, text in (("path", path), ("domain", domain or ""), ("same_site", same_site)):
            if not text.isprintable() or not text.isascii() or ";" in text or "," in text:
                raise ValueError(f"{word} {quoted(text)} would break the Set-Cookie header")
        if same_site.lower() not in ("lax", "strict", "none"):
            raise ValueError(f"same_site is Lax, Strict or None, not {quoted(same_site)}")
        if same_site.lower() == "none" and secure is False:
            raise ValueError("browsers refuse a cookie with SameSite=None that is not Secure")
        self._name = cookie
        self._secure = secure
        self._tail = f"; Max-Age={int(max_age)}; Path={path}{f'; Domain={domain}' if domain else ''}; SameSite={same_site}; HttpOnly"

    @classmethod
    def of(cls, value: AnonymousId | str | bytes | None) -> AnonymousId | None:
        """What the middlewares' `anonymous=` takes: a secret alone means the defaults."""
        return value if value is None or isinstance(value, AnonymousId) else cls(value)

    def identify(self, who: object, cookies: str, *, https: bool, late: bool = False) -> tuple[Context, str | None]:
        """
        The context to bind, and the Set-Cookie value to send, None where the browser needs none.

        `who` is what the middleware's `context` gave; its attributes are kept, and so is its key if it has one. `late`: no
        cookie can be sent any more, so a visitor without an id stays without a key.

        Raises:
            TypeError: `who` is no context.
        """
        context = as_context(who) or Context()
        if context.key is not None and context.key != "":
            return context, None
        name, current = self._read(cookies)
        if late:
            return Context(name, context.attributes), None
        if name is None:
            name, current = urlsafe_b64encode(secrets.token_bytes(_BYTES)).rstrip(b"=").decode(), False
        return Context(name, context.attributes), None if current else self._set(name, https=https)

    def _read(self, cookies: str) -> tuple[str | None, bool]:
        """The id in the request's Cookie header if its signature holds, and whether the newest secret signed it."""
        for value in _values(cookies, self._name):
            name, dot, signature = value.partition(".")
            if not (dot and name and value.isascii()):
                continue
            for key in self._keys:
                if hmac.compare_digest(_sign(name, key), signature):
                    return name, key is self._keys[0]
        return None, False

    def _set(self, name: str, *, https: bool) -> str:
        secure = https if self._secure is None else self._secure
        return f"{self._name}={name}.{_sign(name, self._keys[0])}{self._tail}{'; Secure' if secure else ''}"


def _key(secret: str | bytes) -> bytes:
    raw = secret.encode() if isinstance(secret, str) else secret
    if len(raw) < 16:
        raise ValueError("a secret shorter than 16 bytes can be guessed: use secrets.token_urlsafe(32)")
    # Derived, so that an application's one secret key (Django's SECRET_KEY) may be used for this as well as for others.
    return hashlib.sha256(b"progflags anonymous id\x1f" + raw).digest()


def _sign(name: str, key: bytes) -> str:
    return urlsafe_b64encode(hmac.digest(key, name.encode(), "sha256")[:_BYTES]).rstrip(b"=").decode()


def _values(cookies: str, name: str) -> Iterator[str]:
    """Every value the header has under `name`: a browser may hold one per path, and only a signed one is believed."""
    for pair in cookies.split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            yield value.strip().strip('"')
