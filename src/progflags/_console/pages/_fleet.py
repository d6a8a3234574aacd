"""Fleet: the processes that share the store, and how well the one that draws this page is supplied."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from progflags._console._view import Query, View, plain
from progflags._trouble import swallow
from progflags.errors import StoreError

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.rollout import Process

__all__ = ["fleet"]


def fleet(flags: Flags, query: Query) -> View:  # noqa: ARG001
    """Everybody as they told of themselves last; the process that answers in full."""
    from progflags import __version__

    status = flags.status()
    own = {
        "process": f"{socket.gethostname()}:{os.getpid()}",
        "version": __version__,
        "python": platform.python_version(),
        **plain(status.to_dict()),
    }
    processes, away = _others(flags)
    versions, digests = ({getattr(one, name) for one in processes} for name in ("version", "definitions"))
    apart = [what for what, found in (("versions of progflags", versions), ("definitions", digests)) if len(found) > 1]
    return View("Fleet", "fleet.html", {"here": own, "processes": [one.to_dict() for one in processes], "apart": apart, "away": away})


def _others(flags: Flags) -> tuple[Sequence[Process], str]:
    """Everybody; where the store is out of reach nobody, and why: this is the page one looks at then, for the process that answers."""
    try:
        return flags.rollouts.processes(), ""
    except StoreError as error:
        swallow("console: fleet", error)
        return (), str(error)
