"""The client that decorators and middleware use when none is given; and forcing a flag, for code that gets one passed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from progflags.errors import ProgflagsError
from progflags.flags._client import Client

__all__ = ["Forced", "NoDefaultError", "default", "force", "given", "set_default"]

_default: Client | None = None


class NoDefaultError(ProgflagsError, LookupError):
    """Nobody said which client to use. Call `pf.set_default(flags)`, or pass `flags=`."""


def set_default(client: Client | None) -> None:
    """
    Use this client wherever `flags=` is not given; None takes it back.

        pf.set_default(flags)

        @pf.dark_launch("pricing-v2", candidate=price_v2)       # without flags=
        def price(cart): ...
    """
    global _default  # noqa: PLW0603 - the one name this module exists for
    _default = client


def default() -> Client:
    """
    The client set by `set_default`.

        pf.set_default(pf.connect("flags.toml"))
        pf.default().is_enabled("new-search", "user-42")

    Raises:
        NoDefaultError: none is set.
    """
    if _default is None:
        raise NoDefaultError("no default client: call pf.set_default(flags) once at start, or pass flags=")
    return _default


def given(client: Client | None) -> Client | None:
    """`client`, else the default one, else None: for doors, which serve on without flags rather than raise in a request."""
    return client if client is not None else _default


@dataclass(frozen=True, slots=True)
class Forced:
    """A flag and the variant (or value) it is to have; `over(client)` makes it so for the length of a block."""

    flag: str
    variant: Any

    def over(self, client: Client) -> AbstractContextManager[None]:
        """A block in which `client` answers this variant, for this task or thread."""
        return client.override({self.flag: self.variant})


def force(flag: str, variant: Any) -> Forced:
    """
    This flag at this variant: what `DarkLaunchMiddleware(candidate=pf.force("new-search", "on"))` runs its shadow under.

        @pf.dark_launch("pricing-v2", candidate=pf.force("new-search", "on"), flags=flags)
        def search(query):
            return "vectors" if flags.is_enabled("new-search") else "words"
    """
    return Forced(flag, variant)
