"""How large the process is."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["resident"]

_STATM: Final = "/proc/self/statm"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident() -> int:
    """Bytes of memory this process holds; 0 where the system does not say."""
    try:
        with open(_STATM, "rb", buffering=0) as file:  # noqa: PTH123 - read fifty times a second while shadows run
            return int(file.read(128).split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
