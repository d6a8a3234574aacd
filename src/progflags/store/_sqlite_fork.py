"""
Around a fork: no file of this process is open while it forks, as far as a statement in progress lets go in time.

Why closed, and not merely forgotten by the child: SQLite keeps a table of the files a process has open, with the locks it
believes to hold. A child inherits the table and not the locks, and would trust them. So the parent lets go just before
it forks (others hold back; it waits a second for a running statement, no longer) and opens again at its next call, a
fraction of a millisecond. A child of a fork that could not wait so long refuses to use the store instead of risking the file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from typing import Protocol

from progflags._deadline import left

__all__ = ["abandon", "forget", "hold_back", "is_tainted", "meet"]

_FORK = 1.0  # seconds a fork waits for a running statement: a commit takes a few milliseconds, a failing disk for ever

Identity = tuple[int, int] | None
"""Device and inode of a file; None: it is gone."""


class File(Protocol):
    """A file with this process's connection to it, as far as a fork is concerned."""

    _lock: threading.RLock  # pyright: ignore[reportGeneralTypeIssues] # a function to the typeshed of some versions

    def _let_go(self) -> None: ...

    def __hash__(self) -> int: ...


_files: weakref.WeakSet[File] = weakref.WeakSet()
_held: list[File] = []
_abandoned: list[sqlite3.Connection | None] = []
_tainted: set[Identity] = set()  # files SQLite believes to have locked in this child

_gate = threading.Event()
_gate.set()


def meet(file: File) -> None:
    """From now on `file` is let go of before a fork."""
    _files.add(file)


def hold_back() -> None:
    """Wait while somebody is about to fork: one statement is enough for it to wait for."""
    if not _gate.is_set():
        _gate.wait(left(_FORK))


def forget(file: File) -> bool:
    """In a child: whether the parent had let go of `file` for this fork."""
    _new_gate()
    if file not in _held:
        return False
    _held.remove(file)
    return True


def abandon(identity: Identity, connection: sqlite3.Connection | None) -> None:
    """In a child: this connection was in a statement, and is neither used nor closed: that would roll back what the parent is writing."""
    _tainted.add(identity)
    _abandoned.append(connection)


def is_tainted(identity: Identity) -> bool:
    """Whether the file can't be used in this child."""
    return identity is not None and identity in _tainted


def _before_fork() -> None:
    _gate.clear()
    for file in tuple(_files):
        # In slices: to a process that was stopped in between, one long wait has passed before the statement's thread ran again.
        if any(file._lock.acquire(timeout=_FORK / 20) for _ in range(20)):
            file._let_go()
            _held.append(file)


def _in_parent() -> None:
    while _held:
        _held.pop()._lock.release()
    _gate.set()


def _new_gate() -> None:
    global _gate  # noqa: PLW0603 - renewed, for a thread that is not here may have been in it
    _gate = threading.Event()
    _gate.set()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    # The child too, though it may hold no file yet: the one it opens first must find the gate open.
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_new_gate)
