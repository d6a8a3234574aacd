"""
What a shadow may not do: guards that refuse effects, and count each one they refused.

    @pf.dark_launch("pricing-v2", candidate=price_v2, guards=[guards.django_readonly(), guards.http_safe_methods()])

A refused effect raises `shadow.Blocked` in the candidate and makes the call's outcome `guard_blocked`: what the candidate
would have answered is not known. Guards look at a context variable, so they refuse in the shadow's thread, its tasks and
the threads those hand work to, and nowhere else; the rest of the process pays one look-up per call.

Writes that must be exercised belong in a migration with stages (see progflags.darklaunch.Migration), not in a shadow.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Final

from progflags.darklaunch._marker import header
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

Guard = Callable[[Shadow], AbstractContextManager[None]]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_lock = threading.Lock()
_installed: set[str] = set()


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


def _once(name: str, install: Callable[[], object]) -> None:
    with _lock:
        if name not in _installed:
            install()
            _installed.add(name)


# SQL.

_LEADING: Final = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([a-zA-Z]+)", re.DOTALL)
_READS: Final = frozenset({"SELECT", "WITH", "SHOW", "EXPLAIN", "DESCRIBE", "VALUES", "TABLE"})
_CONTROLS: Final = frozenset({"SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "START", "COMMIT", "SET", "END"})
_WRITES: Final = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|MERGE|REPLACE|TRUNCATE|INTO|ALTER|CREATE|DROP|GRANT|CALL|LOCK|NEXTVAL|SETVAL|PG_ADVISORY\w*|ANALYZE)\b",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)


def reads_only(sql: str) -> bool:
    """
    Whether a statement can only read. Cautious: a locking SELECT, a WITH that writes, a sequence's nextval are no reads.

    It looks at words, so a function with effects called by a SELECT passes; a read-only database role is the stronger guard.
    """
    leading = _LEADING.match(sql)
    word = "" if leading is None else leading.group(1).upper()
    if word in _CONTROLS:
        return True
    plain = _QUOTED.sub(" ", sql)
    return word in _READS and not _WRITES.search(plain) and ";" not in plain.rstrip().rstrip(";")


def _verb(sql: Any) -> str:
    leading = _LEADING.match(sql) if isinstance(sql, str) else None
    return "SQL" if leading is None else f"SQL {leading.group(1).upper()}"


_django = _Switch("django")
_sqlalchemy = _Switch("sqlalchemy")


def django_readonly() -> Guard:
    """Refuse every statement but reads, on every Django connection the shadow uses."""
    _once("django", _watch_django)

    @contextmanager
    def guard(shadow: Shadow) -> Iterator[None]:
        from django.db import connections

        for connection in connections.all(initialized_only=True):
            _wrap_django(connection)
        with _django(shadow):
            yield

    return guard


def _watch_django() -> None:
    from django.db.backends.signals import connection_created

    # A shadow's coroutine does its queries in threads, and those open connections of their own.
    connection_created.connect(lambda connection, **_: _wrap_django(connection), weak=False, dispatch_uid="progflags.shadow")


def _wrap_django(connection: Any) -> None:
    if _refuse_django not in connection.execute_wrappers:
        connection.execute_wrappers.append(_refuse_django)


def _refuse_django(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    shadow = _django.shadow()
    if shadow is not None and not reads_only(str(sql)):
        raise shadow.block(_verb(sql))
    return execute(sql, params, many, context)


def django_rollback(using: str = "default") -> Guard:
    """
    Let the candidate write, in a transaction that is rolled back. `on_commit` hooks don't run.

    What a rollback can't undo happens all the same: locks are taken and waited for, sequences move on, triggers fire. A
    candidate with `atomic(durable=True)` fails in it. Never for an inline executor inside the caller's own transaction.
    """

    @contextmanager
    def guard(_: Shadow) -> Iterator[None]:
        from django.db import transaction

        with transaction.atomic(using=using):
            try:
                yield
            finally:
                transaction.set_rollback(True, using=using)

    return guard


def close_connections() -> None:
    """Close this thread's Django connections: nobody else does, the signal that would is sent on the request's thread."""
    db = sys.modules.get("django.db")
    if db is not None:
        for connection in db.connections.all(initialized_only=True):
            connection.close()


def sqlalchemy_readonly(engine: Any) -> Guard:
    """Refuse every statement but reads on this SQLAlchemy engine (of an async engine, its `sync_engine`)."""
    from sqlalchemy import event

    sync = getattr(engine, "sync_engine", engine)

    def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        shadow = _sqlalchemy.shadow()
        if shadow is not None and not reads_only(statement):
            raise shadow.block(_verb(statement))

    event.listen(sync, "before_cursor_execute", before)
    return _sqlalchemy


# HTTP.

_http = _Switch("http")
_hosts: ContextVar[frozenset[str]] = ContextVar("progflags.guard.hosts", default=frozenset())


def http_safe_methods(allow: Iterable[str] = ()) -> Guard:
    """
    Refuse requests with effects (POST, PUT, PATCH, DELETE …) through httpx and requests, except to the hosts in `allow`.

    Requests that go out carry the marker header. Both libraries are watched where they are installed.
    """
    hosts = frozenset(host.lower() for host in allow)
    _once("http", _watch_http)

    @contextmanager
    def guard(shadow: Shadow) -> Iterator[None]:
        token = _hosts.set(hosts)
        try:
            with _http(shadow):
                yield
        finally:
            _hosts.reset(token)

    return guard


def _watch_http() -> None:
    for place in ("httpx:Client.send", "httpx:AsyncClient.send", "requests.sessions:Session.send"):
        _replace(place, lambda original: _checked(original, _check_request))


def _check_request(_: Any, request: Any, *__: Any, **___: Any) -> None:
    shadow = _http.shadow()
    if shadow is None:
        return
    url = request.url
    host = (getattr(url, "host", None) or _host(str(url))).lower()
    method = str(request.method).upper()
    if method not in _SAFE and host not in _hosts.get():
        raise shadow.block(f"HTTP {method}")
    request.headers.update(header())


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
    "dramatiq.brokers.rabbitmq:RabbitmqBroker.enqueue",  # groups and pipelines go to the broker directly
    "dramatiq.brokers.redis:RedisBroker.enqueue",
    "dramatiq.brokers.stub:StubBroker.enqueue",
    "huey.api:Huey.enqueue",
    "huey.api:Huey.add_schedule",
    "django.tasks.base:Task.enqueue",
    "django.tasks.base:Task.aenqueue",
    "django.core.mail.message:EmailMessage.send",
    "django.core.mail.backends.smtp:EmailBackend.send_messages",  # send_mass_mail
    "django.core.mail.backends.locmem:EmailBackend.send_messages",
)


def tasks() -> Guard:
    """Refuse to hand work to Celery, RQ, dramatiq, Huey and Django's tasks, and mail to Django: whichever of them is installed."""
    return refuse(*_TASKS, optional=True)


