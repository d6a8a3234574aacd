"""
Am I a shadow? What a candidate, and the application code it calls, can ask.

    if not pf.shadow.active():
        send_receipt(order)

A shadow's answer is thrown away, so its effects should be too. `active()` is for the application's own; guards are for
databases, HTTP clients and queues (see progflags.darklaunch.guards).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from progflags.errors import ProgflagsError

__all__ = ["Blocked", "Expired", "Shadow", "active", "check", "current", "remaining", "suppressed"]


class Blocked(ProgflagsError, PermissionError):  # noqa: N818 - what happened, as PermissionError says it
    """A guard refused an effect, because a shadow asked for it. The control did the same for real."""


class Expired(ProgflagsError, TimeoutError):  # noqa: N818 - as above
    """The shadow's deadline has passed: nobody waits for its answer."""


class Shadow:
    """One candidate (or one repeat of the control) being run. `blocked` names the effects guards refused, in order."""

    __slots__ = ("blocked", "due", "flag", "id")

    def __init__(self, flag: str, identity: str = "", due: float | None = None) -> None:
        self.flag = flag
        self.id = identity
        self.due = due  # on time.monotonic()
        self.blocked: list[str] = []

    def block(self, effect: str) -> Blocked:
        """Note that `effect` was refused; raise what this returns."""
        if len(self.blocked) < 64:
            self.blocked.append(effect)
        return Blocked(f"{effect} refused: the dark launch {self.flag!r} runs it in the shadow")


_here: ContextVar[Shadow | None] = ContextVar("progflags.shadow", default=None)


def active() -> bool:
    """
    Whether this code runs in a shadow, so that its effects must not be real.

        if not pf.shadow.active():
            send_receipt(order)
    """
    return _here.get() is not None


def current() -> Shadow | None:
    """The shadow this code runs in, or None."""
    return _here.get()


def remaining() -> float | None:
    """Seconds until this shadow's deadline (never below 0), to pass on as a timeout; None outside a shadow or without one."""
    here = _here.get()
    return None if here is None or here.due is None else max(0.0, here.due - time.monotonic())


def check() -> None:
    """
    End a shadow that has run out of time: call it in long loops. Does nothing outside a shadow.

    Raises:
        Expired: the deadline has passed.
    """
    if remaining() == 0.0:
        raise Expired("the shadow's deadline has passed")


@contextmanager
def enter(shadow: Shadow) -> Iterator[Shadow]:
    """Be in the shadow until the block ends."""
    token = _here.set(shadow)
    try:
        yield shadow
    finally:
        _here.reset(token)


@contextmanager
def suppressed(flag: str = "") -> Iterator[Shadow]:
    """
    Be in a shadow by one's own decision: a server doing so for a request that carries the marker header.

    The block's `active()` is True, guards refuse, and nothing inside is shadowed again.

        with pf.shadow.suppressed("pricing-v2"):
            assert pf.shadow.active()                           # price(cart) here shadows nothing
    """
    with enter(Shadow(flag)) as shadow:
        yield shadow
