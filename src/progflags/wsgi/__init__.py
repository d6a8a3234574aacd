"""For WSGI applications: FlagsMiddleware and DarkLaunchMiddleware. Only the protocol is needed, no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progflags._anonymous import AnonymousId
from progflags.wsgi._flags import FlagsMiddleware

if TYPE_CHECKING:
    from progflags.wsgi._dark_launch import DarkLaunchMiddleware

__all__ = ["AnonymousId", "DarkLaunchMiddleware", "FlagsMiddleware"]


def __getattr__(name: str) -> object:
    # The dark launch brings an executor and a diff engine; an application that only has flags need not load them.
    if name == "DarkLaunchMiddleware":
        from progflags.wsgi._dark_launch import DarkLaunchMiddleware

        return DarkLaunchMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
