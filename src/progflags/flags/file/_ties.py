"""What one flag hangs on: other flags, a slot in a group, a holdout, a rollout's candidate."""

from __future__ import annotations

from progflags.flags._model import Holdout, Require, Slot
from progflags.flags._problems import suggest
from progflags.flags.file._draft import Draft, json_list
from progflags.flags.file._fields import read
from progflags.flags.file._format import REQUIRE

__all__ = ["candidate", "holdout", "requires", "slot"]


def requires(draft: Draft) -> tuple[Require, ...]:
    requires = []
    for at, table in enumerate(draft.found["requires"]):
        before = len(draft.shared.problems.found)
        found = read(table, REQUIRE, lambda p, m, h, at=at: draft.wrong(("requires", at, *p), m, h))  # type: ignore[misc]
        if len(draft.shared.problems.found) == before:
            requires.append(Require(found["flag"], found.get("is", (True,))))
    return tuple(requires)


def slot(draft: Draft) -> Slot | None:
    name = draft.found["group"]
    parts = draft.shared.parts
    group = parts.groups.get(name)
    if group is None:
        if ("group", name) in parts.wrong:
            draft.wrong(("group",), f"group {name!r} is itself wrong", "see its own message")
        else:
            draft.wrong(("group",), f"there is no group {name!r}", suggest(name, parts.groups))
        return None
    if draft.key not in group.slots:
        draft.wrong(("group",), f"group {name!r} has no slot for this flag", f"add it to groups.{name}.slots")
        return None
    if group.unit != draft.unit and not (group.unit.groups == (("targeting_key",),) and not draft.unit.groups):
        message = f"this flag buckets by {draft.unit}, its group by {group.unit}; the same units would be in and out"
        draft.wrong(("unit",) if "unit" in draft.found else ("group",), message, "give both the same unit")
    return Slot(name, group.salt, *group.slots[draft.key])


def holdout(draft: Draft) -> Holdout | None:
    name = draft.found["holdout"]
    parts = draft.shared.parts
    if name not in parts.holdouts:
        if ("holdout", name) in parts.wrong:
            draft.wrong(("holdout",), f"holdout {name!r} is itself wrong", "see its own message")
        else:
            draft.wrong(("holdout",), f"there is no holdout {name!r}", suggest(name, parts.holdouts))
    return parts.holdouts.get(name)


def candidate(draft: Draft, default: str) -> str | None:
    written = draft.found["rollout"].get("variant")
    if written is not None:
        name = draft.name(("rollout", "variant"), written)
        if name == default and name:
            draft.wrong(("rollout", "variant"), "the candidate is the default itself", suggest("", draft.variants))
        return name
    other = draft.on(default)
    if other is None or other == default:
        draft.wrong(("rollout",), "which variant is the candidate?", f"add variant = {json_list(draft.variants)}")
    return other
