"""Fleet: the processes that share the store, and how well the one that draws this page is supplied."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from progflags._console._view import Query, View, plain
from progflags._process import called
from progflags._trouble import swallow
from progflags.errors import StoreError

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.rollout import Process

__all__ = ["fleet"]


def fleet(flags: Flags, query: Query) -> View:  # noqa: ARG001
    """Everybody as they told of themselves last; the process that answers in full."""
    from progflags import __version__
    from progflags.rollout import apart

    status = flags.status()
    own = {
        "process": called(),
        "version": __version__,
        "python": platform.python_version(),
        **plain(status.to_dict()),
    }
    processes, away = _others(flags)
    told = {"processes": [one.to_dict() for one in processes], "apart": list(apart(processes)), "away": away}
    return View("Fleet", "fleet.html", {"here": own, **told})


def _others(flags: Flags) -> tuple[Sequence[Process], str]:
    """Everybody; where the store is out of reach nobody, and why: this is the page one looks at then, for the process that answers."""
    try:
        return flags.rollouts.processes(), ""
    except StoreError as error:
        swallow("console: fleet", error)
        return (), str(error)
