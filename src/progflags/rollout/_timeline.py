"""
The timeline: everything a store's histories say was changed, newest first.

Each subject keeps a history of its own: `rollout/x` its steps, `flag/x` its kill switch, `panic` that of all flags, `definitions`
what was pushed, `defined/…` what processes found in their files. A document's revision is never below that of its last line, so
subjects are read from the one that moved last, each from its end, and no more of them than the answer needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from progflags._trouble import swallow
from progflags.events import Change, ChangeKind
from progflags.rollout._status import Transition
from progflags.rollout.state import Record
from progflags.sources import Changed
from progflags.store import Document, Entry, Store

__all__ = ["backwards", "changes", "changes_of", "lines_of", "told"]

_ONE: Final = ("flag/", "rollout/")  # subjects about one flag
_CHUNK: Final = 100  # lines read at once, from the end

Placed = tuple[int, int, Change]  # revision of its commit, place within it


def changes(store: Store, flag: str | None, since: float | None, limit: int) -> tuple[Change, ...]:
    """
    The last `limit` changes of `flag` (None: of all), none of them before `since`; newest first.

    Raises:
        StoreError: the store is out of reach.
    """
    _, documents = store.read()
    subjects = sorted((document for key, document in documents.items() if _about(key, flag)), key=lambda one: -one.revision)
    several = [document for document in subjects if not document.key.startswith(_ONE)]
    # Those about several flags are few, and may have been written later than they happened: they are always looked at.
    found = [placed for document in several for placed in _of(store, document, flag, since, limit)]
    own: list[Placed] = []
    for document in subjects:
        if document.key.startswith(_ONE):
            if len(own) >= limit and document.revision < sorted(own, key=_place)[-limit][0]:
                break  # nothing in it, nor in any after it, is newer than what there is
            own += _of(store, document, flag, since, limit)
    found += own
    newest = sorted(found, key=lambda placed: (placed[2].at, *_place(placed)), reverse=True)
    return tuple(change for _, _, change in newest[:limit])


def _place(placed: Placed) -> tuple[int, int]:
    return placed[0], placed[1]


def _about(key: str, flag: str | None) -> bool:
    room, _, name = key.partition("/")
    if room in ("panic", "definitions", "defined"):
        return True
    return room in ("flag", "rollout") and (flag is None or name == flag)


def lines_of(document: Document) -> int | None:
    """How many lines of history a document has; None where it does not say."""
    chain = document.body.get("chain") if document.key.startswith("flag/") or document.key == "panic" else document.body
    number = chain.get("number", 0) if isinstance(chain, Mapping) else 0
    if document.key == "definitions" and "number" not in document.body:
        return None  # written by a progflags that did not count
    return number if isinstance(number, int) else 0


def _of(store: Store, document: Document, flag: str | None, since: float | None, limit: int) -> list[Placed]:
    """The last changes of one subject. What of it can't be read is left out and said."""
    found: list[Placed] = []
    try:
        for entry, before in backwards(store, document):
            told = [change for change in changes_of(entry, before, store.url) if flag is None or _concerns(change, entry, flag)]
            if told and since is not None and told[0].at < since:
                break
            found += [(entry.revision, 2 * entry.number + at, _for(change, entry, flag)) for at, change in enumerate(told)]
            if len(found) >= limit:
                break
    except (KeyError, TypeError, ValueError) as error:
        swallow(f"history of {document.key}", error)
    return found


def backwards(store: Store, document: Document) -> Iterator[tuple[Entry, Entry | None]]:
    """The lines of a document's history from the last to the first, each with the one before it."""
    end = lines_of(document)
    if end is None:
        end = sum(1 for _ in _forwards(store, document.key))
    later: Entry | None = None
    while end > 0:
        after = max(0, end - _CHUNK)
        entries = store.history(document.key, after=after, limit=end - after)
        if not entries:
            break  # what was before is archived
        for entry in reversed(entries):
            if later is not None:
                yield later, entry
            later = entry
        end = after
    if later is not None:
        yield later, None


def _forwards(store: Store, subject: str) -> Iterator[Entry]:
    after = 0
    while entries := store.history(subject, after=after):
        yield from entries
        after = entries[-1].number


def changes_of(entry: Entry, before: Entry | None, store: str) -> tuple[Change, ...]:
    """What one line of history says: a step that moved the share is two changes."""
    room, _, flag = entry.subject.partition("/")
    body = entry.body
    if room == "rollout":
        return tuple(_steps(flag, body, None if before is None else before.body, store))
    if room in ("flag", "panic"):
        kind = ChangeKind(body["act"])
        on = kind in (ChangeKind.KILL, ChangeKind.PANIC)
        return (Change(kind, flag, float(body["at"]), str(body["actor"]), str(body["reason"]), store, not on, on),)
    return (_definition(body, None if before is None else before.body, flag, store),)


def _steps(flag: str, body: Mapping[str, Any], before: Mapping[str, Any] | None, store: str) -> Iterator[Change]:
    at, actor, reason = float(body["at"]), str(body["actor"]), str(body["reason"])
    yield Change(ChangeKind.TRANSITION, flag, at, actor, reason, store, str(body["from"]), str(body["to"]))
    about = before is not None and before.get("edit") == body.get("edit")  # the share of a variant, and that of a definition, are two
    old, new = float(before["percent"]) if before is not None and about else 0.0, float(body["percent"])
    if old != new:
        yield Change(ChangeKind.SHARE, flag, at, actor, _whose(str(body.get("edit", ""))[:8], reason), store, old, new)


def _whose(edit: str, reason: str) -> str:
    """Why a share moved, with whose it is where that is another definition's."""
    return f"of the new definition {edit}{'; ' if reason else ''}{reason}" if edit else reason


def told(steps: Iterable[Transition], before: Record | None, store: str, edit: str = "") -> Iterator[Change]:
    """What listeners are told of steps that were just committed. `edit`: what the definition is called that they deliver."""
    percent = 0.0 if before is None else before.share / 10_000
    for step in steps:
        yield Change(ChangeKind.TRANSITION, step.flag, step.at, step.actor, step.reason, store, str(step.source), str(step.target))
        if step.percent != percent:
            reason = _whose(edit, step.reason)
            yield Change(ChangeKind.SHARE, step.flag, step.at, step.actor, reason, store, percent, step.percent)
        percent = step.percent


def _definition(body: Mapping[str, Any], before: Mapping[str, Any] | None, source: str, store: str) -> Change:
    """Found in a file, or pushed; a push of an older progflags says neither when nor what was there before."""
    changed = Changed.of(body)
    old = str(body.get("before", "" if before is None else before.get("digest", "")))
    new = str(body.get("after", body.get("digest", "")))
    by, at = str(body.get("actor", body.get("by", ""))), float(body.get("at", 0.0))
    return Change(ChangeKind.DEFINITION, changed.only, at, by, changed.sentence, source or store, old, new)


def _concerns(change: Change, entry: Entry, flag: str) -> bool:
    """Whether a change is about `flag`. A panic is about each; of a change to thousands of flags not all are named."""
    if change.kind is not ChangeKind.DEFINITION:
        return change.flag in ("", flag)
    changed = Changed.of(entry.body)
    return flag in changed.flags or bool(changed.more) or "changed" not in entry.body


def _for(change: Change, entry: Entry, flag: str | None) -> Change:
    """As somebody sees it who asked about one flag: of a definition, what became of that one."""
    changed = Changed.of(entry.body)
    if flag is None or change.kind is not ChangeKind.DEFINITION or flag not in changed.flags:
        return change
    return Change(change.kind, flag, change.at, change.actor, changed.flags[flag], change.source, change.before, change.after)
