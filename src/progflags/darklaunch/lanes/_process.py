"""
A candidate in another process: the only place where a deadline is hard, and where it may crash.

For candidates that compute (no GIL is shared), leak or segfault. One child serves one worker thread at a time; it gets the
function by name, the arguments and the guards by pickle, and is killed when its time is up. What is lost with it is its state.
It is a shadow there as it would be here: `shadow.active()` says so, guards refuse, and nothing is shadowed again.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from progflags._printed import quoted
from progflags._process import in_child, look
from progflags.darklaunch.lanes import _exit
from progflags.darklaunch.lanes._context import shadowed
from progflags.darklaunch.shadow import Expired, Shadow, current

__all__ = ["ChildDied", "in_process"]

_KEPT: Final = 2  # idle children
_BOOT: Final = 30.0  # seconds for a process to come up


class ChildDied(RuntimeError):  # noqa: N818 - what happened
    """The candidate ended its process: a crash, os._exit, or the kernel out of memory."""


class _Child:
    """A process that answers one call after the other."""

    def __init__(self) -> None:
        # Spawned, not forked: a fork copies locks that other threads hold, and the child would wait for them for ever.
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(there,), name="progflags-shadow", daemon=True)
        self._process.start()
        there.close()
        if not self._here.poll(_BOOT):
            raise ChildDied("no process came up")
        self._here.recv_bytes()

    def ask(self, message: bytes, deadline: float) -> bytes:
        try:
            self._here.send_bytes(message)
            if not self._here.poll(deadline):
                raise Expired("the candidate's process did not answer in time")
            return self._here.recv_bytes()
        except (EOFError, OSError) as error:
            if isinstance(error, Expired):
                raise
            raise ChildDied("the candidate's process ended") from error

    def kill(self) -> None:
        self._here.close()
        self._process.kill()
        self._process.join(1.0)


class _Children:
    """Idle children, kept for the next call."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)
        _exit.at_last(self.end)

    def after_fork(self) -> None:
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._lock = threading.RLock()

    def take(self) -> _Child:
        look()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        child = _Child()
        with self._lock:
            self._all.add(child)
        return child

    def give(self, child: _Child) -> None:
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(child)
                return
        self.drop(child)

    def drop(self, child: _Child) -> None:
        with self._lock:
            self._all.discard(child)
        child.kill()

    def end(self) -> None:
        """Idle or not: multiprocessing would ask them to end, and wait for one that has other plans."""
        with self._lock:
            left, self._idle, self._all = self._all, [], set()
        for child in left:
            child.kill()


_children = _Children()


def in_process(run: Callable[..., Any], deadline: float, guards: tuple[Any, ...] = ()) -> Callable[..., Any]:
    """`run` as a function that runs in a child, for at most `deadline` seconds, and raises what it raises there. Call it once."""
    child = _children.take()  # here, not below: a process takes longer to start than a candidate may take to answer

    def remote(*args: Any, **kwargs: Any) -> Any:
        here = current() or Shadow("")
        try:
            message = pickle.dumps((run, args, kwargs, guards, here.flag, here.id, deadline))
            raised, answer, blocked = pickle.loads(child.ask(message, deadline))  # noqa: S301 - from our own child
        except (Expired, ChildDied):
            _children.drop(child)
            raise
        except BaseException:  # what can't be pickled, going or coming: the child is as it was
            _children.give(child)
            raise
        _children.give(child)
        for effect in blocked:
            here.block(effect)
        if raised:
            raise answer
        return answer

    return remote


def check_guards(guards: tuple[Any, ...]) -> None:
    """
    Refuse guards that would stay behind.

    Raises:
        ValueError: one can't be pickled.
    """
    for guard in guards:
        try:
            pickle.dumps(guard)
        except Exception as error:
            raise ValueError(
                f"executor='process' needs guards that follow the candidate there, by pickle: {quoted(guard)} can't"
            ) from error


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for all of its processes; our parent says when we end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pipe.send_bytes(b"ready")
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        shadow = Shadow("")
        try:
            run, args, kwargs, guards, flag, identity, deadline = pickle.loads(message)  # noqa: S301 - from our own parent
            shadow = Shadow(flag, identity, time.monotonic() + deadline)
            with shadowed(shadow, guards, None):
                answer: tuple[bool, Any, list[str]] = (False, run(*args, **kwargs), shadow.blocked)
        except BaseException as error:
            answer = (True, error, shadow.blocked)
        try:
            pipe.send_bytes(pickle.dumps(answer))
        except Exception as error:
            failure = TypeError(f"the answer can't leave the process: {type(error).__name__}")
            pipe.send_bytes(pickle.dumps((True, failure, shadow.blocked)))
