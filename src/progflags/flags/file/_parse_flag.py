"""One flag's table → a FlagModel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progflags.flags._model import BOOLEAN, NO_METADATA, FlagModel, RolloutSpec, make_flag
from progflags.flags._problems import Path, Problems, Wrong, shown, word
from progflags.flags.file._draft import Draft, Report, Shared, Values
from progflags.flags.file._fields import is_table, read
from progflags.flags.file._format import FLAG
from progflags.flags.file._kinds import NAME, VALUE
from progflags.flags.file._parts import Parts
from progflags.flags.file._rules import rules_of
from progflags.flags.file._ties import candidate, holdout, requires, slot

__all__ = ["FlagParser"]


class FlagParser:
    """Parses flags that share their segments, groups and holdouts."""

    def __init__(self, parts: Parts, problems: Problems) -> None:
        self.problems = problems
        self._shared = Shared(parts, problems)

    def flag(self, key: Any, table: Any) -> FlagModel | None:
        """The flag, or None; what is wrong with it has been reported either way."""
        before = len(self.problems.found)

        def report(path: Path, message: str, hint: str = "") -> None:
            self.problems.add(("flags", key, *path), message, hint)

        try:
            NAME.check(key)
        except Wrong as wrong:
            report((), f"a flag's key: {wrong.message}")
            return None
        if not table and is_table(table):
            return make_flag(key, salt=key)
        try:
            found = read(table, FLAG, report)
        except RecursionError:
            report((), "nested too deep")
            return None
        values = _values(table, found, report)
        if len(self.problems.found) > before or not is_table(table):
            return None
        return _model(Draft(self._shared, key, found, values, report))


def _values(table: Any, found: Mapping[str, Any], report: Report) -> Values:
    written = found.get("variants")
    declared = found.get("type")
    if written is None:
        if declared not in (None, "boolean") and is_table(table) and "variants" not in table:
            report(("variants",), f"a {declared} flag says what its variants are", 'write variants = { a = "a", b = "b" }')
        return Values(BOOLEAN, "boolean")
    if not written:
        report(("variants",), "a flag has at least one variant", "")
    values: dict[str, Any] = {}
    for name, value in written.items():
        try:
            values[NAME.check(name)] = VALUE.check(value)
        except Wrong as wrong:
            report(("variants", word(name), *wrong.path), wrong.message, wrong.hint)
    kinds = {type_of(value) for value in values.values()}
    if declared is not None and declared != "json":
        for name, value in values.items():
            if type_of(value) != declared:
                report(("variants", name), f"a {declared} is wanted here, not {shown(value)}", "the flag's type says so")
        return Values(values, declared)
    if declared == "json":
        return Values(values, declared)
    if len(kinds) > 1:
        report(("variants",), f"variants of different types: {', '.join(sorted(kinds))}", 'make them alike, or say type = "json"')
    return Values(values, next(iter(kinds), "boolean"))


def type_of(value: Any) -> str:
    """A flag's type by one of its values."""
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number" if isinstance(value, (int, float)) else "json"


def _model(draft: Draft) -> FlagModel | None:
    found, problems = draft.found, draft.shared.problems
    default = draft.default()
    safe = draft.name(("safe",), found["safe"]) if "safe" in found else default
    rules = rules_of(draft, default)
    flag = make_flag(
        key=draft.key,
        type=draft.kind,
        variants=draft.variants,
        default=default,
        safe=safe,
        unit=draft.unit,
        salt=found.get("salt", draft.key),
        rules=rules,
        requires=requires(draft) if "requires" in found else (),
        slot=slot(draft) if "group" in found else None,
        holdout=holdout(draft) if "holdout" in found else None,
        description=found.get("description", ""),
        owner=found.get("owner"),
        expires=found.get("expires"),
        ticket=found.get("ticket"),
        kind=found.get("kind", "release"),
        tags=found.get("tags", ()),
        rollout=RolloutSpec(draft.key, found["rollout"], problems.file, problems.lines) if "rollout" in found else None,
        candidate=candidate(draft, default) if "rollout" in found else None,
        tests=found.get("tests", ()),
        enabled=found.get("enabled", True),
        skips=found.get("on_missing_unit") == "skip",
        metadata=found.get("metadata", NO_METADATA),
    )
    return flag if draft.sound else None
