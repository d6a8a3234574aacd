"""
Identity: who a request is, found out when something first needs to know; and what the response's head must say of it then.

A page that asks no flag touches no session, no database and no cookie of ours, so a cache may share it as if we were not here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from inspect import isawaitable, iscoroutinefunction
from typing import Any, NamedTuple

from progflags._anonymous import AnonymousId
from progflags._trouble import say, swallow
from progflags.context import NOBODY, Context, Scope, as_context

__all__ = ["Asking", "Found", "Identity", "ask_with", "head", "is_async"]


Cookies = Callable[[Any], tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Asking:
    """How a middleware finds out: `ask(request)` is the application's, `cookies(request)` the Cookie header and whether it is https."""

    where: str
    ask: Callable[[Any], object] | None
    anonymous: AnonymousId | None
    cookies: Cookies
    known: bool = field(init=False)  # whether anybody can say who a request is

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", self.ask is not None or self.anonymous is not None)

    @classmethod
    def of(
        cls,
        context: Callable[[Any], object] | None,
        anonymous: AnonymousId | str | bytes | None,
        cookies: Callable[[Any], tuple[str, bool]],
    ) -> Asking:
        """As every FlagsMiddleware finds out, by what it was given."""
        return cls("FlagsMiddleware context", context, AnonymousId.of(anonymous), cookies)


class Found(NamedTuple):
    """Who it is; whether the answer depends on the id in the visitor's cookie; and the cookie to send, None where none is due."""

    context: Context
    sticky: bool = False
    cookie: str | None = None


class Identity:
    """
    One request's. Called by the Scope when something needs to know; never raises, and tells all threads the same.

    Once the head of the response is sent a visitor can be given no id any more: one without has no targeting key then.
    """

    __slots__ = ("_asking", "_found", "_request", "_sent")

    def __init__(self, asking: Asking, request: Any) -> None:
        self._asking = asking
        self._request = request
        self._found: list[Found] = []
        self._sent = False

    def __call__(self) -> Context:
        found = self._found
        if not found:
            # Two threads may have asked at once: who comes back first has found it out, for both.
            found.append(self._find())
        return found[0].context

    def ask_with(self, ask: Callable[[Any], object], where: str) -> None:
        """`ask` knows better than what the middleware was given."""
        self._asking, self._found = replace(self._asking, ask=ask, where=where), []

    def sending(self) -> Found | None:
        """The response's head is about to be sent: who it was made for, None where nothing needed to know."""
        self._sent = True
        return self._found[0] if self._found else None

    def _find(self) -> Found:
        who, anonymous = self._who(), self._asking.anonymous
        if anonymous is None or (who is not None and who.key not in (None, "")):
            return Found(who or NOBODY)
        cookies, https = self._asking.cookies(self._request)
        context, cookie = anonymous.identify(who, cookies, https=https, late=self._sent)
        if self._sent:
            say(
                self._asking.where,
                "a flag was first asked for after the response's head was sent: the visitor's id could not be kept in a cookie, nor "
                "`Vary: Cookie` be added. Ask once before the first byte of a streamed page",
                cause="late",
            )
            return Found(context)
        return Found(context, sticky=True, cookie=cookie)

    def _who(self) -> Context | None:
        asking = self._asking
        if asking.ask is None:
            return None
        try:
            return as_context(_at_once(asking.ask(self._request)))
        except Exception as error:
            swallow(asking.where, error)
            return None


def ask_with(here: Scope, ask: Callable[[Any], object], where: str) -> None:
    """From now on `ask` says who is asking in this request, when something needs to know; a visitor it gives no key keeps a sticky one."""
    take = here._take
    if isinstance(take, Identity):
        take.ask_with(ask, where)
    else:
        take = Identity(Asking(where, ask, None, _no_cookies), None)
    here.ask_anew(take)


def is_async(function: object) -> bool:
    """Whether what it returns must be awaited, as far as its definition says."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked


def _no_cookies(_: Any) -> tuple[str, bool]:
    return "", False


def _at_once(answer: object) -> object:
    """What a function answered; an awaitable is only taken where it need not wait, for an evaluation cannot."""
    if not isawaitable(answer):
        return answer
    return _ready(answer)


def _ready(answer: Awaitable[object]) -> object:
    steps = answer.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    close = getattr(steps, "close", None)
    if close is not None:
        close()
    raise TypeError("it had to wait, which an evaluation cannot: declare it `async def`, then it is awaited before each request")


def head(headers: Iterable[tuple[str, str]], found: Found) -> list[tuple[str, str]]:
    """
    A response's headers, made to say that it depends on the visitor's id: `Vary: Cookie`.

    One that gives a new visitor its id is `private`, too: no cache may hand it to the next visitor, who has no id either.
    """
    said = list(headers)
    _add(said, "Vary", "Cookie", unless={"cookie", "*"})
    if found.cookie is not None:
        said = [(name, _not_public(value) if name.lower() == "cache-control" else value) for name, value in said]
        _add(said, "Cache-Control", "private", unless={"private", "no-store"})
        said.append(("Set-Cookie", found.cookie))
    return said


def _not_public(value: str) -> str:
    return ", ".join(word for word in (part.strip() for part in value.split(",")) if word.lower() not in ("public", ""))


def _add(headers: list[tuple[str, str]], name: str, word: str, unless: set[str]) -> None:
    at = [index for index, (known, _) in enumerate(headers) if known.lower() == name.lower()]
    words = {part.strip().lower() for index in at for part in headers[index][1].split(",")}
    if words & unless:
        return
    if at:
        known, value = headers[at[0]]
        headers[at[0]] = (known, f"{value}, {word}" if value else word)
    else:
        headers.append((name, word))
