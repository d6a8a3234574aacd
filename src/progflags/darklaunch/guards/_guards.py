"""
What a shadow may not do: guards that refuse effects, and count each one they refused.

    @pf.dark_launch("pricing-v2", candidate=price_v2, guards=[guards.django_readonly(), guards.http_safe_methods()])

A refused effect raises `shadow.Blocked` in the candidate and makes the call's outcome `guard_blocked`: what the candidate
would have answered is not known. Guards look at a context variable, so they refuse in the shadow's thread, its tasks and
the pools those hand work to, and nowhere else; the rest of the process pays one look-up per call. A bare
`threading.Thread` begins with an empty context: what a candidate starts there is out of their sight.

Writes that must be exercised belong in a migration with stages (see progflags.darklaunch.Migration), not in a shadow.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final

from progflags.darklaunch.guards._marker import header
from progflags.darklaunch.guards._places import checked, replace
from progflags.darklaunch.guards._sql import reads_only, verb
from progflags.darklaunch.shadow import Shadow

__all__ = [
    "Guard",
    "close_connections",
    "django_readonly",
    "django_rollback",
    "http_safe_methods",
    "reads_only",
    "refuse",
    "sqlalchemy_readonly",
    "tasks",
]

#: Those made here are functions of this module with their arguments, so that they can follow a candidate into its process.
Guard = Callable[[Shadow], AbstractContextManager[None]]


class _Switch:
    """A guard as a context variable: on inside the shadow, and holding it, so that what is refused can be counted."""

    __slots__ = ("_here",)

    def __init__(self, name: str) -> None:
        self._here: ContextVar[Shadow | None] = ContextVar(f"progflags.guard.{name}", default=None)

    def shadow(self) -> Shadow | None:
        return self._here.get()

    @contextmanager
    def __call__(self, shadow: Shadow) -> Iterator[None]:
        token = self._here.set(shadow)
        try:
            yield
        finally:
            self._here.reset(token)


# SQL.

_django = _Switch("django")


def django_readonly() -> Guard:
    """
    Refuse every statement but reads, on every Django connection the shadow uses; stored procedures, scripts and COPY too.

    A driver's own connection (`connection.connection`) goes round Django, and so round this.
    """
    _watch_django()
    return _django_readonly


@contextmanager
def _django_readonly(shadow: Shadow) -> Iterator[None]:
    _watch_django()
    with _django(shadow):
        yield


def _watch_django() -> None:
    # On the class: Django's own execute_wrappers are a stack that each block pops from, and what is put there in between
    # is popped in the place of the block's own.
    for name in ("execute", "executemany", "callproc"):
        replace(f"django.db.backends.utils:CursorWrapper.{name}", "django", functools.partial(checked, check=_check_django), optional=True)
    replace("django.db.backends.utils:CursorWrapper.__getattr__", "django", _drivers_own, optional=True)


def _check_django(_: Any, sql: Any, *__: Any, **___: Any) -> None:
    shadow = _django.shadow()
    if shadow is not None and not reads_only(str(sql)):
        raise shadow.block(verb(sql))


def _drivers_own(original: Any) -> Any:
    """What Django's cursor takes from the driver's by name; some of it writes."""

    @functools.wraps(original)
    def look_up(cursor: Any, name: str) -> Any:
        found = original(cursor, name)
        if name in _DRIVERS and _django.shadow() is not None:
            return checked(found, functools.partial(_check_django, cursor))
        return found

    return look_up


_DRIVERS: Final = frozenset({"copy", "copy_expert", "copy_from", "executescript", "stream"})


def django_rollback(using: str = "default") -> Guard:
    """
    Let the candidate write, in a transaction that is rolled back. `on_commit` hooks don't run.

    What a rollback can't undo happens all the same: locks are taken and waited for, sequences move on, triggers fire. A
    candidate with `atomic(durable=True)` fails in it. For functions, not for coroutines, whose event loop may not wait for a
    database. Never for an inline executor inside the caller's own transaction.
    """
    return functools.partial(_django_rollback, using)


@contextmanager
def _django_rollback(using: str, _: Shadow) -> Iterator[None]:
    from django.db import transaction

    with transaction.atomic(using=using):
        try:
            yield
        finally:
            transaction.set_rollback(True, using=using)


def close_connections() -> None:
    """Close this thread's Django connections: nobody else does, the signal that would is sent on the request's thread."""
    db = sys.modules.get("django.db")
    if db is not None:
        for connection in db.connections.all(initialized_only=True):
            connection.close()


def sqlalchemy_readonly(engine: Any) -> Guard:
    """
    Refuse every statement but reads on this SQLAlchemy engine (of an async engine, its `sync_engine`).

    A driver's own connection (`engine.raw_connection()`) goes round SQLAlchemy, and so round this.
    """
    from sqlalchemy import event

    sync = getattr(engine, "sync_engine", engine)
    if sync not in _engines:
        switch = _engines[sync] = _Switch("sqlalchemy")

        def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
            shadow = switch.shadow()
            if shadow is not None and not reads_only(statement):
                raise shadow.block(verb(statement))

        event.listen(sync, "before_cursor_execute", before)
    return _engines[sync]


_engines: weakref.WeakKeyDictionary[Any, _Switch] = weakref.WeakKeyDictionary()


# HTTP.

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})  # CONNECT: the way through a proxy, of no effect itself
_http = _Switch("http")
_hosts: ContextVar[frozenset[str]] = ContextVar("progflags.guard.hosts", default=frozenset())


def http_safe_methods(allow: Iterable[str] = ()) -> Guard:
    """
    Refuse requests with effects (POST, PUT, PATCH, DELETE …), except to the hosts in `allow`.

    Watched are httpx, requests and aiohttp, where they are installed, and http.client, through which urllib, urllib3 and what
    is built on them go; each hop of a redirect too. Through the first three, requests that go out carry the marker header.
    """
    _watch_http()
    return functools.partial(_http_safe_methods, frozenset(host.lower() for host in allow))


@contextmanager
def _http_safe_methods(hosts: frozenset[str], shadow: Shadow) -> Iterator[None]:
    _watch_http()
    token = _hosts.set(hosts)
    try:
        with _http(shadow):
            yield
    finally:
        _hosts.reset(token)


def _watch_http() -> None:
    for place in _CLIENTS:
        replace(place, "http", functools.partial(checked, check=_check_request), optional=True)
    replace("aiohttp.client_reqrep:ClientRequest.send", "http", functools.partial(checked, check=_check_hop), optional=True)
    replace("http.client:HTTPConnection.putrequest", "http", functools.partial(checked, check=_check_line))


_CLIENTS: Final = (
    "httpx:Client.send",
    "httpx:AsyncClient.send",
    "httpx:Client._send_single_request",  # each hop of a redirect, each request an Auth makes
    "httpx:AsyncClient._send_single_request",
    "requests.sessions:Session.send",
)


def _check_request(_: Any, request: Any, *__: Any, **___: Any) -> None:
    if _http.shadow() is not None:
        _check_method(request.method, getattr(request.url, "host", None) or _host(str(request.url)))
        request.headers.update(header())


def _check_hop(request: Any, *_: Any, **__: Any) -> None:
    _check_request(None, request)


def _check_line(connection: Any, method: str, url: str, *_: Any, **__: Any) -> None:
    if _http.shadow() is not None:  # through a proxy the host is in the URL, or behind a tunnel
        _check_method(method, _host(url) or getattr(connection, "_tunnel_host", None) or connection.host)


def _check_method(method: Any, host: str) -> None:
    shadow, verb_ = _http.shadow(), str(method).upper()
    if shadow is not None and verb_ not in _SAFE and host.lower() not in _hosts.get():
        raise shadow.block(f"HTTP {verb_}")


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""


# Anything else.

# Every way into a queue, found by reading each library: the short ways (delay, enqueue, schedule, a canvas) end in one of these.
_TASKS: Final = (
    "celery.app.task:Task.apply_async",
    "celery.app.base:Celery.send_task",
    "rq.queue:Queue.enqueue_call",
    "rq.queue:Queue.enqueue_job",
    "rq.queue:Queue.enqueue_many",
    "rq.queue:Queue.schedule_job",
    "rq.queue:Queue._enqueue_job",  # what a requeue of a failed job comes to
    "dramatiq.actor:Actor.send_with_options",
    "dramatiq.composition:group.run",  # these go to the broker directly, whichever it is
    "dramatiq.composition:pipeline.run",
    "dramatiq.brokers.rabbitmq:RabbitmqBroker.enqueue",
    "dramatiq.brokers.redis:RedisBroker.enqueue",
    "dramatiq.brokers.stub:StubBroker.enqueue",
    "huey.api:Huey.enqueue",
    "huey.api:Huey.add_schedule",
    "django.tasks.base:Task.enqueue",
    "django.tasks.base:Task.aenqueue",
    "django.tasks.backends.dummy:DummyBackend.enqueue",  # asked directly, as default_task_backend can be
    "django.tasks.backends.immediate:ImmediateBackend.enqueue",
    "django_tasks.base:Task.enqueue",  # the package that Django's own came from
    "django_tasks.base:Task.aenqueue",
    "django_tasks.backends.dummy:DummyBackend.enqueue",
    "django_tasks.backends.immediate:ImmediateBackend.enqueue",
    "django.core.mail:send_mass_mail",
    "django.core.mail.message:EmailMessage.send",
    "django.core.mail.backends.smtp:EmailBackend.send_messages",
    "django.core.mail.backends.locmem:EmailBackend.send_messages",
    "smtplib:SMTP.sendmail",
)


def tasks() -> Guard:
    """
    Refuse to hand work to Celery, RQ, dramatiq, Huey and Django's tasks, and mail to Django and smtplib: whichever of them is
    installed.
    """
    return _refusing(_TASKS, "", optional=True)


def refuse(*places: str, effect: str = "", optional: bool = False) -> Guard:
    """
    Refuse calls of these functions: `"package.module:function"` or `"package.module:Class.method"`, methods of subclasses
    included where they inherit it. `optional` leaves out what can't be imported.

    A function is refused under every name it was imported to by now, or is later. One kept elsewhere before, in a table or
    as a default argument, is not: name a place that it calls.

    Raises:
        ImportError, AttributeError: there is no such place, and it is not optional.
    """
    return _refusing(places, effect, optional=optional)


def _refusing(places: tuple[str, ...], effect: str, *, optional: bool) -> Guard:
    _watch(places, optional=optional)
    return functools.partial(_refuse, places, effect, optional)


@contextmanager
def _refuse(places: tuple[str, ...], effect: str, optional: bool, shadow: Shadow) -> Iterator[None]:
    _watch(places, optional=optional)
    token = _refused.set({**(_refused.get() or {}), **dict.fromkeys(places, (shadow, effect))})
    try:
        yield
    finally:
        _refused.reset(token)


_refused: ContextVar[dict[str, tuple[Shadow, str]] | None] = ContextVar("progflags.guard.refused", default=None)


_watched: set[tuple[tuple[str, ...], bool]] = set()


def _watch(places: tuple[str, ...], *, optional: bool) -> None:
    if (places, optional) in _watched:  # asked by every shadow
        return
    for place in places:
        replace(place, "refuse", functools.partial(checked, check=functools.partial(_check_place, place)), optional=optional)
    _watched.add((places, optional))


def _check_place(place: str, *_: Any, **__: Any) -> None:
    here = (_refused.get() or {}).get(place)
    if here is not None:
        shadow, effect = here
        raise shadow.block(effect or place.rpartition(":")[2])
