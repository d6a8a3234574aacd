"""Take down what processes that are gone have left on the Board."""

from __future__ import annotations

from typing import Final

from progflags._chance import chance
from progflags.store import Board

__all__ = ["sweep"]

_MANY: Final = 20  # rows of the dead that may lie about
_ONE_IN: Final = 20  # of those that begin looks: if each of a fleet did, what they read would grow with the square of it


def sweep(board: Board, topic: str, gone: float) -> None:
    """
    Once there are many rows older than `gone` seconds, and one of those that ask this looks: the topic goes whole, and what lives is put
    up again.

    What somebody puts up in between stays, for it is the later one.

    Raises:
        StoreError: the board is out of reach.
    """
    if chance.randrange(_ONE_IN):
        return
    rows = board.collect(topic)
    living = [row for row in rows if row.age < gone]
    if len(rows) - len(living) > _MANY:
        board.clear(topic)
        for row in living:
            board.publish(topic, row.worker, row.seq, row.body)
