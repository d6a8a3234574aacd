"""One connection to a server for all processes of a host: one of them asks, the others read what it keeps in a folder."""

from __future__ import annotations

from progflags.store.host._board import Rows
from progflags.store.host._store import HostStore

__all__ = ["HostStore", "Rows"]
