"""Where live state is kept: documents under compare-and-set, history, and a Board. Knows documents, not flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progflags._deadline import left
from progflags.store._aside import aside
from progflags.store._bell import Bell
from progflags.store._contract import (
    PROBE,
    Board,
    Commit,
    Document,
    Entry,
    Hinting,
    Row,
    Store,
    Timed,
    Trimming,
    read_only,
    time_of,
    trim,
)
from progflags.store._late import LateStore
from progflags.store._memory import MemoryStore
from progflags.store._open import address, open_store
from progflags.store._server import ServerStore
from progflags.store._writing import REMEMBERED, conflict, texts

if TYPE_CHECKING:
    from progflags.store._sqlite import SQLiteStore

__all__ = [
    "PROBE",
    "REMEMBERED",
    "Bell",
    "Board",
    "Commit",
    "Document",
    "Entry",
    "Hinting",
    "LateStore",
    "MemoryStore",
    "Row",
    "SQLiteStore",
    "ServerStore",
    "Store",
    "Timed",
    "Trimming",
    "address",
    "aside",
    "conflict",
    "left",
    "open_store",
    "read_only",
    "texts",
    "time_of",
    "trim",
]


def __getattr__(name: str) -> object:
    if name != "SQLiteStore":
        raise AttributeError(f"module 'progflags.store' has no attribute {name!r}")
    from progflags.store._sqlite import SQLiteStore

    return SQLiteStore
