"""`connect`: from what a person names, a file and a store, to a client that runs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progflags._clock import SYSTEM, Clock, SystemClock
from progflags._connect._flags import Flags
from progflags._connect._reach import Reach
from progflags._connect._terms import Terms
from progflags._printed import quoted
from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.sources import Generations, Lively, Loader, StoreSource, lively, source_of
from progflags.store import MemoryStore, Store, address, open_store

if TYPE_CHECKING:
    from progflags.notify import Channel
    from progflags.store.host import HostStore

__all__ = ["connect"]

_ELSEWHERE = "nothing can be written to it from here, do it where the store is"


def connect(
    source: Any = None,
    *,
    store: Store | str | None = None,
    poll: float | None = 0.5,
    store_poll: float | None = None,
    host_cache: str | Path | None = None,
    last_known_good: str | Path | None = None,
    control: bool = True,
    clock: Clock | None = None,
    require_store: bool = False,
    notify: Sequence[Channel] = (),
    environment: str | None = None,
) -> Flags:
    """
    A running client of `source`: a path (TOML, JSON, YAML with the extra, or a directory of them), an address (`https://`, or an object's:
    `s3://`, `gs://`, `az://`), a dict, a Source, a list of these, lowest layer first; or None for what was pushed to the store
    (`progflags push`).

    The address of a snapshot (`progflags publish`) brings live state along, where no `store` is named: this process follows it and
    writes nothing, so that its verbs are refused; its own brake works.

    `store` is where live state is kept: None (memory, this client only), `memory://name`, `sqlite:///rel.db`,
    `sqlite:////abs.db`, or a Store. `poll` is the seconds between looks at the source, give or take a tenth, so
    that by default a changed file is in every process within one. A store in a file is looked at ten times a second. One on a server
    says when it moved, and is asked every 5 s besides, in case that was lost; where it can't say so, every second. `store_poll` is
    another number of seconds for that. `host_cache` names a folder on a local disk by which the processes of a host need one connection
    to a store on a server: one of them asks, the others read what it keeps there, another takes over within a second of its end, and
    where the folder can't be used each asks for itself and says so. With `poll=None`, and with a ManualClock, nothing runs in the
    background: only `refresh` and `rollouts.tick` look. `last_known_good` names a folder for persisted generations of the source, for
    the live state of the last look, and for rollbacks and kills that wait for a store out of reach.
    `control=False`: this process never runs the controller. `clock`: a `progflags.testing.ManualClock` in tests.

    A store that is out of reach keeps nothing from starting: the client is DEGRADED, serves the definitions with the shares and kills
    that `last_known_good` has of the last look (without it everybody gets the control of a rollout, for nobody can vouch for a
    share), and goes on by itself as soon as the store is there. `require_store=True` refuses to start instead.

    `notify`: channels that are told what happens (`pf.notify.Slack(url=…)`), beside those that the flag file names.

    `environment`: where this process is, as "staging": what the file has under `[environments.staging]` is laid over the rest. None: what
    `PROGFLAGS_ENVIRONMENT` says; empty: nothing is laid over it, whatever that says.

        flags = pf.connect("flags.toml", store="sqlite:///progflags.db")
        assert flags.status().state == "READY"

    Raises:
        DefinitionError: nothing can be served, or no file knows the environment; its problems name file, line and key.
        StoreError: `require_store`, and the store can't be used; or it ought to have the definitions, and nothing else has.
        ValueError: neither source nor store, `poll` or `store_poll` is not a positive number, `environment` no name, `store` no store's
            address, or with `host_cache` no server's.
    """
    if poll is not None and not 0 < poll < math.inf:
        raise ValueError(f"poll is the number of seconds between two looks, or None for never: not {quoted(poll)}")
    if store_poll is not None and not 0 < store_poll < math.inf:
        raise ValueError(f"store_poll is the number of seconds between two questions to the store: not {quoted(store_poll)}")
    here = os.environ.get("PROGFLAGS_ENVIRONMENT", "") if environment is None else environment
    if not isinstance(here, str):
        raise ValueError(f'environment is the name of one that the flag file declares, as "staging": not {quoted(here)}')  # noqa: TRY004 - as poll
    time = clock or SYSTEM
    if source is None and store is None:
        raise ValueError("connect to what? name a flag file, or a store that definitions were pushed to")
    named = None if source is None else source_of(source)
    far = None if named is None else lively(named)
    if far is not None and last_known_good is not None and (remember := getattr(far, "remember", None)) is not None:
        remember(Path(last_known_good))
    brings = far if store is None else None
    keep = None if last_known_good is None else Generations(last_known_good)
    looks = poll is not None and isinstance(time, SystemClock)
    host = None if host_cache is None else _shared(store, Path(host_cache), time, tends=looks)
    if host is not None:
        kept: Store = Reach(host.url, lambda: host, host)
    else:
        kept = _reached(store, time, required=require_store) if brings is None else _brought(brings, time, keep)
    try:
        found = StoreSource(kept) if named is None else named
        flags = Flags(Loader(found, keep=keep, clock=time, environment=here), kept, clock=time, control=control, notify=notify)
        flags._begin(
            Terms(
                poll=poll if looks else None,
                store_poll=store_poll,
                keep=last_known_good,
                host=host,
                owns_store=isinstance(store, str | None),
                defined_in_store=source is None,
                follows=brings is not None and isinstance(kept, Reach),
                requires_store=require_store,
            )
        )
    except BaseException:
        if isinstance(store, str | None):
            kept.close()
        raise
    return flags


def _shared(store: Store | str | None, folder: Path, clock: Clock, *, tends: bool) -> HostStore:
    """The store on a server as the processes of this host share it."""
    if not isinstance(store, str) or store.lower().startswith(("sqlite:", "memory:")):
        raise ValueError("host_cache is for a store on a server: name one in store=, as in postgresql://host/database or redis://host")
    from progflags.canary import Summed
    from progflags.store.host import HostStore

    return HostStore(address(store), lambda: open_store(store, clock=clock), folder, rows=Summed(), tends=tends)


def _reached(store: Store | str | None, clock: Clock, *, required: bool) -> Store:
    """The store, or, where it can't be opened just now and need not be, what opens it as soon as it can."""

    def opening() -> Store:
        return open_store(store, clock=clock)

    if not isinstance(store, str):
        return opening() if store is None or type(store) is MemoryStore else Reach(store.url, opening, store)
    try:
        opened: Store | None = opening()
    except StoreError as error:
        if required:
            raise
        swallow("store", error)
        opened = None
    if isinstance(opened, MemoryStore):
        return opened
    return Reach(address(store), opening, opened)


def _brought(brings: Lively, clock: Clock, keep: Generations | None) -> Store:
    """
    The live state that a source brings along; memory, where it turns out to bring none.

    While nobody has answered, whether it does is what it did when `keep` was written last.
    """

    def opening() -> Store:
        return brings.live() or MemoryStore(clock=clock)

    try:
        opened: Store | None = opening()
    except StoreError:  # nobody has answered yet; what that is about, the source says
        opened = None
    if isinstance(opened, MemoryStore):
        return opened
    generations = () if keep is None or opened is not None else keep.read()
    brought = bool(generations) and brings.brought(generations[-1].pieces)
    return Reach(brings.name, opening, opened, unopened=f"{brings.name} was a published snapshot: {_ELSEWHERE}" if brought else "")
