"""The rules of one flag: those that are written as such, and the one that its own keys are short for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progflags.flags._model import Ramp, Rule, Unit
from progflags.flags._problems import Path, Wrong, suggest
from progflags.flags.file._draft import Draft, json_list, unit_named
from progflags.flags.file._fields import read
from progflags.flags.file._format import RULE
from progflags.flags.file._networks import without

__all__ = ["rules_of"]

_CALLERS = "default()"
_SUGAR = frozenset({"percent", "split", "serve", "ramp", "from", "until"})


def rules_of(draft: Draft, default: str) -> tuple[Rule, ...]:
    rows: list[tuple[Rule]] = []
    for at, table in enumerate(draft.found.get("rules", ())):
        path: Path = ("rules", at)
        before = len(draft.shared.problems.found)
        found = read(table, RULE, lambda p, m, h, path=path: draft.wrong((*path, *p), m, h))  # type: ignore[misc]
        if "when" in found and not without(draft.shared.problems, ("flags", draft.key, *path, "when"), found["when"]):
            draft.sound = False
        if len(draft.shared.problems.found) == before:
            rows.append(_rule(draft, path, found, default, found.get("name", f"rule {at + 1}")))
    if not _SUGAR.isdisjoint(draft.found):
        rows.append(_rule(draft, (), draft.found, default, "everybody"))
        if "rollout" in draft.found:
            key = next(key for key in draft.found if key in _SUGAR)
            draft.wrong((key,), f"{key!r} beside 'rollout'", "the rollout's share is live state: take one of the two out")
    return rows[0] if len(rows) == 1 else tuple(rule for (rule,) in rows)


def _rule(draft: Draft, path: Path, found: Mapping[str, Any], default: str, name: str) -> tuple[Rule]:
    when = found.get("when")
    if when is not None:
        try:
            when = draft.shared.parts.segments.fill(when)
        except Wrong as wrong:
            draft.wrong((*path, "when"), wrong.message, wrong.hint)
    serve, split = _served(draft, path, found, default)
    ramp = _ramp(draft, path, found)
    since, until = found.get("from"), found.get("until")
    if since is not None and until is not None and since >= until:
        draft.wrong((*path, "until"), "'until' is not after 'from'")
    own = (found.get("windows", ()), _unit(found), found.get("salt"), found.get("enabled", True)) if path else ((), None, None, True)
    return draft.shared.rule(name, when, serve, split, found.get("percent"), ramp, since, until, *own, _defers(draft, found))


def _defers(draft: Draft, found: Mapping[str, Any]) -> bool:
    """Whether it serves the caller's default; a variant that is called so is that variant."""
    return found.get("serve") == _CALLERS and _CALLERS not in draft.variants


def _unit(found: Mapping[str, Any]) -> Unit | None:
    """The rule's own unit; the targeting key, said so, is one too."""
    return unit_named(found["unit"]) if "unit" in found else None


def _served(draft: Draft, path: Path, found: Mapping[str, Any], default: str) -> tuple[str | None, tuple[tuple[str, int | float], ...]]:
    if "serve" in found and "split" in found:
        draft.wrong((*path, "split"), "'serve' and 'split' at once", "serve one variant, or split between several")
    if "split" in found:
        for name, _ in found["split"]:
            if name not in draft.variants:
                draft.wrong((*path, "split", name), f"there is no variant {name!r}", suggest(name, draft.variants))
        return None, found["split"]
    if "serve" in found:
        return (None if _defers(draft, found) else draft.name((*path, "serve"), found["serve"])), ()
    name = draft.on(default)
    if name is None:
        draft.wrong(path, "does not say what it serves", f"add serve = {json_list(draft.variants)}, or split = {{ ... }}")
    return name, ()


def _ramp(draft: Draft, path: Path, found: Mapping[str, Any]) -> Ramp | None:
    ramp = found.get("ramp")
    if ramp is None:
        return None
    if "percent" in found:
        draft.wrong((*path, "percent"), "'percent' and 'ramp' at once", "the ramp's `end` is the percentage it reaches")
    if ramp["from"] >= ramp["until"]:
        draft.wrong((*path, "ramp", "until"), "'until' is not after 'from'")
    return Ramp(ramp["from"], ramp["until"], ramp.get("start", 0), ramp.get("end", 1_000_000))
