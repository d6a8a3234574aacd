"""
After a fork: what a child must put right before it can use what it inherited.

Threads do not survive a fork, locks keep the state they had, connections belong to the parent. Whoever owns one of these
registers here; its `after_fork` runs in the child, before anything else does: first whoever has locks and connections to
renew, then whoever starts threads, for those use the former. Nothing runs in the parent, so a fork never disturbs the
process that forks.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from progflags._trouble import swallow

__all__ = ["Forked", "in_child"]


class Forked(Protocol):
    """Something that must be put right in a child."""

    def after_fork(self) -> None: ...


_owners: weakref.WeakSet[Forked] = weakref.WeakSet()
_starters: weakref.WeakSet[Forked] = weakref.WeakSet()


def in_child(owner: Forked, *, starts_threads: bool = False) -> None:
    """Call `owner.after_fork()` in every process forked from here on, for as long as the owner lives (it is held weakly)."""
    (_starters if starts_threads else _owners).add(owner)


def _run() -> None:
    for owner in (*_owners, *_starters):
        try:
            owner.after_fork()
        except Exception as error:
            swallow("after fork", error)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_run)
