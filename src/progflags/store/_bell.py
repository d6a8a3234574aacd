"""A bell: wakes a thread that waits for a socket, when there is something else to see to."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress

from progflags._process import in_child

__all__ = ["Bell"]


class Bell:
    """One thread waits, any other rings. Rung while nobody waits, it ends the next wait."""

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._rung = False
        in_child(self)

    def after_fork(self) -> None:
        """The parent's would ring there."""
        self.close()
        self._rung = False

    def ring(self) -> None:
        """End the wait."""
        self._rung = True
        ends = self._ends
        if ends is not None:
            with suppress(OSError):  # full: it rings already
                ends[1].send(b"\0")

    def wait(self, file: int, seconds: float) -> bool:
        """Until it is rung, or `file` can be read, at most so long; whether it can be, or was closed by somebody, which is news too."""
        ends = self._ends = self._ends or _pair()
        try:
            with selectors.DefaultSelector() as system:
                system.register(ends[0], selectors.EVENT_READ)
                system.register(file, selectors.EVENT_READ)
                ready = {key.fd for key, _ in system.select(0 if self._rung else seconds)}
        except (ValueError, OSError):
            return True
        with suppress(OSError):
            ends[0].recv(4096)
        self._rung = False
        return file in ready

    def close(self) -> None:
        """Let go of what it is made of. It can be used again."""
        ends, self._ends = self._ends, None
        for end in ends or ():
            end.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends
