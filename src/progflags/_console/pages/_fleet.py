"""Fleet: the process that draws this page, and what the store knows of the others."""

from __future__ import annotations

import os
import platform
import socket
from typing import TYPE_CHECKING

from progflags._console._view import Query, View, plain

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["fleet"]


def fleet(flags: Flags, query: Query) -> View:  # noqa: ARG001
    """How well this process is supplied."""
    from progflags import __version__

    status = flags.status()
    own = {
        "process": f"{socket.gethostname()}:{os.getpid()}",
        "version": __version__,
        "python": platform.python_version(),
        **plain(status.to_dict()),
    }
    return View("Fleet", "fleet.html", {"here": own})
