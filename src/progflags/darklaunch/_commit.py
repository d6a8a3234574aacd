"""
A shadow begins when the caller's transaction is committed: before that it would see a world without the caller's rows.

Only where Django is in use and this thread is inside `atomic()`. A transaction that is rolled back takes the shadow with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["when_committed"]


class _Begin:
    """What is to happen on commit. Django drops its hooks at a rollback, and says nothing: this one says it."""

    __slots__ = ("_begin", "_begun", "_lost")

    def __init__(self, begin: Callable[[], object], lost: Callable[[], object]) -> None:
        self._begin = begin
        self._lost = lost
        self._begun = False

    def __call__(self) -> None:
        self._begun = True
        self._begin()

    def __del__(self) -> None:
        if not self._begun:
            self._lost()


def when_committed(begin: Callable[[], object], lost: Callable[[], object]) -> bool:
    """
    Put `begin` off until this thread's transaction commits, and call `lost` should it be rolled back.

    False when there is no transaction: nothing was put off.
    """
    db = sys.modules.get("django.db")
    if db is None:
        return False
    try:
        connection = next((each for each in db.connections.all(initialized_only=True) if each.in_atomic_block), None)
    except Exception:  # imported and not configured: then there is no transaction either
        return False
    if connection is None:
        return False
    connection.on_commit(_Begin(begin, lost), robust=True)
    return True
