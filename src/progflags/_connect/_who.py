"""Who signs what nobody else does: the person or account that runs this process, and its host."""

from __future__ import annotations

import getpass
import os
import socket

__all__ = ["login", "signature"]


def signature() -> str:
    """As in `deploy@web-3`."""
    return f"{login()}@{socket.gethostname()}"


def login() -> str:
    """Who runs this process, by name where the system knows one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return f"pid {os.getpid()}"
