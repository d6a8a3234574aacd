"""Where live state is kept: documents under compare-and-set, history, and a Board. Knows documents, not flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progflags.store._contract import Board, Commit, Document, Entry, Row, Store
from progflags.store._memory import MemoryStore
from progflags.store._open import open_store

if TYPE_CHECKING:
    from progflags.store._sqlite import SQLiteStore

__all__ = ["Board", "Commit", "Document", "Entry", "MemoryStore", "Row", "SQLiteStore", "Store", "open_store"]


def __getattr__(name: str) -> object:
    if name != "SQLiteStore":
        raise AttributeError(f"module 'progflags.store' has no attribute {name!r}")
    from progflags.store._sqlite import SQLiteStore

    return SQLiteStore
