"""
Flask: `Progflags(app)` connects, binds each request's context, and counts it; `flask progflags …`; `flag()` in templates.

    app.config["PROGFLAGS"] = {"source": "flags.toml", "store": "sqlite:///progflags.db"}
    flags = Progflags(app, context=lambda: g.user_id)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from progflags._anonymous import AnonymousId
from progflags._identity import ask_with
from progflags.context import scope
from progflags.contrib._program import arguments, run
from progflags.errors import missing
from progflags.flags import Client, set_default
from progflags.wsgi import FlagsMiddleware

try:
    import click
    from flask import Flask, current_app
except ImportError as error:
    raise missing(error, "flask", "Flask", "flask") from error

__all__ = ["Progflags"]


class Progflags:
    """
    The extension. `flags` is a client made elsewhere; without it one is connected from `app.config["PROGFLAGS"]`.

    `context` is called inside a request (so `request`, `session` and `g` are there) when a flag is first asked for, and answers
    who is asking; a request that asks none never calls it. `PROGFLAGS["anonymous"]` (True: signed with SECRET_KEY) gives other
    visitors a sticky id. `.client` is the client of the current application.

        from flask import session

        app.config["PROGFLAGS"] = {"source": "flags.toml", "store": "sqlite:///progflags.db"}
        flags = Progflags(app, context=lambda: session.get("user_id"))

        @app.get("/search")
        def search():
            return {"vectors": flags.client.is_enabled("new-search")}
    """

    def __init__(self, app: Flask | None = None, *, flags: Client | None = None, context: Callable[[], Any] | None = None) -> None:
        self._flags = flags
        self._context = context
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """
        Set up an application; several may share one extension.

        Raises:
            RuntimeError: neither a client was given nor `app.config["PROGFLAGS"]` names a source, or there is no SECRET_KEY to sign
            anonymous visitors' ids with.
            DefinitionError: nothing can be served from that source.
        """
        setting = dict(app.config.get("PROGFLAGS") or {})
        anonymous = setting.pop("anonymous", None)
        client = self._flags or _connected(setting)
        app.extensions["progflags"] = client
        if anonymous is True and not app.secret_key:
            raise RuntimeError('PROGFLAGS["anonymous"] = True signs with the SECRET_KEY: set it before init_app')
        secret: Any = _secrets(app) if anonymous is True else anonymous
        app.wsgi_app = FlagsMiddleware(app.wsgi_app, flags=client, anonymous=secret)  # type: ignore[method-assign] # Flask's way to wrap
        app.before_request(self._bind)
        app.jinja_env.globals["flag"] = lambda key, default=False: client.get(key, default)
        app.cli.add_command(_command(setting))

    @property
    def client(self) -> Client:
        """The current application's client."""
        client: Client = current_app.extensions["progflags"]
        return client

    def _bind(self) -> None:
        here, context = scope(), self._context
        if context is not None and here is not None:
            ask_with(here, lambda _: context(), "Flask context")


def _secrets(app: Flask) -> AnonymousId:
    """Signed with the SECRET_KEY, and those it replaced are still believed: a rotation must not make strangers of all visitors."""
    return AnonymousId([app.secret_key, *(app.config.get("SECRET_KEY_FALLBACKS") or ())])  # type: ignore[list-item] # it is set


def _connected(setting: dict[str, Any]) -> Client:
    if "source" not in setting:
        raise RuntimeError('give Progflags a client, or app.config["PROGFLAGS"] = {"source": "flags.toml"}')
    from progflags._connect import connect

    client = connect(setting["source"], **{name: value for name, value in setting.items() if name != "source"})
    set_default(client)
    return client


def _command(setting: dict[str, Any]) -> click.Command:
    @click.command("progflags", context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(words: tuple[str, ...]) -> None:
        """The progflags command line, on this application's flag file and store."""
        try:
            code = run([*arguments(setting.get("source"), setting.get("store"), setting.get("environment")), *words])
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        raise SystemExit(code)

    return command
