"""What the process that asks the server for its host says every second, in the folder: that it lives, and how it fares."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Final
from uuid import uuid4

from progflags._chance import chance
from progflags._json import canonical, loads
from progflags._process import in_child
from progflags._trouble import swallow
from progflags.store.host._copy import Copy

__all__ = ["OWN", "Sign", "Signs", "identity"]

OWN: Final = "\0"  # topics that begin so are the folder's own
_SIGN: Final = f"{OWN}host"
_BEGINS: Final = f"{OWN}begins"
_IDENTITY: Final = f"{OWN}identity"
_EVERY: Final = 1.0  # seconds between two signs
_BEGINNING: Final = 20.0  # seconds that who has begun may take until its first sign, on a machine where everything starts at once
_PATIENCE: Final = (3.0, 5.0)  # seconds without one after which the others go to the server: not all at once


@dataclass(frozen=True, slots=True)
class Sign:
    """
    `by`: the process. `ahead`: how far the server's time is ahead of the monotonic clock, which is one for all processes of a host;
    None where it is not known. `away`: why the server does not answer; `refuses`: why it takes no rows. Both are empty where nothing is
    wrong.
    """

    by: str
    ahead: float | None = None
    away: str = ""
    refuses: str = ""


class Signs:
    """Of one folder, as one process puts them up and reads them."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """Another process, with a patience of its own."""
        self._said: tuple[float, str, str] | None = None
        self._patience = chance.uniform(*_PATIENCE)

    def put_up(self, copy: Copy, sign: Sign) -> None:
        """
        Say so, if it is time or something has changed.

        Raises:
            StoreError: the folder's file can't be written.
        """
        now, said = time.monotonic(), self._said
        if said is not None and said[1:] == (sign.away, sign.refuses) and now - said[0] < _EVERY:
            return
        number = max((row.seq for row in copy.board.collect(_SIGN)), default=0) + 1
        copy.board.publish(_SIGN, "", number, canonical(asdict(sign)).encode())
        self._said = now, sign.away, sign.refuses

    def begin(self, copy: Copy) -> None:
        """
        Say that this process has the lock, and will ask the server: what comes before its first sign may take seconds.

        Raises:
            StoreError: the folder's file can't be written.
        """
        number = max((row.seq for row in copy.board.collect(_BEGINS)), default=0) + 1
        copy.board.publish(_BEGINS, "", number, b"")

    def begins(self, copy: Copy) -> bool:
        """
        Whether somebody has begun a moment ago.

        Raises:
            StoreError: the folder's file can't be read.
        """
        return any(row.age < _BEGINNING for row in copy.board.collect(_BEGINS))

    def last(self, copy: Copy) -> Sign | None:
        """
        The last one; None where it is too old to count.

        Raises:
            StoreError: the folder's file can't be read.
        """
        for row in copy.board.collect(_SIGN):
            if row.age < self._patience:
                try:
                    return Sign(**loads(row.body))
                except (ValueError, TypeError) as error:
                    swallow("host", error)
        return None


def identity(copy: Copy) -> str:
    """
    The name under which this folder's host is known to the server: whoever comes first gives it.

    Raises:
        StoreError: the folder's file can't be used.
    """
    copy.board.publish(_IDENTITY, "", 1, uuid4().hex[:12].encode())
    return copy.board.collect(_IDENTITY)[0].body.decode()
