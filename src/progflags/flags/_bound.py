"""Bound: typed flags as functions of the context, the fastest way to ask, kept pointing at what serves."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from progflags.context import Context, innermost
from progflags.flags._reader import Reader, Who, asked_by
from progflags.flags._typed import Flag
from progflags.flags.serving import Ruleset

__all__ = ["Bound"]

T = TypeVar("T")


class Bound:
    """The functions that a client gave out and that are still held. Used under the client's lock."""

    __slots__ = ("_follow",)

    def __init__(self) -> None:
        self._follow: weakref.WeakKeyDictionary[Any, Callable[[], None]] = weakref.WeakKeyDictionary()

    def follow(self) -> None:
        """Something else serves from now on."""
        for follow in tuple(self._follow.values()):
            follow()

    def function(self, flag: Flag[T], client: Reader, plain: Callable[[], Ruleset | None]) -> Callable[..., T]:
        """
        A flag as a function of the context; see Flag.bind.

        `plain` is the ruleset that answers to everybody, None while anybody's answers are overridden.
        """
        function: Callable[..., T]

        def ask(context: Who = None) -> T:
            try:
                if context.__class__ is Context:
                    return function(context._kb, context._attributes)  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
                who = asked_by(context) if context is not None else innermost()._context or client._ambient(flag)
                return function(who._kb, who._attributes)
            except Exception as error:
                answer: T = client._otherwise(flag, flag.default, context, error, type)
                return answer

        def late(kb: bytes | None, attributes: Mapping[str, Any]) -> Any:
            return client._now().typed[type][flag](kb, attributes)

        def follow() -> None:
            nonlocal function
            ruleset = plain()
            try:
                function = late if ruleset is None else ruleset.typed[type][flag]
            except Exception:  # no such flag, or of another type: `late` finds out again and answers the default
                function = late

        ask.__name__ = ask.__qualname__ = f"flag {flag.key}"
        self._follow[ask] = follow
        follow()
        return ask
