"""Handles on one store, as a contract's tests ask for them: `store`, and `other` beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from progflags.store import Store

__all__ = ["PATIENCE", "Handles"]

PATIENCE: Final = 60.0
"""Seconds for what must happen soon; only a failing test waits so long."""


class Handles:
    """What a contract is told about a store: how to make one, and how to open it once more."""

    folder: Path
    """An empty folder of the test's own, another one for every store."""

    def make_store(self) -> Store:
        """A new, empty store; files go into `self.folder`."""
        raise NotImplementedError("say how to make a store: def make_store(self): return ...")

    def join(self, store: Store) -> Store | None:  # noqa: ARG002 - for overriding
        """A second handle on what `store` holds, as another client would open it; None: there is no such thing."""
        return None

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        self.folder = tmp_path
        store = self.make_store()
        yield store
        store.close()

    @pytest.fixture
    def other(self, store: Store) -> Iterator[Store]:
        other = self.join(store)
        yield other or store
        if other is not None:
            other.close()
