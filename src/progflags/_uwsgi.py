"""
uWSGI, as far as it is unlike other servers: it forks in C, where Python's hooks don't run, and it may run no threads.

By default it loads the application in a process that will serve nobody and is only there to be forked; `preparing` says so.
Without `enable-threads` Python runs only while a request is being served, and a thread with it; `threads` says so.
Outside uWSGI the questions cost a look into a dict.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["on_fork", "preparing", "threads"]

_LOADED_IN = os.getpid()
_NO = frozenset({b"false", b"off", b"no", b"0"})


def _server() -> Any:
    """The module that uWSGI puts into the interpreter it runs; None elsewhere."""
    here = sys.modules.get("uwsgi")
    return here if hasattr(here, "worker_id") and hasattr(here, "masterpid") else None


def preparing() -> bool:
    """Whether this process serves nobody yet: the one that loads the application, before it forks its workers or becomes one."""
    here = _server()
    return here is not None and not here.worker_id() and not here.mule_id() and (here.masterpid() or _LOADED_IN) == os.getpid()


def threads() -> bool:
    """Whether a background thread would run between requests."""
    here = _server()
    if here is None:
        return True
    said = {_bytes(name): _bytes(value).lower() for name, value in here.opt.items()}
    if any(name in said and said[name] not in _NO for name in (b"enable-threads", b"threads")):
        return True
    return b"gevent" in said and _patched()


def on_fork(hear: Callable[[], object]) -> None:
    """Call `hear` in each worker before its first request, besides whatever else was to be called there; again changes nothing."""
    here = _server()
    before = getattr(here, "post_fork_hook", None)
    if here is None or getattr(before, "hears", None) is hear:
        return

    def forked() -> None:
        hear()
        if before is not None:
            before()

    forked.hears = hear  # type: ignore[attr-defined]
    here.post_fork_hook = forked


def _patched() -> bool:
    """Whether threads are gevent's, which run whenever the server waits."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