def refuse(*places: str, effect: str = "", optional: bool = False) -> Guard:
    """
    Refuse calls of these functions: `"package.module:function"` or `"package.module:Class.method"`, methods of subclasses
    included where they inherit it. `optional` leaves out what can't be imported.

    Raises:
        ImportError, AttributeError: there is no such place, and it is not optional.
    """
    for place in places:
        _once(place, functools.partial(_replace, place, functools.partial(_refusing, place), missing_ok=optional))
    wanted = frozenset(places)

    @contextmanager
    def guard(shadow: Shadow) -> Iterator[None]:
        token = _refused.set({**(_refused.get() or {}), **dict.fromkeys(wanted, (shadow, effect))})
        try:
            yield
        finally:
            _refused.reset(token)

    return guard


_refused: ContextVar[dict[str, tuple[Shadow, str]] | None] = ContextVar("progflags.guard.refused", default=None)


def _refusing(place: str, original: Any) -> Any:
    def check(*_: Any, **__: Any) -> None:
        here = (_refused.get() or {}).get(place)
        if here is not None:
            shadow, effect = here
            raise shadow.block(effect or place.rpartition(":")[2])

    return _checked(original, check)


def _checked(original: Any, check: Callable[..., None]) -> Any:
    """`original`, after `check` has had its say."""
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def later(*args: Any, **kwargs: Any) -> Any:
            check(*args, **kwargs)
            return await original(*args, **kwargs)

        return later

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        return original(*args, **kwargs)

    return function


def _replace(place: str, wrap: Callable[[Any], Any], *, missing_ok: bool = True) -> None:
    """Put a wrapper where `place` says, once per process; what is not installed is left alone."""
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    try:
        owner: Any = import_module(module)
        for step in owners:
            owner = getattr(owner, step)
        original = getattr(owner, name)
    except (ImportError, AttributeError):
        if missing_ok:
            return
        raise
    setattr(owner, name, wrap(original))
