"""The middleware: who is asking, and what became of the request; the same class for sync and async stacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from inspect import isawaitable, iscoroutinefunction
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction as is_async
from asgiref.sync import markcoroutinefunction, sync_to_async
from django.http import FileResponse
from django.utils.translation import get_language

from progflags._trouble import swallow
from progflags.context import Context, Scope, as_context, begin
from progflags.contrib.django import _client
from progflags.events import Served

__all__ = ["FlagsMiddleware", "default_context"]


class FlagsMiddleware:
    """
    Binds each request's context, reads flags as `request.flags`, and counts the request for every flag it met.

    Place it below AuthenticationMiddleware. The context is what `PROGFLAGS["context"]` answers for the request (a function,
    async in async projects), else the signed-in user's primary key with the attributes authenticated, staff, superuser and
    language; with `PROGFLAGS["anonymous"]` other visitors get a sticky id. A status of 500 or more is a failure. A streamed
    response counts when its last chunk was produced, and not at all if the client left before.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._client = _client.client()
        self._context = _client.context_function()
        self._anonymous = _client.anonymous()
        if is_async(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if is_async(self):
            return self._async(request)
        started = perf_counter()
        here, cookie = self._begin(request, self._who(request))
        try:
            response = self.get_response(request)
        except BaseException:
            here.end()
            raise
        return self._finish(response, _Request(self._client, here, started), cookie)

    async def _async(self, request: Any) -> Any:
        started = perf_counter()
        here, cookie = self._begin(request, await self._awho(request))
        try:
            response = await self.get_response(request)
        except BaseException:
            here.end()
            raise
        return self._finish(response, _Request(self._client, here, started), cookie)

    def _who(self, request: Any) -> Any:
        try:
            return default_context(request) if self._context is None else as_context(self._context(request))
        except Exception as error:
            swallow("FlagsMiddleware context", error)
            return None

    async def _awho(self, request: Any) -> Any:
        try:
            if self._context is None:
                return _of_user(await request.auser() if hasattr(request, "auser") else None)
            # A plain function may well touch the database through request.user, which Django forbids on the event loop.
            ask: Callable[[Any], Awaitable[Any]] = self._context if iscoroutinefunction(self._context) else sync_to_async(self._context)
            answer = await ask(request)
            return as_context(await answer if isawaitable(answer) else answer)
        except Exception as error:
            swallow("FlagsMiddleware context", error)
            return None

    def _begin(self, request: Any, who: Any) -> tuple[Scope, str | None]:
        cookie = None
        if self._anonymous is not None:
            who, cookie = self._anonymous.identify(who, request.META.get("HTTP_COOKIE", ""), https=request.is_secure())
        request.flags = self._client
        return begin(who), cookie

    def _finish(self, response: Any, request: _Request, cookie: str | None) -> Any:
        if cookie is not None:
            # One header per cookie: Django's own jar (response.cookies) keeps them apart, and sends each as it is.
            name, _, rest = cookie.partition("=")
            value, _, attributes = rest.partition(";")
            response.cookies[name] = value
            for attribute in attributes.split(";"):
                word, _, text = attribute.strip().partition("=")
                response.cookies[name][word.lower()] = text or True
        failed = response.status_code >= 500
        if not response.streaming or (isinstance(response, FileResponse) and response.file_to_stream is not None):
            # A file is left as it is, so that the server can still send it by itself.
            request.end(failed=failed)
        elif response.is_async:
            response.streaming_content = request.awatch(response.streaming_content, failed=failed)
        else:
            response.streaming_content = request.watch(response.streaming_content, failed=failed)
        return response


class _Request:
    """One request on its way out: told once, when its response is complete."""

    __slots__ = ("_client", "_here", "_started")

    def __init__(self, client: Any, here: Scope, started: float) -> None:
        self._client = client
        self._here = here
        self._started = started

    def left(self) -> None:
        """The client did not wait for the end: not counted."""
        self._here.end()

    def end(self, *, failed: bool) -> None:
        here = self._here
        here.closing()
        if here.exposures and not here.silent:
            self._client.bus.tell(Served(tuple(here.exposures.values()), perf_counter() - self._started, failed, here.context._kb))
        here.end()

    def watch(self, chunks: Iterator[Any], *, failed: bool) -> Iterator[Any]:
        return _Watched(chunks, self, failed)

    async def awatch(self, chunks: AsyncIterator[Any], *, failed: bool) -> AsyncIterator[Any]:
        try:
            async for chunk in chunks:
                yield chunk
        except Exception:
            self.end(failed=True)
            raise
        except BaseException:
            self._here.end()
            raise
        self.end(failed=failed)


class _Watched:
    """A streamed body. No generator: one that was never begun is closed without a word, and this thread would stay the request's."""

    __slots__ = ("_chunks", "_failed", "_over", "_request")

    def __init__(self, chunks: Iterator[Any], request: _Request, failed: bool) -> None:
        self._chunks = iter(chunks)
        self._request = request
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
            self._request.end(failed=failed)

    def close(self) -> None:
        """Django closes it with the response; the application's own chunks it closes by itself."""
        if not self._over:
            self._over = True
            self._request.left()

    def __del__(self) -> None:  # dropped without either: test clients do
        self.close()


def default_context(request: Any) -> Context | None:
    """The signed-in user's primary key, with the attributes authenticated, staff, superuser and language; or nobody."""
    return _of_user(getattr(request, "user", None))


def _of_user(user: Any) -> Context | None:
    attributes = {"authenticated": False, "staff": False, "superuser": False, "language": get_language() or ""}
    if user is None or not user.is_authenticated:
        return Context(None, attributes)
    attributes |= {"authenticated": True, "staff": bool(user.is_staff), "superuser": bool(user.is_superuser)}
    return Context(user.pk if isinstance(user.pk, int) else str(user.pk), attributes)
