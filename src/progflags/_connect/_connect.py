"""`connect`: from what a person names, a file and a store, to a client that runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from progflags._clock import SYSTEM, Clock, SystemClock
from progflags._connect._flags import Flags
from progflags.sources import Generations, Loader, StoreSource, source_of
from progflags.store import Store, open_store

__all__ = ["connect"]


def connect(
    source: Any = None,
    *,
    store: Store | str | None = None,
    poll: float | None = 1.0,
    last_known_good: str | Path | None = None,
    control: bool = True,
    clock: Clock | None = None,
) -> Flags:
    """
    A running client of `source`: a path (TOML, JSON, YAML with the extra, or a directory of them), a dict, a Source, a
    list of these, lowest layer first; or None for what was pushed to the store (`progflags push`).

    `store` is where live state is kept: None (memory, this client only), `memory://name`, `sqlite:///rel.db`,
    `sqlite:////abs.db`, or a Store. `poll` is the seconds between looks at the source; the store is looked at ten times a
    second, or as often as that if it is more. With `poll=None`, and with a ManualClock, nothing runs in the background:
    only `refresh` and `rollouts.tick` look. `last_known_good` names a folder for persisted generations of the source, and for
    rollbacks that wait for a store out of reach.
    `control=False`: this process never runs the controller. `clock`: a `progflags.testing.ManualClock` in tests.

    Raises:
        DefinitionError: nothing can be served; its problems name file, line and key.
        StoreError: the store can't be opened.
        ValueError: neither source nor store, `poll` is not a positive number, or `store` no store's address.
    """
    if poll is not None and not 0 < poll < math.inf:
        raise ValueError(f"poll is the number of seconds between two looks, or None for never: not {poll!r}")
    time = clock or SYSTEM
    if source is None and store is None:
        raise ValueError("connect to what? name a flag file, or a store that definitions were pushed to")
    kept = open_store(store, clock=time)
    try:
        keep = None if last_known_good is None else Generations(last_known_good)
        found = StoreSource(kept) if source is None else source_of(source)
        flags = Flags(Loader(found, keep=keep, clock=time), kept, clock=time, control=control)
        flags._owns_store = kept is not store
        flags._kept_in = last_known_good
        flags._begin(poll if isinstance(time, SystemClock) else None)
    except BaseException:
        if kept is not store:
            kept.close()
        raise
    return flags
