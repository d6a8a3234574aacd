"""Guards of databases: what a shadow may ask of Django's connections and of SQLAlchemy's engines."""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from progflags.darklaunch.guards._places import checked, replace
from progflags.darklaunch.guards._sql import reads_only, verb
from progflags.darklaunch.guards._switch import Guard, Switch
from progflags.darklaunch.shadow import Shadow

__all__ = ["close_connections", "django_readonly", "django_rollback", "sqlalchemy_readonly"]

_django = Switch("django")


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
        switch = _engines[sync] = Switch("sqlalchemy")

        def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
            shadow = switch.shadow()
            if shadow is not None and not reads_only(statement):
                raise shadow.block(verb(statement))

        event.listen(sync, "before_cursor_execute", before)
    return _engines[sync]


_engines: weakref.WeakKeyDictionary[Any, Switch] = weakref.WeakKeyDictionary()
