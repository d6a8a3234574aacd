"""The past of one client's flags: what was changed, since when each is known, and what it answered at another moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from progflags._connect._definitions import Definitions
from progflags._printed import quoted
from progflags.errors import DefinitionError, Problem, ReadOnlyError
from progflags.flags import Explanation, Live, Snapshot, Who, at_moment, needed
from progflags.sources import Annals
from progflags.store import Store, read_only

if TYPE_CHECKING:
    from progflags.events import Change
    from progflags.sources import Seen

__all__ = ["Past"]

_TOLD: Final = 3  # changes of a definition that an explanation names


class Past:
    """
    Asks the store's histories, and this process's own where no store keeps them. Each question raises StoreError where it is away.

    `write_down`: puts into the store what this process knows and has not told yet.
    """

    def __init__(self, store: Store, definitions: Definitions, write_down: Callable[[], None]) -> None:
        self._store = store
        self._definitions = definitions
        self._write_down = write_down
        self._annals = Annals()

    def changes(self, flag: str | None, since: float | None, limit: int) -> tuple[Change, ...]:
        """The newest first."""
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"limit is a whole number above 0, not {quoted(limit)}")
        self._must_have_history()
        self._write_down()
        stored: tuple[Change, ...] = ()
        if self._store.revision():
            from progflags.rollout import changes

            stored = changes(self._store, flag, since, limit)
        here = self._definitions.changes(flag, since)
        return tuple(sorted((*stored, *here), key=lambda change: change.at, reverse=True)[:limit])

    def seen(self, flags: Iterable[str]) -> dict[str, Seen]:
        """Of those that any history reaches."""
        self._write_down()
        notes = self._definitions.notes
        own = [] if notes is None else list(notes.lines)
        annals = Annals() if own else self._annals
        if own:  # a store in memory that nobody else sees has none of them
            annals.tell(own)
        else:
            annals.read(self._store)
        return {flag: seen for flag in flags if (seen := annals.of(flag)) is not None}

    def explain(self, snapshot: Snapshot | None, flag: str, context: Who, at: float) -> Explanation:
        """By the definitions that serve now, and what was live then."""
        from progflags.rollout import lives_at

        at = _moment(at)
        self._must_have_history()
        if snapshot is None:
            raise DefinitionError([Problem("", None, flag, "no definitions serve yet", "look again once status() says READY")])
        part = needed(snapshot, flag)
        lives = lives_at(self._store, part.flags if flag in part.flags else (), at)
        edits = [live.edit for live in lives.values() if live.edit is not None and live.share]
        if also := {other for edit in edits for other in edit.requires if other not in part.flags}:
            part = needed(snapshot, flag, also)
            lives = lives_at(self._store, part.flags, at)
        answer = at_moment(part, lives, at).explain(flag, context)
        notes = [_as_of(at), _definition(self.seen((flag,)).get(flag), at)] if flag in part.flags else [_as_of(at)]
        notes += [_changing(live) for live in lives.values() if live.edit is not None and live.share]
        return replace(answer, notes=tuple(notes))

    def _must_have_history(self) -> None:
        """A snapshot has none, and nothing that was done may look as if it had not been."""
        if why := read_only(self._store):
            raise ReadOnlyError(f"the history is in the store: {why}")


def _as_of(at: float) -> str:
    return f"as of {_date(at)}: shares, kills and panics as the history has them, and the dates in rules"


def _changing(live: Live) -> str:
    assert live.edit is not None
    return f"as of then: of {live.key} another definition ({live.edit.name}) served {(live.share or 0) / 10_000:g} %"


def _definition(seen: Seen | None, at: float) -> str:
    """What of the definition is as of now: all of it, for no history keeps what a file said."""
    now = "as of now: the definition, for no history keeps what it said"
    if seen is None or (not seen.added and seen.at > at):
        return f"{now}; whether it was the same then is unknown"
    if seen.added and seen.at > at:
        return f"{now}; the flag was added only on {_date(seen.at)}"
    since = [f"{_date(when)} ({what})" for when, what in seen.changes if when > at]
    if since:
        more = f" and {len(since) - _TOLD} more" if len(since) > _TOLD else ""
        return f"{now}; it has changed since: {', '.join(since[-_TOLD:])}{more}"
    if seen.blind > at:
        return f"{now}; definitions were replaced on {_date(seen.blind)}, and nobody noted whether this one was another before"
    return f"{now}; it has not changed since"


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"


def _moment(at: object) -> float:
    """
    A wall time in seconds.

    Raises:
        ValueError: it is none that a calendar has.
    """
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not math.isfinite(at):
        raise ValueError("at is a wall time in seconds since the epoch, as time.time() has it")
    try:
        datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueError(f"at is a wall time in seconds since the epoch, and no calendar has {at:g}") from None
    return float(at)
