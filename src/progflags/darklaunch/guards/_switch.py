"""
What a shadow may not do: guards that refuse effects, and count each one they refused.

    @pf.dark_launch("pricing-v2", candidate=price_v2, guards=[guards.django_readonly(), guards.http_safe_methods()])

A refused effect raises `shadow.Blocked` in the candidate and makes the call's outcome `guard_blocked`: what the candidate
would have answered is not known. Guards look at a context variable, so they refuse in the shadow's thread, its tasks and
the pools those hand work to, and nowhere else; the rest of the process pays one look-up per call. A bare
`threading.Thread` begins with an empty context: what a candidate starts there is out of their sight.

Writes that must be exercised belong in a migration with stages (see progflags.darklaunch.Migration), not in a shadow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from progflags.darklaunch.shadow import Shadow

__all__ = ["Guard", "Switch"]

#: Those made here are functions of their modules with their arguments, so that they can follow a candidate into its process.
Guard = Callable[[Shadow], AbstractContextManager[None]]


class Switch:
    """A guard as a context variable: on inside the shadow, and holding it, so that what is refused can be counted."""

    __slots__ = ("_here",)

    def __init__(self, name: str) -> None:
        self._here: ContextVar[Shadow | None] = ContextVar(f"progflags.guard.{name}", default=None)

    def shadow(self) -> Shadow | None:
        return self._here.get()

    @contextmanager
    def __call__(self, shadow: Shadow) -> Iterator[None]:
        token = self._here.set(shadow)
        try:
            yield
        finally:
            self._here.reset(token)
