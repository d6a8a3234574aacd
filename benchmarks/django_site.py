"""A Django project of one page, for bench_request: what the page does comes with the request."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from django.conf import settings

if not settings.configured:
    FOLDER = tempfile.TemporaryDirectory(prefix="bench-")
    settings.configure(
        SECRET_KEY="a long secret from the settings",
        ALLOWED_HOSTS=["*"],
        DEBUG=False,
        USE_TZ=True,
        ROOT_URLCONF="benchmarks.django_site",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *(["waffle"] if find_spec("waffle") else [])],
        MIDDLEWARE=[],
        LOGGING_CONFIG=None,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER.name}/site.sqlite3"}},
        PROGFLAGS={"source": {}},
    )
    import django

    django.setup()

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path


def home(request: Any) -> HttpResponse:
    request.environ["work"](request)
    return HttpResponse("hello", content_type="text/plain; charset=utf-8", headers={"Content-Length": "5"})


async def async_home(request: Any) -> HttpResponse:
    answer = request.scope["work"](request)
    if answer is not None:
        await answer
    return HttpResponse("hello", content_type="text/plain; charset=utf-8", headers={"Content-Length": "5"})


urlpatterns = [path("", home), path("async", async_home)]


def handler(protocol: str, middleware: tuple[str, ...]) -> Any:
    """Django's own, with these middlewares."""
    before, settings.MIDDLEWARE = settings.MIDDLEWARE, list(middleware)
    try:
        return ASGIHandler() if protocol == "asgi" else WSGIHandler()
    finally:
        settings.MIDDLEWARE = before


@contextmanager
def configured(flags: Any, context: Callable[[Any], Any], anonymous: Any) -> Iterator[None]:
    """The project's client and setting, for a middleware that is made meanwhile."""
    from progflags.contrib.django import _client

    settings.PROGFLAGS = {"source": {}, "context": context, "anonymous": bool(anonymous)}
    _client._client = flags
    try:
        yield
    finally:
        _client._client = None


def waffle() -> Callable[[Any], None]:
    """
    Five flags of django-waffle's, with its cache warm: of the rules ours have it knows an attribute or two of the user's, and shares.

    Who is asked for is nobody who signed in; what a share gave him stands in a cookie of the flag's.
    """
    from django.contrib.auth.models import AnonymousUser
    from django.core.management import call_command
    from waffle import flag_is_active
    from waffle.models import Flag

    call_command("migrate", verbosity=0)
    shares = {"half": 50, "ruled": 25, "layout": 40, "tenth": 10}
    Flag.objects.create(name="everybody", everyone=True)
    for name, percent in shares.items():
        Flag.objects.create(name=name, percent=percent)
    names = ("everybody", *shares)

    def work(request: Any) -> None:
        request.user = AnonymousUser()
        for name in names:
            flag_is_active(request, name)

    return work
