"""Terms: on which terms a client begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from progflags.store.host import HostStore

__all__ = ["Terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """
    On which terms a client begins; see `connect`. `poll`: None, and nothing runs in the background; `store_poll`: None, and the store
    is asked as often as is good for it.

    `host`: the store, where the processes of a host share one connection. `defined_in_store`: its source is the store. `follows`: its
    live state comes with its source, so it tells nobody and writes nothing down. `owns_store`: nobody else closes it.
    """

    poll: float | None
    store_poll: float | None = None
    keep: str | Path | None = None
    host: HostStore | None = None
    owns_store: bool = True
    defined_in_store: bool = False
    follows: bool = False
    requires_store: bool = False
