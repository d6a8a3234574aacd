"""System checks: what is wrong with the setting, the file and the flags that code names, before a request finds out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's names
from django.core.exceptions import ImproperlyConfigured

from progflags._printed import MESSAGE, printable
from progflags.contrib.django import _client
from progflags.contrib.django._named import NAMED
from progflags.errors import DefinitionError, Problem, ProgflagsError
from progflags.flags import Client, meant
from progflags.rollout import unstartable

__all__ = ["check"]

MIDDLEWARE = "progflags.contrib.django.middleware.FlagsMiddleware"


def check(app_configs: Any = None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001 - Django's signature
    """
    Everything `manage.py check` says about flags.

    E001 the setting · E002 the source can't be served · E003 code names a flag that doesn't exist · W001 a flag was
    refused, its default serves · W002 the source is served with a warning · W003 the middleware is missing or too early ·
    W004 a rollout that can't start.
    """
    messages = list(_middleware())
    try:
        _client.configured()
        _client.context_function()
        _client.anonymous()
    except (ImproperlyConfigured, ValueError, TypeError) as error:
        return [Error(printable(error, MESSAGE), id="progflags.E001"), *messages]
    try:
        client = _client.client()
    except DefinitionError as error:
        return [*(_problem(Error, problem, "progflags.E002") for problem in error.problems), *messages]
    except (ProgflagsError, ValueError, TypeError) as error:
        return [Error(printable(error, MESSAGE), id="progflags.E001"), *messages]
    return [*_flags(client), *messages]


def _flags(client: Client) -> Iterable[CheckMessage]:
    snapshot = client.definitions
    if snapshot is None:
        return
    for problem in snapshot.rejected:
        yield _problem(Warning, problem, "progflags.W001")
    for problem in snapshot.warnings:
        yield _problem(Warning, problem, "progflags.W002")
    known = {*snapshot.flags, *snapshot.broken}
    for key, places in sorted(NAMED.items()):
        if key not in known:
            message = f"{', '.join(sorted(places))} asks for the flag {key!r}, which no source defines"
            yield Error(message, hint=meant(key, known) or None, id="progflags.E003")
    for problem in unstartable(snapshot):
        yield _problem(Warning, problem, "progflags.W004")


def _middleware() -> Iterable[CheckMessage]:
    listed = list(settings.MIDDLEWARE)
    authentication = "django.contrib.auth.middleware.AuthenticationMiddleware"
    if MIDDLEWARE not in listed:
        yield Warning("requests have no flag context and are not counted", hint=f"add {MIDDLEWARE!r} to MIDDLEWARE", id="progflags.W003")
    elif authentication in listed and listed.index(authentication) > listed.index(MIDDLEWARE):
        yield Warning("the flags middleware runs before there is a user", hint=f"put it below {authentication!r}", id="progflags.W003")


def _problem(kind: type[CheckMessage], problem: Problem, number: str) -> CheckMessage:
    message: CheckMessage = kind(str(replace(problem, hint="")), hint=printable(problem.hint) or None, id=number)
    return message
