"""The application: connects when Django is ready, and checks what was configured."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from progflags.contrib.django import _client
from progflags.errors import ProgflagsError

__all__ = ["ProgflagsConfig"]


class ProgflagsConfig(AppConfig):  # type: ignore[misc] # Django brings no types
    """`"progflags.contrib.django"` in INSTALLED_APPS."""

    name = "progflags.contrib.django"
    label = "progflags"
    verbose_name = "Feature flags"

    def ready(self) -> None:
        from progflags.contrib.django.checks import check

        register(check)
        setting_changed.connect(_changed, dispatch_uid="progflags")
        try:
            _client.client()
        except (ImproperlyConfigured, ProgflagsError, ValueError, TypeError):
            # The checks say what is wrong, whoever refused it, and the middleware refuses to serve; a command that skips them
            # need not care.
            return


def _changed(*, setting: str, **_: object) -> None:
    if setting == "PROGFLAGS":
        _client.reset()
