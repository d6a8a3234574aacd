"""Changes: what was changed over all flags, by whom and why; filtered by person, flag and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from progflags._console._view import Query, View, moment, number, plain

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.events import Change

__all__ = ["changes"]

_PAGE: Final = 50
_READ: Final = 1_000  # the newest that are looked through: older ones are `progflags log`'s


def changes(flags: Flags, query: Query) -> View:
    """
    A page of them, newest first: of `flag`, by `person`, since `since` (a date, as `2026-11-29` or `2026-11-29T10:00`, in UTC).

    Raises:
        StoreError: the store is out of reach.
    """
    flag, person, since = (query.get(name, "")[:256] for name in ("flag", "person", "since"))
    read = flags.changes(flag or None, since=moment(since), limit=_READ)
    found = [change for change in read if person.casefold() in change.actor.casefold()]
    pages = max(1, -(-len(found) // _PAGE))
    page = number(query, "page", 1, pages)
    data = {
        "flag": flag,
        "person": person,
        "since": since if moment(since) is not None else "",
        "changes": [_row(change) for change in found[(page - 1) * _PAGE : page * _PAGE]],
        "found": len(found),
        "more": len(read) == _READ,
        "page": page,
        "pages": pages,
    }
    return View("Changes", "changes.html", data)


def _row(change: Change) -> dict[str, Any]:
    return {**plain(change.to_dict()), "before": _short(change, change.before), "after": _short(change, change.after)}


def _short(change: Change, value: Any) -> Any:
    return str(value)[:12] if change.kind == "definition" else plain(value)
