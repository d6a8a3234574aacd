"""What tests of applications, and of other people's stores, need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progflags.testing._capture import capture
from progflags.testing._clock import ManualClock
from progflags.testing._override import override

if TYPE_CHECKING:
    from progflags.testing._store_contract import SharedStoreContract, StoreContract

__all__ = ["ManualClock", "SharedStoreContract", "StoreContract", "capture", "override"]


def __getattr__(name: str) -> object:
    if name not in ("SharedStoreContract", "StoreContract"):
        raise AttributeError(f"module 'progflags.testing' has no attribute {name!r}")
    from progflags.testing import _store_contract  # needs pytest, which an application does not have

    return getattr(_store_contract, name)
