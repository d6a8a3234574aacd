"""The one client of a Django project, made from its PROGFLAGS setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from progflags._anonymous import AnonymousId
from progflags._process import Lock
from progflags.errors import missing
from progflags.flags import Client, set_default

try:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.utils.module_loading import import_string
except ImportError as error:
    raise missing(error, "django", "Django", "django") from error

__all__ = ["anonymous", "client", "configured", "context_function", "reset"]

#: What the setting may say beside connect's own names.
OURS: Final = ("source", "context", "anonymous")

_lock = Lock()
_client: Client | None = None


def configured() -> dict[str, Any]:
    """
    The setting, checked for its shape.

    Raises:
        ImproperlyConfigured: PROGFLAGS is missing, no dict, or names no source.
    """
    setting = getattr(settings, "PROGFLAGS", None)
    if not isinstance(setting, dict):
        raise ImproperlyConfigured('PROGFLAGS is a dict such as {"source": BASE_DIR / "flags.toml", "store": "sqlite:///progflags.db"}')
    if "source" not in setting:
        raise ImproperlyConfigured('PROGFLAGS needs a "source": the flag file, a directory of them, or a dict')
    return setting


def client() -> Client:
    """
    The project's client, connected when first asked for, and `pf.default()` from then on.

        from progflags.contrib.django import client

        client().rollouts.start("new-checkout", by="release 42")    # in a management command

    Raises:
        ImproperlyConfigured: the setting is wrong.
        DefinitionError: nothing can be served from the source.
    """
    global _client  # noqa: PLW0603 - one per process, as Django's own settings are
    if _client is None:
        with _lock:
            if _client is None:
                from progflags._connect import connect

                setting = configured()
                options = {name: value for name, value in setting.items() if name not in OURS}
                _client = connect(setting["source"], **options)
                set_default(_client)
    return _client


def reset(**_: Any) -> None:
    """Forget the client, as after a changed setting in a test; the next question connects anew."""
    global _client
    with _lock:
        old, _client = _client, None
    if old is not None:
        set_default(None)
        old.close()  # type: ignore[attr-defined] # a connected client has it


def context_function() -> Callable[[Any], Any] | None:
    """
    What the setting names as `context`: a function of the request, or its dotted path. None: the default one.

    Raises:
        ImproperlyConfigured: it can't be imported, or is no function.
    """
    named = configured().get("context")
    if isinstance(named, str):
        try:
            named = import_string(named)
        except ImportError as error:
            raise ImproperlyConfigured(f'PROGFLAGS["context"]: {error}') from error
    if named is not None and not callable(named):
        raise ImproperlyConfigured(f'PROGFLAGS["context"] is a function of the request or its dotted path, not {named!r}')
    found: Callable[[Any], Any] | None = named
    return found


def anonymous() -> AnonymousId | None:
    """The sticky id for visitors nobody signed in as, where the setting asks for one: True, or AnonymousId's options."""
    wanted = configured().get("anonymous")
    if not wanted:
        return None
    if isinstance(wanted, AnonymousId):
        return wanted
    options = dict(wanted) if isinstance(wanted, dict) else {}
    return AnonymousId([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS], **options)
