"""The middleware: who is asking, and what became of the request; the same class for sync and async stacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any

from asgiref.sync import async_to_sync, markcoroutinefunction, sync_to_async
from asgiref.sync import iscoroutinefunction as is_async
from django.http import FileResponse
from django.utils.cache import patch_cache_control, patch_vary_headers

from progflags._identity import Asking, Found, ask_with, sending
from progflags._identity import is_async as must_be_awaited
from progflags._process import look
from progflags._route import LABEL, masked
from progflags._trouble import swallow
from progflags.context import Scope, as_context, current, enter
from progflags.contrib.django import _client
from progflags.contrib.django._who import asking, default_context
from progflags.events import Served

__all__ = ["FlagsMiddleware", "default_context"]


class FlagsMiddleware:
    """
    Binds each request's context, reads flags as `request.flags`, and counts the request for every flag it met.

    Place it below AuthenticationMiddleware. The context is what `PROGFLAGS["context"]` answers for the request (a function),
    else the signed-in user's primary key with the attributes authenticated, staff, superuser and language; with
    `PROGFLAGS["anonymous"]` other visitors get a sticky id. A status of 500 or more is a failure. A streamed response counts
    when its last chunk was produced, and not at all if the client left before.

    Who is asking is found out when a flag first needs to know. A page that asks none opens no session, queries nothing, and
    gets neither a cookie nor `Vary: Cookie`. An async `PROGFLAGS["context"]` is awaited before each request.

        # settings.py; a view then asks request.flags.is_enabled("new-search")
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "progflags.contrib.django.middleware.FlagsMiddleware",
        ]
        PROGFLAGS = {"source": "flags.toml", "store": "sqlite:///progflags.db", "anonymous": True}
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._client = _client.client()
        found = _client.context_function()
        self._awaited = found if found is not None and must_be_awaited(found) else None
        ask = asking(found or default_context, self._asked_on_the_loop)
        self._asking = Asking.of(ask, _client.anonymous(), _cookies)
        self._asked: set[str] = set()  # routes whose async views have asked for a flag
        self._is_async = is_async(get_response)  # asked once: it takes as long as four flags
        if self._is_async:
            markcoroutinefunction(self)
            self.process_view = self._before_view

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._async(request)
        here = Scope(None, self._asking, request)
        if self._awaited is not None:
            self._knows(here, async_to_sync(self._who)(request))
        kept = self._begin(here)
        try:
            response = self.get_response(request)
        except BaseException:
            here.end()
            raise
        return self._finish(response, here, kept)

    async def _async(self, request: Any) -> Any:
        here = Scope(None, self._asking, request)
        if self._awaited is not None:
            self._knows(here, await self._who(request))
        kept = self._begin(here)
        if "" in self._asked:  # another middleware asks, before there is a view
            await _find_out()
        try:
            response = await self.get_response(request)
        except BaseException:
            here.end()
            raise
        return self._finish(response, here, kept)

    async def _before_view(self, request: Any, *_: Any) -> None:
        """A view that has asked on the event loop will do so again: find out who is asking now, while it can be awaited."""
        if _route(request) in self._asked:
            await _find_out()

    def _asked_on_the_loop(self, request: Any) -> None:
        self._asked.add(_route(request))

    async def _who(self, request: Any) -> Any:
        try:
            return as_context(await self._awaited(request))  # type: ignore[misc] # asked only where there is one
        except Exception as error:
            swallow(self._asking.where, error)
            return None

    def _knows(self, here: Scope, who: Any) -> None:
        # Its asking is kept: a page that a view caches is still told apart from one that depends on who asks.
        ask_with(here, asking(lambda _: who, None), self._asking.where)

    def _begin(self, here: Scope) -> Any:
        here.client = here.request.flags = self._client
        look()
        enter(here)
        return getattr(here.request, "_cache_update_cache", None)

    def _finish(self, response: Any, here: Scope, kept: Any) -> Any:
        if kept is not None:
            here.request._cache_update_cache = kept
        _tell_route(here.request)
        found = sending(here)
        if found is not None:
            _say(response, found)
        failed = response.status_code >= 500
        if not response.streaming or (isinstance(response, FileResponse) and response.file_to_stream is not None):
            # A file is left as it is, so that the server can still send it by itself.
            _end(here, failed=failed)
        elif response.is_async:
            response.streaming_content = _watched(response.streaming_content, here, failed=failed)
        else:
            response.streaming_content = _Watched(response.streaming_content, here, failed=failed)
        return response


async def _find_out() -> None:
    await sync_to_async(current)()


def _cookies(request: Any) -> tuple[str, bool]:
    return request.META.get("HTTP_COOKIE", ""), request.is_secure()


def _route(request: Any) -> str:
    """The URL pattern, of which there is an end."""
    match = getattr(request, "resolver_match", None)
    return "" if match is None else str(match.route)


def _tell_route(request: Any) -> None:
    """A dark launch around the application tells its mismatches apart by the whole template, what is mounted before it included."""
    match = getattr(request, "resolver_match", None)
    around = getattr(request, "scope", None) or getattr(request, "environ", None)
    if match is not None and around is not None:
        mount = masked(request.META.get("SCRIPT_NAME", ""), around.get("path_params") or {})
        around[LABEL] = f"{mount}/{str(match.route).removeprefix('^')}"


def _say(response: Any, found: Found) -> None:
    """The page depends on the visitor's id; a new one is sent along, and no cache may hand that to the next visitor."""
    patch_vary_headers(response, ("Cookie",))
    if found.cookie is None:
        return
    if "no-store" not in response.get("Cache-Control", ""):
        patch_cache_control(response, private=True)
    # One header per cookie: Django's own jar (response.cookies) keeps them apart, and sends each as it is.
    name, _, rest = found.cookie.partition("=")
    value, _, attributes = rest.partition(";")
    response.cookies[name] = value
    for attribute in attributes.split(";"):
        word, _, text = attribute.strip().partition("=")
        response.cookies[name][word.lower()] = text or True


def _end(here: Scope, *, failed: bool) -> None:
    """The response is complete: told once."""
    here.closing()
    if here.exposures and not here.silent:
        here.client.bus.tell(Served.of(here, perf_counter() - here.began, failed=failed))
    here.end()


async def _watched(chunks: AsyncIterator[Any], here: Scope, *, failed: bool) -> AsyncIterator[Any]:
    try:
        async for chunk in chunks:
            yield chunk
    except Exception:
        _end(here, failed=True)
        raise
    except BaseException:  # the client did not wait for the end: not counted
        here.end()
        raise
    _end(here, failed=failed)


class _Watched:
    """A streamed body. No generator: one that was never begun is closed without a word, and this thread would stay the request's."""

    __slots__ = ("_chunks", "_failed", "_here", "_over")

    def __init__(self, chunks: Iterator[Any], here: Scope, *, failed: bool) -> None:
        self._chunks = iter(chunks)
        self._here = here
        self._failed = failed
        self._over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._chunks)
        except StopIteration:
            self._end(failed=self._failed)
            raise
        except Exception:
            self._end(failed=True)
            raise

    def _end(self, *, failed: bool) -> None:
        if not self._over:
            self._over = True
            _end(self._here, failed=failed)

    def close(self) -> None:
        """Django closes it with the response; the application's own chunks it closes by itself."""
        if not self._over:
            self._over = True
            self._here.end()  # the client did not wait for the end: not counted

    def __del__(self) -> None:  # dropped without either: test clients do
        self.close()
