"""
Who is told of what happens: Slack, Teams, Discord, webhooks, e-mail, commands. And what alerts do that come in: `Hook`.

`pf.connect(…, notify=[pf.notify.Slack(url="https://…")])`, or `[notify.payments]` in the flag file.
"""

from progflags.notify._channel import Busy, Channel, Only, Refused
from progflags.notify._chat import Discord, Slack, Teams
from progflags.notify._command import Command
from progflags.notify._cutoff import CutOff
from progflags.notify._email import Email
from progflags.notify._message import Message, Severity
from progflags.notify._notifier import Notifier
from progflags.notify._observed import Observed
from progflags.notify._table import channel_of
from progflags.notify._webhook import Webhook
from progflags.notify.inbound import Hook, asgi, wsgi

__all__ = [
    "Busy",
    "Channel",
    "Command",
    "CutOff",
    "Discord",
    "Email",
    "Hook",
    "Message",
    "Notifier",
    "Observed",
    "Only",
    "Refused",
    "Severity",
    "Slack",
    "Teams",
    "Webhook",
    "asgi",
    "channel_of",
    "wsgi",
]
