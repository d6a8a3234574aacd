"""
A candidate in another process: the only place where a deadline is hard, and where it may crash.

For candidates that compute (no GIL is shared), leak or segfault. One child serves one worker thread at a time; it gets the
function by name and the arguments by pickle, and is killed when its time is up. What is lost with it is its state.
"""

from __future__ import annotations

import atexit
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from progflags._fork import in_child
from progflags.darklaunch.shadow import Expired

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

    def ask(self, message: bytes, deadline: float) -> Any:
        try:
            self._here.send_bytes(message)
            if not self._here.poll(deadline):
                raise Expired("the candidate's process did not answer in time")
            raised, answer = pickle.loads(self._here.recv_bytes())  # noqa: S301 - from our own child
        except (EOFError, OSError) as error:
            if isinstance(error, Expired):
                raise
            raise ChildDied("the candidate's process ended") from error
        if raised:
            raise answer
        return answer

    def kill(self) -> None:
        self._here.close()
        self._process.kill()
        self._process.join(1.0)


class _Children:
    """Idle children, kept for the next call."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)
        atexit.register(self.end)

    def after_fork(self) -> None:
        self._idle: list[_Child] = []
        self._lock = threading.Lock()

    def take(self) -> _Child:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Child()

    def give(self, child: _Child) -> None:
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(child)
                return
        child.kill()

    def end(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()


_children = _Children()


def in_process(run: Callable[..., Any], deadline: float) -> Callable[..., Any]:
    """`run` as a function that runs in a child, for at most `deadline` seconds, and raises what it raises there. Call it once."""
    child = _children.take()  # here, not below: a process takes longer to start than a candidate may take to answer

    def remote(*args: Any, **kwargs: Any) -> Any:
        message = pickle.dumps((run, args, kwargs))
        try:
            answer = child.ask(message, deadline)
        except (Expired, ChildDied):
            child.kill()
            raise
        except BaseException:
            _children.give(child)
            raise
        _children.give(child)
        return answer

    return remote


def _serve(pipe: Connection) -> None:
    pipe.send_bytes(b"ready")
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            run, args, kwargs = pickle.loads(message)  # noqa: S301 - from our own parent
            answer: tuple[bool, Any] = (False, run(*args, **kwargs))
        except BaseException as error:
            answer = (True, error)
        try:
            pipe.send_bytes(pickle.dumps(answer))
        except Exception as error:
            pipe.send_bytes(pickle.dumps((True, TypeError(f"the answer can't leave the process: {type(error).__name__}"))))
