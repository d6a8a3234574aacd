"""Connections to a Redis that nothing waits for longer than the call may take: to be opened, to be answered, byte by byte."""

from __future__ import annotations

import math
import threading
from typing import Any

from redis.connection import Connection, SSLConnection
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from progflags._deadline import left, limited
from progflags.store import aside

__all__ = ["Hasty", "HastySSL", "Led", "LedSSL", "dialled"]

_CONNECT = 5.0  # seconds that a connection may take where nobody is in a hurry

_dials = threading.local()


def dialled() -> int:
    """How many connections this thread has begun to open."""
    return getattr(_dials, "made", 0)


class _Socket:
    """A socket whose every wait ends with the whole call's deadline: a server that sends a byte now and then is not waited for."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._most: float | None = inner.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def settimeout(self, seconds: float | None) -> None:
        self._most = seconds
        self._inner.settimeout(seconds)

    def _hurry(self) -> Any:
        if self._most != 0 and limited():
            seconds = left(math.inf if self._most is None else self._most)
            if not seconds:
                raise TimeoutError("the time is up")
            self._inner.settimeout(seconds)
        return self._inner

    def recv(self, *arguments: Any) -> Any:
        return self._hurry().recv(*arguments)

    def recv_into(self, *arguments: Any) -> Any:
        return self._hurry().recv_into(*arguments)

    def send(self, *arguments: Any) -> Any:
        return self._hurry().send(*arguments)

    def sendall(self, *arguments: Any) -> Any:
        return self._hurry().sendall(*arguments)


class _Dials:
    """Opens such sockets. Aside, for to find out the address of a name takes as long as it takes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        this: Any = self
        self._patience: float = this.socket_connect_timeout or _CONNECT

    def _connect(self) -> Any:
        _dials.made = dialled() + 1
        seconds = left(self._patience)
        this: Any = self
        opening: Any = super()
        this.socket_connect_timeout = seconds or 0.001
        return _Socket(aside(opening._connect, seconds, late=lambda opened: opened.close()))


class Hasty(_Dials, Connection):
    pass


class HastySSL(_Dials, SSLConnection):
    pass


class Led(_Dials, SentinelManagedConnection):
    """To whichever server Sentinel calls the primary just then."""


class LedSSL(_Dials, SentinelManagedSSLConnection):
    """Likewise, with TLS."""
