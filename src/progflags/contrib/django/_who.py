"""Who is asking, in a Django project: the signed-in user, found out when a flag needs to know and not before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.utils.translation import get_language

from progflags._trouble import swallow
from progflags.context import Context

__all__ = ["asking", "default_context"]

_PATIENCE: Final = 2.0  # seconds an event loop waits for the request's own thread: a busy one answers as nobody, not never
_ROLES: Final = (("authenticated", "is_authenticated"), ("staff", "is_staff"), ("superuser", "is_superuser"))


def default_context(request: Any) -> Context | None:
    """
    The signed-in user's primary key, with the attributes authenticated, staff, superuser and language; or nobody.

    What a user model does not have, or cannot say, is False; the rest is told all the same.
    """
    user = _user(request)
    attributes: dict[str, Any] = dict.fromkeys((name for name, _ in _ROLES), False)
    attributes["language"] = get_language() or ""
    if user is None or not _is(user, "is_authenticated"):
        return Context(None, attributes)
    for name, word in _ROLES:
        attributes[name] = _is(user, word)
    key = getattr(user, "pk", None)
    return Context(key if key is None or isinstance(key, int) else str(key), attributes)


def _user(request: Any) -> Any:
    known = request.__dict__.get("_acached_user")  # an async view has awaited `request.auser()`: no need to ask again
    return known if known is not None else getattr(request, "user", None)


def _is(user: Any, word: str) -> bool:
    try:
        return bool(getattr(user, word, False))
    except Exception as error:
        swallow(f"FlagsMiddleware user.{word}", error)
        return False


def asking(ask: Callable[[Any], Any], on_the_loop: Callable[[Any], object] | None) -> Callable[[Any], Any]:
    """
    `ask`, which may touch the session and the database, made to work wherever a flag is asked for.

    In a thread it is simply called. On an event loop Django forbids that, so it runs in the thread Django keeps for the
    request's synchronous work, as `sync_to_async` would, while the loop waits: `on_the_loop(request)` is told, so that the
    next request to the same view can be asked about before the view runs. None: it touches nothing, and may run anywhere.
    """

    def asked(request: Any) -> Any:
        # What `@cache_page` would keep from here on is one visitor's; it looks at this when it decides. The middleware puts it back.
        if getattr(request, "_cache_update_cache", False):
            request._cache_update_cache = False
        if on_the_loop is None or asyncio._get_running_loop() is None or (ask is default_context and _is_loaded(request)):
            return ask(request)
        on_the_loop(request)
        return _in_its_thread(ask, request)

    return asked


def _is_loaded(request: Any) -> bool:
    return "_acached_user" in request.__dict__ or "_cached_user" in request.__dict__


def _in_its_thread(ask: Callable[[Any], Any], request: Any) -> Any:
    done, answers, errors = threading.Event(), [], []

    def work() -> None:
        try:
            answers.append(ask(request))
        except Exception as error:
            errors.append(error)
        finally:
            done.set()

    job = sync_to_async(work)()
    try:
        job.send(None)  # its first step hands the work over; asgiref knows to which thread
        finished = done.wait(_PATIENCE)
    finally:
        job.close()
    if not finished:
        raise TimeoutError(
            "the request's thread is busy: in an async view, find out who is asking (`await request.auser()`) before you ask for a flag"
        )
    if errors:
        raise errors[0]
    return answers[0]
