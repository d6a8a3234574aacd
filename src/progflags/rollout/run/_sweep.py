"""Take down what processes that are gone have left on the Board."""

from __future__ import annotations

from typing import Final

from progflags.store import Board

__all__ = ["sweep"]

_MANY: Final = 20  # rows of the dead that may lie about


def sweep(board: Board, topic: str, gone: float) -> None:
    """
    Once there are many rows older than `gone` seconds: the topic goes whole, and what lives is put up again.

    What somebody puts up in between stays, for it is the later one.

    Raises:
        StoreError: the board is out of reach.
    """
    rows = board.collect(topic)
    living = [row for row in rows if row.age < gone]
    if len(rows) - len(living) > _MANY:
        board.clear(topic)
        for row in living:
            board.publish(topic, row.worker, row.seq, row.body)
