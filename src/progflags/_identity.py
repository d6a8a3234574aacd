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

__all__ = ["Asking", "Found", "ask_with", "head", "is_async", "sending"]


Cookies = Callable[[Any], tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Asking:
    """
    How a middleware finds out: `ask(request)` is the application's, `cookies(request)` the Cookie header and whether it is https.

    Called by a Scope, with itself, when something needs to know; never raises. Once the head of the response is sent a visitor
    can be given no id any more: one without has no targeting key then.
    """

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

    def __call__(self, here: Scope) -> Context:
        who = NOBODY
        if self.ask is not None:
            try:
                answer: Any = self.ask(here.request)
                who = answer if answer.__class__ is Context else _told(answer)
            except Exception as error:
                swallow(self.where, error)
        if self.anonymous is None or who.key not in (None, ""):
            return who
        found = self._visitor(self.anonymous, who, here)
        kept: Found = here.found or found  # two threads may have asked at once: who comes back first has found it out, for both
        here.found = kept
        return kept.context

    def _visitor(self, anonymous: AnonymousId, who: Context, here: Scope) -> Found:
        sent = here.sent
        cookies, https = self.cookies(here.request)
        context, cookie = anonymous.identify(who, cookies, https=https, late=sent)
        if sent:
            say(
                self.where,
                "a flag was first asked for after the response's head was sent: the visitor's id could not be kept in a cookie, nor "
                "`Vary: Cookie` be added. Ask once before the first byte of a streamed page",
                cause="late",
            )
            return Found(context)
        return Found(context, cookie, sticky=True)


class Found(NamedTuple):
    """A visitor; the cookie to send, None where none is due; and whether the answer depends on the id in it."""

    context: Context
    cookie: str | None = None
    sticky: bool = False


def sending(here: Scope) -> Found | None:
    """The response's head is about to be sent: the visitor whose id it depends on, None where it depends on none."""
    here.sent = True
    found: Found | None = here.found
    return found if found is not None and found.sticky else None


def ask_with(here: Scope, ask: Callable[[Any], object], where: str) -> None:
    """From now on `ask` says who is asking in this request, when something needs to know; a visitor it gives no key keeps a sticky one."""
    take = here._take
    here.ask_anew(replace(take, ask=ask, where=where) if isinstance(take, Asking) else Asking(where, ask, None, _no_cookies))


def is_async(function: object) -> bool:
    """Whether what it returns must be awaited, as far as its definition says."""
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked


def _no_cookies(_: Any) -> tuple[str, bool]:
    return "", False


def _told(answer: Any) -> Context:
    """What a function answered; an awaitable is only taken where it need not wait, for an evaluation cannot."""
    if answer.__class__ is str:
        return Context(answer)
    if answer is None or isinstance(answer, Context):
        return answer or NOBODY
    return as_context(_ready(answer) if isawaitable(answer) else answer) or NOBODY


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
