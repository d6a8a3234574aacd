"""Every event a client tells, as a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from progflags.flags import Client

__all__ = ["capture"]


@contextmanager
def capture(*kinds: type, flags: Client | None = None) -> Iterator[list[Any]]:
    """
    A block that collects what is told on the client's bus: a list that grows, in the order things happened.

    `kinds` are classes of `progflags.events` (all of them when left out), `flags` the client (the default one when left out).

        with capture(flags=flags) as told:
            flags.track("order", "user-42")
        assert len(told) == 1
    """
    from progflags import events
    from progflags.flags import default

    client = default() if flags is None else flags
    wanted = kinds or tuple(
        kind for name in events.__all__ if isinstance(kind := getattr(events, name), type) and name not in ("Bus", "Exposure")
    )
    told: list[Any] = []
    unlisten = [client.bus.listen(kind, told.append, ours=True) for kind in wanted]
    try:
        yield told
    finally:
        for stop in unlisten:
            stop()
