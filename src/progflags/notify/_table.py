"""From a table of `[notify]` to a channel: here the environment is asked for what the file does not hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from progflags._clock import seconds
from progflags.errors import DefinitionError
from progflags.flags import ChannelSpec
from progflags.notify._channel import Channel, Only
from progflags.notify._chat import Discord, Slack, Teams
from progflags.notify._command import Command
from progflags.notify._email import Email
from progflags.notify._webhook import Webhook

__all__ = ["channel_of"]

_ENV: Final = "env:"
_SECRETS: Final = ("slack", "teams", "discord", "webhook", "secret", "smtp")
_TOKEN: Final = ("xoxb-", "xoxp-", "xoxe.")  # how Slack's tokens begin


def channel_of(spec: ChannelSpec, environment: Mapping[str, str] = os.environ) -> Channel:
    """
    The channel that a table describes.

    Raises:
        DefinitionError: a variable it names is not set, or what was found there is no address; file, line and key are named.
    """
    data = {key: _resolved(spec, key, environment) if key in _SECRETS else value for key, value in spec.data.items()}
    kind = next(kind for kind in _MAKERS if kind in data)
    only = Only(data.get("flags", ()), data.get("owners", ()), data.get("tags", ()), data.get("severity", "info"))
    common: dict[str, Any] = {"name": spec.name, "only": only, "console_url": data.get("console_url", "")}
    if "timeout" in data:
        common["timeout"] = seconds(data["timeout"])
    try:
        return _MAKERS[kind](data, common)
    except ValueError as error:
        raise DefinitionError([spec.problem((kind,), str(error))]) from None


def _resolved(spec: ChannelSpec, key: str, environment: Mapping[str, str]) -> str:
    value: str = spec.data[key]
    if not value.startswith(_ENV):
        return value
    name = value.removeprefix(_ENV)
    found = environment.get(name, "")
    if not found:
        raise DefinitionError([spec.problem((key,), f"the variable {name} is not set in this process", f"set {name}, or take {key} out")])
    return found


def _slack(data: Mapping[str, Any], common: Mapping[str, Any]) -> Channel:
    where: str = data["slack"]
    if where.startswith(_TOKEN):
        return Slack(token=where, channel=data.get("channel", ""), **common)
    return Slack(url=where, **common)


def _webhook(data: Mapping[str, Any], common: Mapping[str, Any]) -> Channel:
    return Webhook(url=data["webhook"], **{key: data[key] for key in ("secret", "source") if key in data}, **common)


def _email(data: Mapping[str, Any], common: Mapping[str, Any]) -> Channel:
    return Email(to=data["email"], smtp=data["smtp"], **({"sender": data["from"]} if "from" in data else {}), **common)


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Channel]]] = {
    "slack": _slack,
    "teams": lambda data, common: Teams(url=data["teams"], **common),
    "discord": lambda data, common: Discord(url=data["discord"], **common),
    "webhook": _webhook,
    "email": _email,
    "command": lambda data, common: Command(argv=data["command"], **common),
}
