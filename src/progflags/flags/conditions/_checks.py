"""Compiled conditions: functions of (the targeting key's bytes, the attributes), as fast as Python goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sys import intern
from typing import Any

from progflags.flags.conditions._literals import Due, Literal
from progflags.flags.conditions._operators import predicate, texts
from progflags.flags.conditions._unfit import Heard

__all__ = ["Check", "all_of", "any_of", "flat"]

Check = Callable[[bytes | None, Mapping[str, Any]], bool]
"""A compiled condition: (the targeting key's bytes, the attributes) → does it match."""


def flat(name: str, op: str, value: Literal | Due, heard: Heard) -> Check:
    """A comparison of a top-level attribute; those that only texts can pass skip every test of the type."""
    name = intern(name)  # as the names in an application's own source are: then a look-up compares no characters
    known = texts(op, value, heard)
    if known is not None:
        yes, learn, despite = known.yes, known.learn, known.despite

        def text(_: bytes | None, attributes: Mapping[str, Any]) -> bool:
            if name not in attributes:
                return False
            found = attributes[name]
            try:
                return found in yes or learn(found)
            except Exception as error:
                return despite(error, found)

        return text

    test = predicate(op, value, heard)
    if isinstance(value, bool) and op in ("==", "!="):
        sought = value if op == "==" else not value
        other = not sought

        def truth(_: bytes | None, attributes: Mapping[str, Any]) -> bool:
            if name not in attributes:
                return False
            found = attributes[name]
            return found is sought or (found is not other and found is not None and test(found))

        return truth

    def compared(_: bytes | None, attributes: Mapping[str, Any]) -> bool:
        return name in attributes and (found := attributes[name]) is not None and test(found)

    return compared


def all_of(checks: list[Check]) -> Check:
    """Whether every check says yes: two or three as one expression, more in a loop, so that thousands go no deeper than one."""
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda kb, attributes: first(kb, attributes) and second(kb, attributes)
    if len(checks) == 3:
        first, second, third = checks
        return lambda kb, attributes: first(kb, attributes) and second(kb, attributes) and third(kb, attributes)

    def every(kb: bytes | None, attributes: Mapping[str, Any]) -> bool:
        for check in checks:  # noqa: SIM110 - a generator would cost as much as three checks
            if not check(kb, attributes):
                return False
        return True

    return every


def any_of(checks: list[Check]) -> Check:
    """Whether one check says yes; as `every`."""
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda kb, attributes: first(kb, attributes) or second(kb, attributes)
    if len(checks) == 3:
        first, second, third = checks
        return lambda kb, attributes: first(kb, attributes) or second(kb, attributes) or third(kb, attributes)

    def some(kb: bytes | None, attributes: Mapping[str, Any]) -> bool:
        for check in checks:  # noqa: SIM110 - as above
            if check(kb, attributes):
                return True
        return False

    return some
