"""Flags: all there are, searched and paged."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from progflags._console._view import Query, View, number
from progflags._trouble import swallow
from progflags.errors import StoreError

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.flags import FlagModel, Live
    from progflags.sources import Seen

__all__ = ["flags", "known", "summary"]

_PAGE: Final = 50


def flags(client: Flags, query: Query) -> View:
    """
    A page of the flags that have every word of `q` in key, owner, tags or description; `kind=stale` those past their date, `killed`
    those that are, `rollout` those with one.
    """
    snapshot = client.definitions
    every = [] if snapshot is None else list(snapshot.flags.values())
    words, kind = query.get("q", "")[:200].casefold().split(), query.get("kind", "")
    found = [model for model in every if _fits(model, words) and _is(kind, model, client)]
    page = min(number(query, "page", 1, 1_000_000), max(1, -(-len(found) // _PAGE)))
    shown = found[(page - 1) * _PAGE : page * _PAGE]
    ages = known(client, (model.key for model in shown))
    rows = [{**summary(model, client.live(model.key)), **ages[model.key]} for model in shown]
    broken = [] if snapshot is None else sorted(snapshot.broken)
    data = {
        "q": query.get("q", "")[:200],
        "kind": kind if kind in _KINDS else "",
        "kinds": list(_KINDS),
        "found": len(found),
        "all": len(every),
        "page": page,
        "pages": max(1, -(-len(found) // _PAGE)),
        "flags": rows,
        "broken": broken[:_PAGE],
        "source": "" if snapshot is None else snapshot.source,
    }
    return View("Flags", "flags.html", data)


_KINDS: Final = ("rollout", "killed", "stale")


def _fits(model: FlagModel, words: Iterable[str]) -> bool:
    text = " ".join((model.key, model.owner or "", *model.tags, model.description)).casefold()
    return all(word in text for word in words)


def _is(kind: str, model: FlagModel, client: Flags) -> bool:
    if kind == "rollout":
        return model.rollout is not None or client.live(model.key).edit is not None
    if kind == "killed":
        return client.live(model.key).killed is not None
    return kind != "stale" or _stale(model.expires)


def _stale(expires: date | None) -> bool:
    return expires is not None and expires < datetime.now(UTC).date()


def known(client: Flags, flags: Iterable[str]) -> dict[str, dict[str, Any]]:
    """
    By flag: since when it is known (`since`, wall time, and `age` in seconds; None where nobody knows), whether it was `added` then or
    was there already, and when its definition was `changed` last.
    """
    wanted = list(flags)
    try:
        found = client.seen(*wanted)
    except StoreError as error:  # what the flags are is known all the same
        swallow("console: ages", error)
        found = {}
    return {flag: _known(found.get(flag), client.clock.now()) for flag in wanted}


def _known(seen: Seen | None, now: float) -> dict[str, Any]:
    if seen is None:
        return {"since": None, "age": None, "added": False, "changed": None}
    changed = seen.changes[-1][0] if seen.changes else None
    return {"since": seen.at, "age": max(0.0, now - seen.at), "added": seen.added, "changed": changed}


def summary(model: FlagModel, live: Live) -> dict[str, Any]:
    """
    A flag in a row. `share` is the rollout's; of a flag without one what its own percentage says, None where rules decide. `change`:
    which other definition serves, and how much of the traffic.
    """
    own = model.rules[0].share if len(model.rules) == 1 and model.rules[0].when is None else None
    share = (live.own.share or 0) if model.rollout is not None else own
    return {
        "flag": model.key,
        "type": model.type,
        "owner": model.owner,
        "tags": list(model.tags),
        "description": model.description,
        "kind": model.kind,
        "expires": None if model.expires is None else model.expires.isoformat(),
        "stale": _stale(model.expires),
        "rollout": model.rollout is not None or live.edit is not None,
        "change": live.told,
        "rules": len(model.rules),
        "percent": None if share is None else share / 10_000,
        "killed": live.killed is not None,
        "killed_by": "" if live.killed is None else f"{live.killed.by or 'somebody'}: {live.killed.reason}",
    }
