"""A flag: what the file says of it, what is live, and who gets what and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from progflags._console._view import Query, View, moment, plain
from progflags._console.pages._flags import known, summary
from progflags._printed import quoted
from progflags._trouble import swallow
from progflags.context import Context
from progflags.errors import StoreError, TransitionRefused

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.flags import FlagModel, Rule

__all__ = ["flag"]

_ATTRIBUTES: Final = 50  # lines of a context that are read
_CHANGES: Final = 20


def flag(client: Flags, query: Query) -> View:
    """
    The flag that was asked for. With `key` or `attributes` (a `name=value` on each line) also what they get, and every step to it;
    as of `at`, a time in UTC, what they got then.

    Raises:
        TransitionRefused: there is no such flag.
    """
    asked = query.get("flag", "")
    snapshot = client.definitions
    model = None if snapshot is None else snapshot.flags.get(asked)
    if model is None:
        raise TransitionRefused(f"there is no flag {quoted(asked)}")
    live = client.live(asked)
    key, attributes = query.get("key", ""), query.get("attributes", "")
    then = query.get("at", "").strip()
    at = moment(then)
    unread = f"{quoted(then[:40])} is no time: write one as 2026-11-29T10:00, in UTC" if then and at is None else ""
    wanted = bool(key or attributes or then) and not unread
    new = client.edits.definition(asked) if live.told else None
    data = {
        **summary(model, live),
        **known(client, (asked,))[asked],
        "ticket": model.ticket,
        **_said(model),
        "new": None if new is None else _said(new),
        "unit": str(model.unit),
        "requires": [f"{one.flag} = {' or '.join(one.variants)}" for one in model.requires],
        "group": model.group,
        "holdout": None if model.holdout is None else model.holdout.name,
        "asked": {"key": key, "attributes": attributes, "at": "" if at is None else then, "unread": unread},
        "answer": plain(client.explain(asked, Context(key or None, _read(attributes)), at=at).to_dict()) if wanted else None,
        "changes": _changes(client, asked),
    }
    return View(asked, "flag.html", data)


def _said(model: FlagModel) -> dict[str, Any]:
    """What a definition says of who gets what."""
    return {
        "variants": [{"name": name, "value": plain(value)} for name, value in model.variants.items()],
        "default": model.default,
        "safe": model.safe,
        "table": [_rule(rule, model) for rule in model.rules],
    }


def _read(text: str) -> dict[str, Any]:
    """A value that is JSON is that, any other text is itself; a line without `=` says nothing."""
    found: dict[str, Any] = {}
    for line in text.splitlines()[:_ATTRIBUTES]:
        name, equals, value = line.partition("=")
        if name.strip() and equals:
            try:
                found[name.strip()] = json.loads(value)
            except (ValueError, RecursionError):
                found[name.strip()] = value.strip()
    return found


def _rule(rule: Rule, model: FlagModel) -> dict[str, Any]:
    total = sum(weight for _, weight in rule.split) or 1
    split = [{"variant": name, "percent": 100 * weight / total} for name, weight in rule.split]
    return {
        "name": rule.name,
        "when": "" if rule.when is None else str(rule.when),
        "serves": rule.serve or ("" if split else model.default),
        "split": split,
        "percent": None if rule.share is None else rule.share / 10_000,
        "ramp": None if rule.ramp is None else {"from": rule.ramp.start / 10_000, "to": rule.ramp.end / 10_000, "until": rule.ramp.finish},
        "since": rule.since,
        "until": rule.until,
    }


def _changes(client: Flags, asked: str) -> list[dict[str, Any]] | None:
    try:
        return [plain(change.to_dict()) for change in client.changes(asked, limit=_CHANGES)]
    except StoreError as error:  # what serves is known all the same
        swallow("console: changes", error)
        return None
