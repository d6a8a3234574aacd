"""Alerts that come in: who may send them, what they say, and what is done about it."""

from progflags.notify.inbound._apps import asgi, wsgi
from progflags.notify.inbound._hook import Hook

__all__ = ["Hook", "asgi", "wsgi"]
