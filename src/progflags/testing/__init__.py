"""What tests of applications, and of other people's stores, need."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from progflags.testing._capture import capture
from progflags.testing._clock import ManualClock
from progflags.testing._override import Pinned, override

if TYPE_CHECKING:
    from progflags.testing._shared_contract import SharedStoreContract
    from progflags.testing._store_contract import StoreContract

__all__ = [
    "ManualClock",
    "Pinned",
    "SharedStoreContract",
    "StoreContract",
    "capture",
    "override",
]


_CONTRACTS = {"StoreContract": "_store_contract", "SharedStoreContract": "_shared_contract"}  # they need pytest, an application does not


def __getattr__(name: str) -> object:
    if name not in _CONTRACTS:
        raise AttributeError(f"module 'progflags.testing' has no attribute {name!r}")
    return getattr(import_module(f"progflags.testing.{_CONTRACTS[name]}"), name)
