"""Guards of whatever has a name: functions that are refused, those that queues and mail go out by among them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from progflags.darklaunch.guards._places import checked, replace
from progflags.darklaunch.guards._switch import Guard
from progflags.darklaunch.shadow import Shadow

__all__ = ["refuse", "tasks"]

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
