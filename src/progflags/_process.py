"""
This process: whether it is still the one we were made in, and what to put right when it is not.

Threads do not survive a fork, locks keep the state they had, connections belong to the parent. Whoever owns one of these
registers with `in_child`; its `after_fork` runs in the child, once, before anything of ours is used there: first whoever has
locks and connections to renew, then whoever starts threads, for those use the former. Nothing runs in the parent.

A fork is noticed in two ways. Python's own is announced (`os.register_at_fork`). One made in C is not: uWSGI forks so, and
other programs that embed Python may. So whoever is about to use a connection, a thread, a lock or a queue of ours calls
`look`, which compares process ids: a request that begins, a verb, a store, a shadow, a background thread; not an evaluation.

Python's own waits, before it happens, until no thread of ours is in the middle of an import: the child would have half of the
module for ever, and everybody in it who imports it. A candidate runs in such a thread, and imports what it likes.

Two more things are treated as a fork, because what was made before them is of no use after them: the threads of gevent or
eventlet put in place of Python's when we had begun already (a queue of C blocks every greenlet), and a uWSGI that has loaded
the application and now begins to serve.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import weakref
from _thread import get_ident  # the system's, whatever gevent puts into `threading`
from collections.abc import Callable
from contextlib import suppress
from os import getpid
from types import FrameType, TracebackType
from typing import Any, Final, Protocol

from progflags import _trouble, _uwsgi
from progflags._trouble import say, swallow

__all__ = ["Forked", "Lock", "Thread", "called", "here", "in_child", "look", "outdated", "preparing"]


class Forked(Protocol):
    """Something that must be put right in a child."""

    def after_fork(self) -> None: ...


_owners: weakref.WeakSet[Forked] = weakref.WeakSet()
_starters: weakref.WeakSet[Forked] = weakref.WeakSet()


def in_child(owner: Forked, *, starts_threads: bool = False) -> None:
    """Call `owner.after_fork()` in every process forked from here on, for as long as the owner lives (it is held weakly)."""
    look()
    (_starters if starts_threads else _owners).add(owner)
    if _preparing:
        _uwsgi.on_fork(look)


def look() -> None:
    """Put everything right if this is not the process it was at the last look. Never raises; costs one system call."""
    if getpid() != _pid or threading.Lock is not _made_of[0] or queue.SimpleQueue is not _made_of[1] or _preparing:
        _changed()


def called() -> str:
    """How people tell this process from others: `host:pid`."""
    import socket  # a front door that is light for who only evaluates

    return f"{socket.gethostname()}:{os.getpid()}"


def preparing() -> bool:
    """Whether this process serves nobody and is only there to be forked: no thread is to be started in it, nothing left open."""
    look()
    return _preparing


class Thread(threading.Thread):
    """A daemon thread that knows which process it runs in. `start` as usual; without threads it raises the RuntimeError it would."""

    def __init__(self, target: Callable[..., object], *, name: str, args: tuple[Any, ...] = ()) -> None:
        super().__init__(target=target, name=name, args=args, daemon=True)
        self._made_in = _here
        self._real = threading.get_ident is get_ident  # said now: gevent may come before it runs

    def start(self) -> None:
        if _preparing:
            raise RuntimeError("this process only loads the application; uWSGI's workers start their own")
        if not _uwsgi.threads():
            say("threads", _WITHOUT, cause="uwsgi")
            raise RuntimeError("uWSGI runs no threads: enable-threads is off")
        super().start()

    def run(self) -> None:
        real = get_ident() if self._real else 0
        _real.add(real)
        try:
            super().run()
        finally:
            _real.discard(real)

    def _delete(self) -> None:  # by which `threading` forgets a thread that ends, under a name that gevent may have changed meanwhile
        with suppress(KeyError):
            super()._delete()  # type: ignore[misc]


def outdated() -> bool:
    """
    Whether this is a thread of the system's that runs on beside greenlets: gevent has come since it began.

    What it uses of `threading` is a greenlet's by now and fails in its hands. Another one does its work; it ends, and what it met says
    nothing of anybody.
    """
    return threading.get_ident is not get_ident and get_ident() in _real


def here(thread: threading.Thread | None) -> bool:
    """
    Whether `thread` is one of ours that runs, in this process.

    To a child of a fork that was made in C its parent's threads look alive. Say `look` before, where that was not done.
    """
    return thread is not None and getattr(thread, "_made_in", None) is _here and thread.is_alive()


class Lock:
    """A re-entrant lock of this process, for what is shared by all of a module; in a child nobody holds it."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        look()
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()


_WITHOUT: Final = (
    "uWSGI runs no background threads unless told to: say `enable-threads = true` in its configuration. Until then changes are"
    " looked for when a request begins (FlagsMiddleware) or status() or refresh() is called, and nothing is shadowed or sent"
)


_pid: int = getpid()
_made_of: tuple[object, object] = (threading.Lock, queue.SimpleQueue)  # gevent puts its own there, one after the other
_here: object = object()  # a mark of this process, compared by identity
_preparing: bool = _uwsgi.preparing()
_real: set[int] = set()  # our threads that are the system's: what one of them started after gevent came would end with it
_turns: dict[object, Any] = {}  # by process: its own lock, for one inherited may be held by a thread that is not here
_at: tuple[int, int] | None = None  # process and thread that is putting things right


def _changed() -> None:
    """The slow half of `look`: one thread puts everything right, the others wait for it."""
    global _pid, _made_of, _here, _preparing, _at
    pid, made_of, loading = getpid(), (threading.Lock, queue.SimpleQueue), _uwsgi.preparing()
    me = (pid, threading.get_ident())
    if (pid, made_of, loading) == (_pid, _made_of, _preparing) or _at == me:  # whoever is put right looks, too
        return
    if pid == _pid and made_of != _made_of and get_ident() in _real:
        return
    with _turns.setdefault((pid, made_of), threading.RLock()):
        if (pid, made_of, loading) == (_pid, _made_of, _preparing):
            return
        if pid != _pid:
            _real.clear()  # the parent's
        _at, _here, _preparing = me, object(), loading  # the last already now: whoever starts a thread asks
        try:
            _put_right()
        finally:
            _pid, _made_of, _at = pid, made_of, None


_IMPORTS: Final = 5.0  # seconds a fork waits for them: whoever forks may hold what they wait for


def _imports_are_done() -> None:
    """Called by whoever is about to fork."""
    end = time.monotonic() + _IMPORTS
    while any(map(_imports, _others())):
        if time.monotonic() > end:
            say("fork", "a thread of ours has been importing a module for 5 s; what it imports may be half there in the child")
            return
        time.sleep(0.001)


def _others() -> list[FrameType | None]:
    """Where each thread of ours is just now, except for the one that asks."""
    frames, me = sys._current_frames(), threading.current_thread()
    return [frames.get(each.ident or 0) for each in threading.enumerate() if isinstance(each, Thread) and each is not me]


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_imports_are_done, after_in_child=_changed)


def _put_right() -> None:
    _trouble.renew()
    for owner in (*_owners, *_starters):
        try:
            owner.after_fork()
        except Exception as error:
            swallow("after fork", error)
